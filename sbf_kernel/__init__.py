"""SBF: cited research inside Jupyter.

>>> import sbf_kernel as sbf
>>> ws = sbf.connect()                                     # doctest: +SKIP
>>> nb = ws.notebooks.create("AI Research")                # doctest: +SKIP
>>> nb.add("paper.pdf", "https://example.org/post")        # doctest: +SKIP
>>> nb.ask("Why does attention scale?")                    # doctest: +SKIP

Importing this package loads nothing; each name is imported when it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sbf_kernel import errors, records
    from sbf_kernel.connecting import connect
    from sbf_kernel.errors import SbfError
    from sbf_kernel.workspace import NotebookHandle, Workspace

__all__ = ["NotebookHandle", "SbfError", "Workspace", "connect", "errors", "records"]

_HOMES = {"connect": "connecting", "Workspace": "workspace", "NotebookHandle": "workspace", "SbfError": "errors"}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "__version__":
        from importlib.metadata import version

        return version("sbf-kernel")
    if name in _HOMES:
        return getattr(import_module(f"sbf_kernel.{_HOMES[name]}"), name)
    if name in __all__:
        return import_module(f"sbf_kernel.{name}")
    raise AttributeError(f"module 'sbf_kernel' has no attribute {name!r}")


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext sbf_kernel``: the magics, and ``ws`` and ``nb`` at hand."""
    from importlib import import_module

    import_module("sbf_kernel.magics").load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """``%unload_ext sbf_kernel``."""
    from importlib import import_module

    import_module("sbf_kernel.magics").unload(shell)


def __dir__() -> list[str]:
    return __all__
