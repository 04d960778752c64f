"""``ws`` and ``nb`` in the user's namespace."""

from __future__ import annotations

import re
import string
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sbf_kernel.errors import InvalidInput, SbfError

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from sbf_kernel.workspace import NotebookHandle, Workspace

_FIELD = re.compile(r"\{([A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[[^\[\]{}]+\])*)\}")


class Later:
    """Stands for an object that is made when it is first used, and then takes its place in the namespace.

    Parameters
    ----------
    name
        What it is called there.
    make
        Makes the object, or says why there is none.
    """

    def __init__(self, name: str, make: Callable[[], Any]) -> None:
        self._name, self._make = name, make

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("_"):  # what IPython asks of everything
            raise AttributeError(attribute)
        return getattr(self._make(), attribute)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        found = self._made()
        if found is None or not hasattr(found, "_repr_mimebundle_"):
            return {"text/plain": repr(self)}
        bundle: dict[str, str] = found._repr_mimebundle_()
        return bundle

    def __dir__(self) -> list[str]:
        return dir(self._made())

    def __repr__(self) -> str:
        try:
            return repr(self._make())
        except SbfError as error:
            return f"<{self._name}: {error}>"

    def _made(self) -> Any:
        """Return the object, or None when there can be none yet."""
        with suppress(SbfError):
            return self._make()
        return None


class Namespace:
    """The user's names, and what the magics need of them."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell

    @property
    def values(self) -> dict[str, Any]:
        """All of the user's variables."""
        found: dict[str, Any] = self._shell.user_ns
        return found

    def offer(self) -> None:
        """Let ``ws`` and ``nb`` be there, unless the user has such names."""
        for name, make in (("ws", self.workspace), ("nb", self.notebook)):
            if name not in self.values:
                self._shell.push({name: Later(name, make)}, interactive=False)  # type: ignore[no-untyped-call]

    def set(self, name: str, value: Any) -> None:
        """Give the user a variable."""
        self._shell.push({name: value})  # type: ignore[no-untyped-call]

    def connected(self) -> Workspace | None:
        """Return the open workspace in ``ws``; None when there is none yet."""
        from sbf_kernel.workspace import Workspace

        found = self.values.get("ws")
        return found if isinstance(found, Workspace) and not found.closed else None

    def workspace(self) -> Workspace:
        """Return the workspace in ``ws``; connects by the settings when there is none."""
        found = self.connected()
        if found is None:
            from sbf_kernel.connecting import connect

            found = connect()
            self.set("ws", found)
        return found

    def current(self) -> NotebookHandle | None:
        """Return the notebook in ``nb``; None when there is none yet."""
        from sbf_kernel.workspace import NotebookHandle

        found = self.values.get("nb")
        return found if isinstance(found, NotebookHandle) else None

    def notebook(self) -> NotebookHandle:
        """Return the notebook in ``nb``.

        Raises
        ------
        InvalidInput
            None was chosen.
        """
        found = self.current()
        if found is None:
            raise InvalidInput("no notebook is chosen", hint="%sbf use NAME")
        return found

    def scope(self, name: str | None, everywhere: bool) -> Workspace | NotebookHandle:
        """Return where to look: the notebook of this name, else ``nb``, else the whole workspace."""
        if name:
            return self.workspace().notebooks.get(name)
        return (None if everywhere else self.current()) or self.workspace()

    def fill(self, text: str) -> str:
        """Put values in for ``{name}``, ``{name.attribute}`` and ``{name[key]}``; what is unknown stays as it is."""

        def value(found: re.Match[str]) -> str:
            try:
                return str(string.Formatter().get_field(found[1], (), self.values)[0])
            except Exception:  # noqa: BLE001 - whatever a variable does when it is looked into
                return found[0]

        return _FIELD.sub(value, text)
