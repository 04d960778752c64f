"""Jupyter notebooks: cells with their numbers, outputs that are text."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from sbf_kernel.errors import SourceBroken
from sbf_kernel.readers.markdown import add_markdown
from sbf_kernel.readers.reading import RawSource, Reading, ReadingBuilder
from sbf_kernel.readers.text import decode

MAX_OUTPUT: Final = 20_000
"""Characters kept of one output: a training log says nothing more after that."""
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_PICTURE = re.compile(r"<(?:Figure size |matplotlib\.|IPython\.core\.display\.|Axes|AxesSubplot|seaborn\.)[^\n]*>$")


def read_ipynb(source: RawSource) -> Reading:
    """Read a notebook: Markdown, code, and outputs as text; pictures and widgets are left out."""
    try:
        notebook = json.loads(decode(source.content))
    except (ValueError, RecursionError) as error:
        raise SourceBroken(f"{source.name!r} is no notebook: its JSON is damaged ({error})"[:300]) from error
    if not isinstance(notebook, dict):
        raise SourceBroken(f"{source.name!r} is no notebook: it holds no cells")
    cells = notebook.get("cells")
    if cells is None:  # nbformat 3
        sheets = notebook.get("worksheets")
        cells = [cell for sheet in _list(sheets) if isinstance(sheet, dict) for cell in _list(sheet.get("cells"))]
    builder = ReadingBuilder()
    title = ""
    for number, cell in enumerate(_list(cells), 1):
        if isinstance(cell, dict):
            heading = _add_cell(builder, cell, number)
            title = title or heading
    metadata = notebook.get("metadata")
    facts = metadata if isinstance(metadata, dict) else {}
    declared = facts.get("title")
    language = facts.get("language_info")
    return builder.build(
        title=declared if isinstance(declared, str) else title,
        media_type="application/x-ipynb+json",
        metadata={"language": _text(language.get("name"))} if isinstance(language, dict) else {},
    )


def _add_cell(builder: ReadingBuilder, cell: dict[str, Any], number: int) -> str:
    """Append a cell; return its first heading."""
    kind = cell.get("cell_type")
    source = _text(cell.get("source", cell.get("input")))
    if kind == "markdown":
        return add_markdown(builder, source, cell=number)
    if kind == "heading":  # nbformat 3
        level = cell.get("level")
        builder.heading(source, level if isinstance(level, int) and 0 < level < 7 else 1, cell=number)
        return source
    builder.add(source, "paragraph" if kind == "raw" else "code", cell=number)
    for output in _list(cell.get("outputs")):
        if isinstance(output, dict):
            builder.add(_output_text(output), "code", cell=number)
    return ""


def _output_text(output: dict[str, Any]) -> str:
    if output.get("output_type") in ("error", "pyerr"):
        text = f"{_text(output.get('ename'))}: {_text(output.get('evalue'))}"
    elif "text" in output:  # a stream, or any output in nbformat 3
        text = _text(output["text"])
    else:
        data = output.get("data")
        shown = data if isinstance(data, dict) else {}
        text = _text(shown.get("text/plain")) or _text(shown.get("text/markdown")) or _text(shown.get("text/latex"))
        if _PICTURE.match(text.strip()):
            return ""
    text = _ANSI.sub("", text)
    # A progress bar overwrites its line; what a person sees is what it wrote last.
    text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return text if len(text) <= MAX_OUTPUT else text[:MAX_OUTPUT] + " …"


def _text(value: Any) -> str:
    """Return a multiline string of the notebook format, which may be a list of lines."""
    if isinstance(value, list):
        return "".join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
