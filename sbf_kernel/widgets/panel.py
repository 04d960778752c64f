"""What all widgets share: how the browser asks, how it is answered, what is shown without a kernel.

The browser sends ``{call, action, …}``. It is told at once that the call has
arrived (``ack``), so that it can say when the kernel is busy; the work is done
on a thread and ends in a ``reply``. What happens by itself is sent as an ``event``.
"""

from __future__ import annotations

import logging
import sys
import threading
import weakref
from contextvars import Context, copy_context
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import anywidget  # type: ignore[import-untyped, unused-ignore]
import traitlets

from sbf_kernel.display.escaping import clean
from sbf_kernel.errors import InvalidInput, SbfError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sbf_kernel.display import View
    from sbf_kernel.records import Notebook
    from sbf_kernel.workspace import Workspace

_log = logging.getLogger(__name__)
UNEXPECTED = "something went wrong that SBF did not foresee; the log of the kernel says what"


def script(*names: str) -> str:
    """Return the module of a widget: what all share, the named parts, and the last one as what is rendered."""
    parts = [_static(f"{name}.js") for name in ("shared", *names)]
    return "\n".join([*parts, f"export default {names[-1]}Widget;\n"])


def style(*names: str) -> str:
    """Return the style sheet of a widget."""
    return "\n".join(_static(f"{name}.css") for name in ("shared", *names))


def _static(name: str) -> str:
    return (files("sbf_kernel.widgets") / "static" / name).read_text(encoding="utf-8")


class Panel(anywidget.AnyWidget):  # type: ignore[misc, unused-ignore]
    """Base of the widgets. An action ``x`` of the browser is carried out by the method ``_do_x``.

    Parameters
    ----------
    workspace
        Where to work.
    notebook
        The notebook it is about; None for all.
    """

    state = traitlets.Dict().tag(sync=True)
    """What is shown: enough to draw it again after the page is reloaded, or from a saved file."""
    last_insert = traitlets.Unicode()
    """The text that was last inserted into a cell, or copied for one."""

    def __init__(self, workspace: Workspace, notebook: Notebook | None = None) -> None:
        self._ws, self._notebook = workspace, notebook
        self._context: Context | None = None
        self._lock = threading.RLock()
        super().__init__()
        self.on_msg(self._received)
        _after_cells(self)

    def _received(self, _: Any, content: dict[str, Any], buffers: Sequence[Any]) -> None:
        """Take what the browser sends: say that it has arrived, and work on a thread.

        Threads speak in the context of what came last from the browser: the
        kernel then lets the browser's next message in while a cell runs.
        """
        self._context = copy_context()
        self._tell({"ack": content.get("call")})
        self._start(self._carry_out, content, [bytes(part) for part in buffers])

    def _carry_out(self, content: dict[str, Any], buffers: list[bytes]) -> None:
        fields = {key: value for key, value in content.items() if key not in ("call", "action")}
        if buffers:
            fields["buffers"] = buffers
        reply: dict[str, Any] = {"reply": content.get("call")}
        try:
            self._tell({**reply, "result": self._action(content.get("action"))(**fields)})
        except Exception as error:  # noqa: BLE001 - whoever clicked is told, whatever it is
            self._tell({**reply, "error": problem(error)})

    def _action(self, name: Any) -> Callable[..., Any]:
        found = getattr(self, f"_do_{name}", None)
        if found is None:
            raise InvalidInput(f"this widget cannot {clean(str(name))[:40]}", hint="run the cell again")
        return found  # type: ignore[no-any-return]

    def _start(self, work: Callable[..., Any], *arguments: Any) -> None:
        context = self._context.copy() if self._context is not None else copy_context()
        threading.Thread(target=context.run, args=(work, *arguments), name="sbf-widget", daemon=True).start()

    def _tell(self, content: dict[str, Any]) -> None:
        """Send something to all views."""
        self.send(content)

    def _cell_has_run(self) -> None:
        """Let the views look whether a cell has changed what they show."""
        if self._context is not None and self.comm is not None:
            self._context.copy().run(self._tell, {"event": "ran"})

    def _show(self, **changes: Any) -> None:
        """Change parts of the state."""
        with self._lock:
            self.state = {**self.state, **changes}

    def _do_hello(self) -> dict[str, Any]:
        """Answer a view that has just been made."""
        return {"static": self._ws.settings.static}

    def _do_here(self) -> None:
        """Do nothing: being answered is what the browser wants."""

    def _do_inserted(self, text: str) -> None:
        """Remember what was inserted."""
        self.last_insert = text

    def _view(self) -> View:
        """Return what is shown where no widget can be."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        fallback = self._view().mimebundle()
        if self._ws.settings.static:
            return fallback
        shown = super()._repr_mimebundle_(**kwargs)
        assert shown is not None  # it is so for widgets without a view only
        data, metadata = shown
        return {**fallback, **data, "text/plain": fallback["text/plain"]}, metadata

    def __repr__(self) -> str:
        about = f" of {clean(self._notebook.name)!r}" if self._notebook is not None else ""
        return f"<{type(self).__name__}{about}>"


def _after_cells(panel: Panel) -> None:
    """Tell a panel after each cell, as long as there is somebody who holds it."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None:
        return
    held = weakref.ref(panel)

    def tell(_: Any) -> None:
        if (found := held()) is not None:
            found._cell_has_run()
        else:
            shell.events.unregister("post_run_cell", tell)

    shell.events.register("post_run_cell", tell)


def problem(error: BaseException) -> dict[str, str]:
    """Return an error in words for the browser: ``code``, ``message`` and what to do, ``hint``."""
    if isinstance(error, SbfError):
        return {"code": error.code, "message": clean(error.message), "hint": clean(error.hint)}
    _log.error("a widget failed", exc_info=error)
    return {"code": "error", "message": f"{type(error).__name__}: {UNEXPECTED}", "hint": "try again"}
