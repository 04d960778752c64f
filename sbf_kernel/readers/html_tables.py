"""Tables in HTML: telling data from layout, and rows from spans."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sbf_kernel.readers.tree import Element

_MAX_SPAN: Final = 100
"""A browser clips colspan at 1000; more than 100 columns is no table a person reads."""
_MAX_COLUMNS: Final = 500
_LAYOUT_INSIDE: Final = ("table", "h1", "h2", "h3", "form", "article", "section", "nav", "ul", "ol", "pre", "p")
_LONG_CELL: Final = 400
"""Characters. Cells of data tables are phrases; a cell with paragraphs is a page layout."""
_BEFORE = re.compile(r"[$€£¥(]+")
_AFTER = re.compile(r"[)%\]]+")


def table_rows(table: Element) -> list[list[str]] | None:
    """Return the rows of a data table as texts of cells, or None when the table only lays out a page."""
    rows = [row for row in table.iter("tr") if _own(row, table)]
    if not rows or _is_layout(table, rows):
        return None
    return tidy([_cells(row) for row in rows])


def tidy(rows: list[list[str]]) -> list[list[str]]:
    """Drop columns without text and put together columns that are one to the eye.

    Financial reports align numbers by giving "$", "(" and "%" cells of their
    own, and headers that span them: neighbours that are never both filled, or
    are a sign and its number, become one column. The first column, which
    names the rows, is left alone.
    """
    width = max((len(row) for row in rows), default=0)
    columns = [[row[place] if place < len(row) else "" for row in rows] for place in range(width)]
    columns = [column for column in columns if any(column)]
    kept: list[list[str]] = []
    for place, column in enumerate(columns):
        if place > 1 and _fit(kept[-1], column):
            kept[-1] = [one + two for one, two in zip(kept[-1], column, strict=True)]
        else:
            kept.append(column)
    return [[column[place] for column in kept] for place in range(len(rows))]


def _fit(left: list[str], right: list[str]) -> bool:
    return all(
        not one or not two or bool(_BEFORE.fullmatch(one)) or bool(_AFTER.fullmatch(two))
        for one, two in zip(left, right, strict=True)
    )


def _own(row: Element, table: Element) -> bool:
    return next(row.iterancestors("table"), None) is table


def _is_layout(table: Element, rows: list[Element]) -> bool:
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


def _length(cell: Element) -> int:
    return len("".join(cell.itertext()))


def _cells(row: Element) -> list[str]:
    cells: list[str] = []
    for cell in row:
        if cell.tag in ("td", "th"):
            cells.append(cell_text(cell))
            cells.extend("" for _ in range(_span(cell) - 1))
        if len(cells) > _MAX_COLUMNS:
            break
    return cells


def _span(cell: Element) -> int:
    digits = (cell.get("colspan") or "").strip()
    return min(max(int(digits), 1), _MAX_SPAN) if digits.isdecimal() and len(digits) < 5 else 1


def cell_text(cell: Element) -> str:
    """Return a cell's text on one line, blanks where block elements and line breaks part it."""
    return " ".join("".join(_texts(cell)).split())


def _texts(element: Element) -> list[str]:
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
