"""Tables in HTML: telling data from layout, and rows from spans."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lxml.etree import _Element

_MAX_SPAN: Final = 100
"""A browser clips colspan at 1000; more than 100 columns is no table a person reads."""
_LAYOUT_INSIDE: Final = ("table", "h1", "h2", "h3", "form", "article", "section", "nav", "ul", "ol", "pre", "p")
_LONG_CELL: Final = 400
"""Characters. Cells of data tables are phrases; a cell with paragraphs is a page layout."""
_BEFORE = re.compile(r"[$€£¥(]+")
_AFTER = re.compile(r"[)%\]]+")


def table_rows(table: _Element) -> list[list[str]] | None:
    """Return the rows of a data table as texts of cells, or None when the table only lays out a page."""
    rows = [row for row in table.iter("tr") if _own(row, table)]
    if not rows or _is_layout(table, rows):
        return None
    return tidy([_cells(row) for row in rows])


def tidy(rows: list[list[str]]) -> list[list[str]]:
    """Drop columns without any text and put lone currency and percent signs to their numbers.

    Financial reports align numbers by giving "$", "(" and "%" cells of their own.
    """
    width = max((len(row) for row in rows), default=0)
    full = [column for column in range(width) if any(column < len(row) and row[column] for row in rows)]
    rows = [[row[column] if column < len(row) else "" for column in full] for row in rows]
    if any(_BEFORE.fullmatch(cell) or _AFTER.fullmatch(cell) for row in rows for cell in row):
        rows = [_joined_signs(row) for row in rows]
    return rows


def _own(row: _Element, table: _Element) -> bool:
    return next(row.iterancestors("table"), None) is table


def _is_layout(table: _Element, rows: list[_Element]) -> bool:
    if table.get("role") in ("presentation", "none"):
        return True
    if any(True for _ in table.iter("th")) and next(table.iterdescendants("table"), None) is None:
        return False
    if next(table.iterdescendants("table"), None) is not None:
        return True
    cells = [cell for row in rows for cell in row if cell.tag in ("td", "th")]
    if len(cells) <= 1:
        return True
    if max(sum(1 for cell in row if cell.tag in ("td", "th")) for row in rows) == 1:
        return True  # one column
    long = sum(1 for cell in cells if _length(cell) > _LONG_CELL and next(cell.iter(*_LAYOUT_INSIDE), None) is not None)
    return long * 4 > len(rows)


def _length(cell: _Element) -> int:
    return len("".join(cell.itertext()))


def _cells(row: _Element) -> list[str]:
    cells: list[str] = []
    for cell in row:
        if cell.tag in ("td", "th"):
            cells.append(cell_text(cell))
            cells.extend("" for _ in range(_span(cell) - 1))
    return cells


def _span(cell: _Element) -> int:
    digits = (cell.get("colspan") or "").strip()
    return min(max(int(digits), 1), _MAX_SPAN) if digits.isdecimal() and len(digits) < 5 else 1


def cell_text(cell: _Element) -> str:
    """Return a cell's text on one line, blanks where block elements and line breaks part it."""
    return " ".join("".join(_texts(cell)).split())


def _texts(element: _Element) -> list[str]:
    texts = [element.text or ""]
    for child in element:
        tag = child.tag
        if isinstance(tag, str) and tag not in ("script", "style", "template", "rt", "rp"):
            if tag in ("br", "p", "div", "li", "tr", "h1", "h2", "h3", "h4"):
                texts.append(" ")
            texts.extend(_texts(child))
            if tag in ("p", "div", "li", "tr"):
                texts.append(" ")
        texts.append(child.tail or "")
    return texts


def _joined_signs(row: list[str]) -> list[str]:
    cells: list[str] = []
    before = ""
    for cell in row:
        if _BEFORE.fullmatch(cell):
            before += cell
        elif not cell and before:
            continue
        elif _AFTER.fullmatch(cell) and cells:
            last = next((place for place in range(len(cells) - 1, -1, -1) if cells[place]), None)
            if last is None:
                cells.append(cell)
            else:
                cells[last] += cell
        else:
            cells.append(before + cell)
            before = ""
    return [*cells, before] if before else cells
