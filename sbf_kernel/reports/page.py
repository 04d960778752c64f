"""An executed notebook as a page to read and print: no code, no scripts, nothing outside itself."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; media-src data:"
"""The content security policy in the page: a browser runs no script and loads nothing for it."""

_STYLE = """
:root{--ink:#1f2328;--paper:#fff;--line:#d8dee4;--soft:#f6f8fa;--muted:#59636e;--link:#0550ae}
:root.dark{--ink:#e6e6e6;--paper:#15171b;--line:#3d444d;--soft:#1f2329;--muted:#9da7b1;--link:#79b8ff;color-scheme:dark}
:root{--jp-content-font-color1:var(--ink);--jp-layout-color0:var(--paper);--jp-border-color1:var(--line);
--jp-border-color2:var(--line);--jp-content-link-color:var(--link)}
*{box-sizing:border-box}
body{margin:0;padding:3rem 1.5rem 5rem;background:var(--paper);color:var(--ink);
font:16px/1.6 system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif;overflow-wrap:anywhere}
main{max-width:52rem;margin:0 auto}
h1{font-size:2.1rem;line-height:1.2;margin:0 0 1rem;padding-bottom:.8rem;border-bottom:3px solid var(--ink)}
h2{font-size:1.35rem;margin:2.6rem 0 .7rem;padding-bottom:.25rem;border-bottom:1px solid var(--line)}
h3{font-size:1.08rem;margin:1.8rem 0 .4rem}
p{margin:.5rem 0 .8rem}
a{color:var(--link)}
pre{font:.82rem/1.5 ui-monospace,"DejaVu Sans Mono",monospace;background:var(--soft);border:1px solid var(--line);
border-radius:.4rem;padding:.8rem 1rem;white-space:pre-wrap;margin:.5rem 0 1rem}
code{font-family:ui-monospace,"DejaVu Sans Mono",monospace;font-size:.9em}
img,svg{max-width:100%}
table:not(.sbf-table){border-collapse:collapse;margin:.5rem 0 1rem;font-size:.93em}
table:not(.sbf-table) :is(th,td){padding:.3rem .8rem .3rem 0;border-bottom:1px solid var(--line);text-align:left}
.prompt{display:none}
.output_subarea{margin:.2rem 0 1rem}
.sbf-view{max-width:none;padding:0;font-size:.94rem}
.sbf-view .sbf-text{font-size:1.02rem}
.sbf-view table.sbf-table{width:100%}
.sbf-view .sbf-table :is(th,td){overflow-wrap:break-word}
.output_error pre,.failure{border-color:#e5484d;border-left:5px solid #e5484d}
footer{margin-top:4rem;padding-top:.8rem;border-top:1px solid var(--line);color:var(--muted);font-size:.85rem}
@page{margin:18mm 16mm}
@media print{:root,:root.dark{--ink:#000;--paper:#fff;--line:#bbb;--soft:#fff;--muted:#444;--link:#000;color-scheme:light}
body{padding:0;font-size:10.5pt}main{max-width:none}h1,h2,h3{break-after:avoid}
.sbf-card,tr,blockquote,pre{break-inside:avoid}}
""".strip()

_PAGE = """<!DOCTYPE html>
<html lang="en" class="{theme}"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}
</style></head>
<body><main>
{body}
</main></body></html>
"""


def to_html(notebook: Path, *, theme: str = "light", brief_errors: bool = False) -> str:
    """Return an executed notebook as a page without code, scripts or references to anything outside.

    Parameters
    ----------
    theme
        ``light`` or ``dark``; it prints in black on white.
    brief_errors
        Show what failed without the traceback, which tells of the machine.
    """
    import nbformat
    from nbconvert import HTMLExporter

    content = nbformat.read(notebook, as_version=4)  # type: ignore[no-untyped-call]
    if brief_errors:
        _shorten_errors(content)
    exporter = HTMLExporter(  # type: ignore[no-untyped-call]
        template_name="basic",
        embed_images=True,
        exclude_input=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
    )
    body, _ = exporter.from_notebook_node(content)
    title = (
        content.metadata.get("title")
        or content.metadata.get("papermill", {}).get("parameters", {}).get("title")
        or content.metadata.get("sbf", {}).get("title")
        or notebook.stem
    )
    dark = "dark" if theme == "dark" else "light"
    return _PAGE.format(theme=dark, policy=POLICY, title=html.escape(str(title)), style=_STYLE, body=body)


def _shorten_errors(content: Any) -> None:
    for cell in content.cells:
        for output in cell.get("outputs", ()):
            if output.output_type == "error":
                output.traceback = [f"{output.ename}: {output.evalue}"]


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


def external_references(page: str) -> list[str]:
    """Return what a browser would load when it shows this page, beyond the page itself."""
    parser = _References()
    parser.feed(page)
    parser.close()
    return parser.found
