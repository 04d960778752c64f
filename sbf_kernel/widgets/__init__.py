"""Widgets for Jupyter: sources, search, a source viewer, chat, jobs.

Hand them out with ``nb.widgets`` and ``ws.widgets``. They use only what a
user could use, so they work on a local and on a remote workspace. Everything
travels through the kernel's own channel: no web server, no address, no CDN.

One file per widget here; what the browser runs is in ``static/``, plain
JavaScript that is put together when a widget is imported. Text of sources,
answers and errors is shown as text there, never as HTML.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from sbf_kernel.errors import MissingExtra

_PLACES = {
    "SourcesBox": "sources",
    "SearchBox": "search",
    "SourceViewer": "viewer",
    "ChatBox": "chat",
    "JobsBox": "jobs",
}

__all__ = ["ChatBox", "JobsBox", "SearchBox", "SourceViewer", "SourcesBox"]


def __getattr__(name: str) -> Any:
    """Load a widget when it is asked for.

    Raises
    ------
    MissingExtra
        anywidget is not installed.
    """
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name not in ("anywidget", "ipywidgets", "traitlets"):
            raise
        raise MissingExtra(f"{error.name} is not installed", hint="pip install -U sbf-kernel") from error
