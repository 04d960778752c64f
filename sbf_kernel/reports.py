"""Reports: a notebook with parameters, run from top to bottom, becomes an HTML page that needs no network.

A template is an ordinary Jupyter notebook with a cell tagged ``parameters``.
SBF brings some; any of your own works as well.
"""

from __future__ import annotations

import ast
import json
import os
import re
import sys
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from sbf_kernel.errors import InvalidInput, MissingExtra, SbfError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_INSTALLED = Path(__file__).parent / "report_templates"
_CHECKOUT = Path(__file__).parent.parent / "notebooks" / "reports"

_PAGE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; media-src data:">
{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
{%- block html_head_css -%}
<style>
body.jp-Notebook{padding:2rem 1rem 4rem;background:var(--jp-layout-color0)}
main{max-width:58rem;margin:0 auto}
.jp-Notebook .jp-Cell{padding:.15rem 0}
.jp-OutputPrompt,.jp-InputPrompt,.jp-OutputArea-prompt{display:none}
.jp-RenderedMarkdown h1{font-size:2rem;border-bottom:2px solid var(--jp-border-color1);padding-bottom:.4rem}
.jp-RenderedMarkdown h2{margin-top:2rem}
@media print{.sbf-card{break-inside:avoid}}
</style>
{%- endblock -%}
"""
"""The page: readable width, no scripts at all, and a policy that forbids the browser to load anything."""


def names() -> list[str]:
    """Return the names of the templates that SBF brings."""
    return sorted(path.stem for path in _own_templates().glob("*.ipynb"))


def _own_templates() -> Path:
    return _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT


def find(template: str | Path) -> Path:
    """Return the path of a template, given its path or the name of one that SBF brings.

    Raises
    ------
    InvalidInput
        There is none.
    """
    given = Path(template).expanduser()
    if given.suffix == ".ipynb" and given.is_file():
        return given.absolute()
    own = _own_templates() / f"{template}.ipynb"
    if str(template) in names():
        return own
    raise InvalidInput(
        f"there is no report template {str(template)!r}", hint=f"give a .ipynb file or one of: {', '.join(names())}"
    )


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
    InvalidInput
        No such template or parameter, or the page would need a network.
    SbfError
        A cell failed. Page and notebook are written all the same and show the traceback.
    """
    source, page = find(template), Path(output).expanduser().absolute()
    executed = page.with_suffix(".ipynb")
    if page.suffix.lower() not in (".html", ".htm") or executed == source:
        raise InvalidInput(
            f"cannot write the report to {page.name}", hint="name an .html file, not that of the template"
        )
    _check_parameters(source, parameters)
    page.parent.mkdir(parents=True, exist_ok=True)
    failed = _execute(source, executed, parameters, _environment(home, database_url), timeout)
    html = to_html(executed, theme=theme)
    page.write_text(html, encoding="utf-8")
    if failed is not None:
        raise SbfError(
            f"{source.name} failed in cell {failed.exec_count}: {failed.ename}: {failed.evalue}",
            hint=f"{page} shows the traceback",
            report=str(page),
        )
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


def _check_parameters(source: Path, parameters: Mapping[str, Any]) -> None:
    known = parameters_of(source)
    if unknown := sorted(set(parameters) - set(known)):
        raise InvalidInput(
            f"{source.name} has no parameter {', '.join(unknown)}", hint=f"it has: {', '.join(known) or 'none'}"
        )


def parameters_of(template: str | Path) -> list[str]:
    """Return the names that the template's cell tagged ``parameters`` assigns."""
    _papermill()
    import nbformat

    try:
        cells = nbformat.read(find(template), as_version=4).cells  # type: ignore[no-untyped-call]
        code = "\n".join(cell.source for cell in cells if "parameters" in cell.metadata.get("tags", []))
        assigned = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Assign | ast.AnnAssign)]
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, SyntaxError) as error:
        raise InvalidInput(
            f"{template} is not a Jupyter notebook that can run: {error}", hint="open it in Jupyter"
        ) from error
    targets = [
        target for node in assigned for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    ]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _papermill() -> Any:
    # Paths of both old and new platforms are asked for; the newer ones are right, without a warning about it.
    os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")
    try:
        import ipykernel  # noqa: F401
        import nbconvert  # noqa: F401
        import papermill
    except ImportError as error:
        raise MissingExtra(f"reports need {error.name}", hint="pip install 'sbf-kernel[jupyter]'") from error
    return papermill


def _execute(
    source: Path, executed: Path, parameters: Mapping[str, Any], environment: dict[str, str], timeout: int | None
) -> Any:
    """Run the notebook and return the error of the cell that failed, or None."""
    papermill = _papermill()
    with _kernelspec(environment) as (name, config):
        try:
            papermill.execute_notebook(
                str(source),
                str(executed),
                parameters=dict(parameters),
                kernel_name=name,
                language="python",
                progress_bar=False,
                store_widget_state=False,
                execution_timeout=timeout,
                config=config,
            )
        except papermill.PapermillExecutionError as error:
            return error
    return None


@contextmanager
def _kernelspec(environment: dict[str, str]) -> Iterator[tuple[str, Any]]:
    """Offer a kernel of this very interpreter for a while, whatever kernels are installed.

    It is spoken to through sockets in a folder of ours: no port is opened, so nobody else on the machine can listen, and
    it works where there is no network at all, not even the loopback.
    """
    from traitlets.config import Config

    with TemporaryDirectory(prefix="sbf-report-") as folder:
        place = Path(folder, "kernels", "sbf-report")
        place.mkdir(parents=True)
        spec = {
            "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--log-level=CRITICAL"],
            "display_name": "SBF report",
            "language": "python",
            "env": environment,
        }
        (place / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
        before = os.environ.get("JUPYTER_PATH")
        os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [folder, before]))
        try:
            yield place.name, Config({"KernelManager": {"transport": "ipc", "ip": str(Path(folder, "ipc"))}})
        finally:
            if before is None:
                del os.environ["JUPYTER_PATH"]
            else:
                os.environ["JUPYTER_PATH"] = before


def to_html(notebook: Path, *, theme: str = "light") -> str:
    """Return an executed notebook as a page without code, scripts or references to anything outside."""
    import nbformat
    from nbconvert import HTMLExporter

    content = nbformat.read(notebook, as_version=4)  # type: ignore[no-untyped-call]
    exporter = HTMLExporter(  # type: ignore[no-untyped-call]
        raw_template=_PAGE,
        theme=theme,
        embed_images=True,
        exclude_input=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
        mathjax_url="",
        require_js_url="",
        jquery_url="",
    )
    title = (
        content.metadata.get("title")
        or content.metadata.get("papermill", {}).get("parameters", {}).get("title")
        or notebook.stem
    )
    html, _ = exporter.from_notebook_node(content, resources={"metadata": {"name": str(title)}})
    return str(html)


class _References(HTMLParser):
    """Collects what a browser would load by itself; links that people may click are none."""

    _LOADING = ("src", "srcset", "poster", "data", "background", "manifest", "xlink:href")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._style = tag == "style"
        if tag == "script":
            self.found.append("a script")
        for name, value in attrs:
            loads = (
                name in self._LOADING
                or (name == "href" and tag not in ("a", "area"))
                or (name == "style" and "url(" in (value or ""))
            )
            if loads and value and not value.strip().lower().startswith(("data:", "#")):
                self.found.append(value)

    def handle_data(self, data: str) -> None:
        if self._style:
            urls = re.findall(r"url\(\s*['\"]?([^)'\"]*)|@import\s+([^;]*)", data)
            self.found += [
                url or rule for url, rule in urls if not (url or rule).strip().lower().startswith(("data:", "#"))
            ]

    def handle_endtag(self, tag: str) -> None:
        self._style = False


def external_references(html: str) -> list[str]:
    """Return what a browser would load when it shows this page, beyond the page itself."""
    parser = _References()
    parser.feed(html)
    parser.close()
    return parser.found
