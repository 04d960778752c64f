"""Tables of records, the fields of one record, and stretches of source text."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sbf_kernel.display.escaping import (
    WIDTH,
    Markup,
    View,
    clean,
    clip,
    columns,
    element,
    markdown,
    one_line,
    paragraphs,
    static,
    wrap,
)
from sbf_kernel.display.style import view

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LONGEST_CELL = 400
_NARROWEST = 12
"""Columns a wrapped column of a plain table keeps at least, where there is room."""

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_SIGNS = {
    "ready": ("✓", "good"),
    "verified": ("✓", "good"),
    "holds": ("✓", "good"),
    "ok": ("✓", "good"),
    "answered": ("✓", "good"),
    "failed": ("✗", "bad"),
    "broken": ("✗", "bad"),
    "unverified": ("⚠", "warn"),
    "not answered": ("⚠", "warn"),
    "processing": ("…", "busy"),
    "pending": ("·", "busy"),
    "removed": ("–", "warn"),
}


class Status(str):
    """A state in a word; shown with a sign and a tint."""

    __slots__ = ()

    def _look(self) -> tuple[str, str]:
        first = self.lower().replace(":", " ").replace(",", " ").split(" ", 1)[0]
        return _SIGNS.get(self.lower()) or _SIGNS.get(first, ("", ""))

    @property
    def sign(self) -> str:
        """The sign before the word."""
        return self._look()[0]

    @property
    def plain(self) -> str:
        """Sign and word."""
        return f"{self.sign} {one_line(self)}".strip()

    def badge(self) -> Markup:
        """Return sign and word as HTML; the sign is not read aloud."""
        tint = self._look()[1]
        sign = [element("span", self.sign, aria_hidden="true"), Markup(" ")] if self.sign else []
        return element("span", *sign, one_line(self), class_=f"sbf-badge sbf-{tint}" if tint else "sbf-badge")


class Verbatim(str):
    """Words of a source; shown whole."""

    __slots__ = ()


def cell(value: Any) -> str:
    """Return a value in words: empty for None, dates to the minute, lists with commas, numbers short."""
    if isinstance(value, (Status, Verbatim)):
        return value.plain if isinstance(value, Status) else one_line(value)
    if value is None or value == () or value == [] or value == {}:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, datetime):
        return "(time)" if static() else value.strftime("%Y-%m-%d %H:%M")
    if isinstance(value, UUID):
        return "(id)" if static() else str(value)
    if isinstance(value, dict):
        return clip(one_line(_json(value)), _LONGEST_CELL)
    if isinstance(value, (list, tuple, set, frozenset)):
        simple = all(isinstance(item, (str, int, float)) for item in value)
        return clip(one_line(", ".join(map(str, value)) if simple else _json(list(value))), _LONGEST_CELL)
    words = _ID.sub("(id)", str(value)) if static() else str(value)
    return clip(one_line(words), _LONGEST_CELL)


def _json(value: Any) -> str:
    return json.dumps(value, default=cell, ensure_ascii=False)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def table(title: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> View:
    """Return a table; columns that are empty in every row are left out.

    Parameters
    ----------
    title
        Caption, also read aloud.
    header
        Names of the columns.
    rows
        Values of any kind; :class:`Status` and :class:`Verbatim` are shown in their own way.
    """
    values = [tuple(row) for row in rows]
    kept = [n for n in range(len(header)) if not values or any(cell(row[n]) for row in values)]
    names = [one_line(header[n]) for n in kept]
    values = [tuple(row[n] for n in kept) for row in values]
    numeric = [bool(values) and all(_is_number(row[n]) or row[n] is None for row in values) for n in range(len(names))]
    texts = [[cell(value) for value in row] for row in values]
    title = one_line(title)
    return View(
        plain="\n".join([title, *_plain(names, texts, numeric)]).rstrip(),
        html=_html(title, names, values, numeric),
        markdown=_markdown(title, names, texts, numeric),
    )


def _html(title: str, names: Sequence[str], rows: Sequence[Sequence[Any]], numeric: Sequence[bool]) -> str:
    head = element(
        "tr",
        *(
            element("th", name, scope="col", class_="sbf-number" if right else None)
            for name, right in zip(names, numeric, strict=True)
        ),
    )
    body = [element("tr", *(_td(value, right) for value, right in zip(row, numeric, strict=True))) for row in rows]
    caption = element("caption", title)
    return view(title, element("table", caption, element("thead", head), element("tbody", *body), class_="sbf-table"))


def _td(value: Any, right: bool) -> Markup:
    if isinstance(value, Status) and value.sign:
        return element("td", value.badge(), class_="sbf-nowrap")
    if isinstance(value, Verbatim):
        return element("td", str(value), class_="sbf-verbatim")
    kind = "sbf-number" if right else "sbf-nowrap" if isinstance(value, datetime) else None
    return element("td", cell(value), class_=kind)


def _markdown(title: str, names: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool]) -> str:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    rule = line("---:" if right else "---" for right in numeric)
    lines = [line(map(markdown, names)), rule, *(line(map(markdown, row)) for row in rows)] if names else []
    return "\n".join([f"**{markdown(title)}**", "", *lines])


def _plain(names: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool]) -> list[str]:
    if not names:
        return []
    widths = _widths(names, rows)
    lines = [_row(names, widths, numeric), "  ".join("─" * width for width in widths)]
    return [*lines, *(_row(row, widths, numeric) for row in rows)]


def _widths(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """Return the width of each column; the widest give way until the table fits."""
    widths = [max([columns(name), 1, *(columns(row[n]) for row in rows)]) for n, name in enumerate(names)]
    room = WIDTH - 2 * (len(widths) - 1)
    while sum(widths) > room and max(widths) > _NARROWEST:
        widest = widths.index(max(widths))
        widths[widest] -= 1
    return widths


def _row(cells: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    wrapped = [wrap(text, width) for text, width in zip(cells, widths, strict=True)]
    height = max(map(len, wrapped))
    filled = [[*lines, *[""] * (height - len(lines))] for lines in wrapped]
    return "\n".join(
        "  ".join(_padded(*part) for part in zip(line, widths, numeric, strict=True)).rstrip()
        for line in zip(*filled, strict=True)
    )


def _padded(text: str, width: int, right: bool) -> str:
    blank = " " * (width - columns(text))
    return blank + text if right else text + blank


def fields(title: str, values: dict[str, Any]) -> View:
    """Return the fields of one record that say something, one a line."""
    said = {name: value for name, value in values.items() if value not in (None, "", (), [], {})}
    shown = {name: Status(value) if name == "status" else value for name, value in said.items()}
    texts = {one_line(name.replace("_", " ")): (cell(value), value) for name, value in shown.items()}
    width = max(map(columns, texts), default=0)
    plain = [
        f"{name}{' ' * (width - columns(name))}  {line}" if not n else f"{' ' * width}  {line}"
        for name, (text, _) in texts.items()
        for n, line in enumerate(wrap(text, max(20, WIDTH - width - 2)))
    ]
    rows = [
        element("tr", element("th", name, scope="row", class_="sbf-nowrap"), _td(value, False))
        for name, (_, value) in texts.items()
    ]
    body = element("table", element("caption", one_line(title)), element("tbody", *rows), class_="sbf-table")
    lines = [f"- {markdown(name)}: {markdown(text)}" for name, (text, _) in texts.items()]
    return View(
        plain="\n".join([one_line(title), *plain]),
        html=view(one_line(title), body),
        markdown="\n".join([f"**{markdown(title)}**", "", *lines]),
    )


def quote(title: str, text: str) -> View:
    """Return words of a source under a title, line breaks kept."""
    words = clean(text).strip("\n")
    block = element("blockquote", words, class_="sbf-quote")
    lines = "\n".join(f"> {markdown(line)}" if line.strip() else ">" for line in words.split("\n"))
    return View(
        plain=f"{one_line(title)}\n\n{paragraphs(words, indent='  ')}",
        html=view(one_line(title), element("p", one_line(title), class_="sbf-source"), block),
        markdown=f"**{markdown(title)}**\n\n{lines}",
    )
