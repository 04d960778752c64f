"""The server half of the JupyterLab extension: operations for the browser, carried out inside the Jupyter server.

A page of JupyterLab holds no token of SBF and speaks to nobody but its own
server. That one signs its user in, checks the XSRF cookie and passes
operations on to a workspace, which is opened when the first one comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """Tell the Jupyter server what to load."""
    return [{"module": "sbf_kernel.server_extension"}]


def _load_jupyter_server_extension(app: ServerApp) -> None:
    """Add the routes to a Jupyter server that starts."""
    from sbf_kernel.server_extension.routes import routes

    app.web_app.add_handlers(".*$", routes(app.web_app.settings["base_url"]))  # type: ignore[no-untyped-call]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        import sbf_kernel

        return sbf_kernel.__version__
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
