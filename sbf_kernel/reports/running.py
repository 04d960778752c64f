"""Runs a template in a kernel of its own and writes the page."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from sbf_kernel.errors import InvalidInput, MissingExtra, SbfError
from sbf_kernel.reports.page import external_references, to_html
from sbf_kernel.reports.templates import check_names, find

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def run(
    template: str | Path,
    parameters: Mapping[str, Any],
    output: str | Path,
    *,
    home: str | Path | None = None,
    database_url: str | None = None,
    theme: str = "light",
    timeout: int | None = None,
) -> Path:
    """Run a template and write the page and, beside it, the executed notebook.

    Parameters
    ----------
    template
        Path of a notebook, or the name of one that SBF brings.
    parameters
        Values for its parameters.
    output
        The page to write, ``….html``.
    home, database_url
        The workspace that the notebook's own ``sbf.connect()`` opens.
    theme
        ``light`` or ``dark``.
    timeout
        Seconds that one cell may take; None: any time.

    Returns
    -------
    The path of the page.

    Raises
    ------
    NotFound
        No such template.
    InvalidInput
        No such parameter, or the page would need a network.
    SbfError
        A cell failed. Page and notebook are written all the same and show the traceback.
    """
    source, page = find(template), Path(output).expanduser().absolute()
    executed = page.with_suffix(".ipynb")
    if page.suffix.lower() not in (".html", ".htm") or executed == source:
        raise InvalidInput(
            f"cannot write the report to {page.name}", hint="name an .html file, not that of the template"
        )
    check_names(source, parameters)
    page.parent.mkdir(parents=True, exist_ok=True)
    failed = execute(source, executed, parameters, _environment(home, database_url), timeout)
    html = to_html(executed, theme=theme)
    page.write_text(html, encoding="utf-8")
    if failed is not None:
        raise SbfError(f"{source.name} {failed}", hint=f"{page} shows the traceback", report=str(page))
    if loads := external_references(html):
        raise InvalidInput(f"the page would load {loads[0]}", hint="let the template embed it", report=str(page))
    return page


def _environment(home: str | Path | None, database_url: str | None) -> dict[str, str]:
    """Return what the kernel learns by its environment: addresses may hold a password, so they are no parameters."""
    given = {
        "SBF_HOME": home and str(Path(home).expanduser().absolute()),
        "SBF_DATABASE_URL": database_url,
        "SBF_STATIC": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    return {name: value for name, value in given.items() if value}


def execute(
    source: Path,
    executed: Path,
    parameters: Mapping[str, Any],
    environment: Mapping[str, str],
    timeout: int | None,
) -> str | None:
    """Run a notebook from top to bottom, into another file.

    Parameters
    ----------
    environment
        Variables for its kernel, besides those of this process.

    Returns
    -------
    What failed, in words; None when nothing did.
    """
    papermill = _papermill()
    with _kernel(environment) as (kernel, config):
        try:
            papermill.execute_notebook(
                str(source),
                str(executed),
                parameters=dict(parameters),
                kernel_name="sbf-report",
                language="python",
                progress_bar=False,
                store_widget_state=False,
                execution_timeout=timeout,
                kernel_manager_class=kernel,
                config=config,
            )
        except papermill.PapermillExecutionError as error:
            return f"failed in cell {error.exec_count}: {error.ename}: {error.evalue}"
    return None


def _papermill() -> Any:
    # Paths of both old and new platforms are asked for; the newer ones are right, without a warning about it.
    os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")
    try:
        import ipykernel  # noqa: F401
        import nbconvert  # noqa: F401
        import papermill
    except ImportError as error:
        raise MissingExtra(f"reports need {error.name}", hint="pip install -U sbf-kernel") from error
    return papermill


@contextmanager
def _kernel(environment: Mapping[str, str]) -> Iterator[tuple[type, Any]]:
    """Offer a kernel of this very interpreter, whatever kernels are installed.

    It is spoken to through sockets in a folder of ours: no port is opened, so nobody else on the machine can listen, and
    it works where there is no network at all, not even the loopback.
    """
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager
    from traitlets.config import Config

    class Kernel(AsyncKernelManager):
        """Begins the kernel of one report."""

        @property
        def kernel_spec(self) -> Any:
            """What to start, whatever the name."""
            return KernelSpec(
                argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--log-level=CRITICAL"],
                display_name="SBF report",
                language="python",
                env=dict(environment),
            )

    with TemporaryDirectory(prefix="sbf-report-") as folder:
        yield Kernel, Config({"KernelManager": {"transport": "ipc", "ip": str(Path(folder, "ipc"))}})
