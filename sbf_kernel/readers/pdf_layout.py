"""From pdfium's characters to the lines of a page in reading order.

pdfium keeps the order in which a page was drawn, which for most programs is
the order of reading; but some draw column by column what is a table, and some
draw line by line across columns. So words become *spans* (runs without a wide
gap), a recursive search for gutters parts columns of prose (in the manner of
XY-cut: Nagy, Seth & Viswanathan, 1992), and what has no gutter is read row by row.
"""

from __future__ import annotations

import ctypes
import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pypdfium2 import PdfPage  # type: ignore[import-untyped, unused-ignore]

_WIDE_GAP: Final = 1.0
"""In units of the letter height: a wider gap between words parts columns or cells."""
_PROSE_CHARS: Final = 18
"""A span this long can be a line of a column; shorter ones are cells, labels, numbers."""
_MIN_COLUMN_LINES: Final = 4
_WORD = re.compile(r"[^\s\ufffe]+\ufffe?|\ufffe")
"""pdfium puts U+FFFE for a hyphen at a line end and goes on with the next line without a break."""


@dataclass(slots=True)
class Span:
    """A run of words on one line without a wide gap. Coordinates in points, y grows upwards."""

    text: str
    left: float
    bottom: float
    right: float
    top: float
    size: float
    """Height of the letters in points."""
    bold: bool = False


@dataclass(slots=True)
class Line:
    """One line of a column, or one row of a table."""

    text: str
    left: float
    bottom: float
    right: float
    size: float
    bold: bool
    height_share: float
    """0 at the top of the page, 1 at the bottom."""
    cells: tuple[str, ...] = ()
    """The parts between wide gaps."""
    table: bool = False
    """Whether it belongs to a run of rows with several cells each."""
    sideways: bool = False
    edges: tuple[int, ...] = ()
    """Where the inner cells begin and end, in steps of 4 points."""


def page_lines(page: PdfPage) -> list[Line]:
    """Return the lines of a page in reading order; sideways text comes last."""
    upright, sideways = _spans(page)
    width, height = page.get_size()
    lines = _lines(_ordered(upright), height)
    if sideways:
        turned = _lines(_ordered(sideways), width)
        for line in turned:
            line.sideways = True
        lines += turned
    _mark_tables(lines)
    return lines


def _spans(page: PdfPage) -> tuple[list[Span], list[Span]]:
    """Return the page's spans: those along the page's rotation, and all others turned upright."""
    from pypdfium2 import raw

    textpage = page.get_textpage()
    try:
        chars = _characters(textpage, raw)
        groups: dict[int, list[Span]] = {}
        for line in re.finditer(r"[^\r\n]+", chars):
            words = [(word.start(), word.end()) for word in _WORD.finditer(chars, *line.span())]
            if words:
                turn = _turn(textpage, raw, words[0][0])
                groups.setdefault(turn, []).extend(_line_spans(textpage, raw, chars, words, turn))
    finally:
        textpage.close()
    main = (4 - page.get_rotation() // 90) % 4 if groups else 0
    if main not in groups and groups:
        main = max(groups, key=lambda turn: sum(len(span.text) for span in groups[turn]))
    sideways = [span for turn, spans in groups.items() if turn != main for span in spans]
    return groups.get(main, []), sideways


def _characters(textpage: Any, raw: Any) -> str:
    """Return the page's characters so that string index = pdfium's character index."""
    count = textpage.count_chars()
    text: str = textpage.get_text_range() if count else ""
    if len(text) == count:
        return text
    codes = (raw.FPDFText_GetUnicode(textpage, index) for index in range(count))
    return "".join(chr(code) if 0 < code < 0x110000 else "\0" for code in codes)


def _turn(textpage: Any, raw: Any, index: int) -> int:
    """Return by how many quarter turns a character is rotated."""
    angle = raw.FPDFText_GetCharAngle(textpage, index)
    return round(angle / 1.5707963) % 4 if angle >= 0 else 0


def _line_spans(textpage: Any, raw: Any, chars: str, words: list[tuple[int, int]], turn: int) -> list[Span]:
    """Part one line of pdfium at wide gaps and jumps."""
    spans: list[Span] = []
    box = raw.FS_RECTF()
    pointer = ctypes.byref(box)
    for start, end in words:
        if not raw.FPDFText_GetLooseCharBox(textpage, start, pointer):
            continue
        first = _upright(box, turn)
        size = first[3] - first[1]
        final = end - 2 if chars[end - 1] == "\ufffe" else end - 1
        if final > start and raw.FPDFText_GetLooseCharBox(textpage, final, pointer):
            last = _upright(box, turn)
            size = min(size, last[3] - last[1])  # a word may begin or end with a raised mark
            first = (min(first[0], last[0]), min(first[1], last[1]), max(first[2], last[2]), max(first[3], last[3]))
        left, bottom, right, top = first
        word = chars[start:end].replace("\0", "").replace("\ufffe", "\u00ad")
        if spans and _continues(spans[-1], left, bottom, right, top):
            span = spans[-1]
            span.text += " " + word
            span.left, span.right = min(span.left, left), max(span.right, right)
        else:
            spans.append(Span(word, left, bottom, right, top, size, _is_bold(textpage, raw, start)))
    return spans


def _upright(box: Any, turn: int) -> tuple[float, float, float, float]:
    """Return left, bottom, right, top as they would be if the text were not turned."""
    left, bottom, right, top = box.left, box.bottom, box.right, box.top
    if turn == 0:
        return left, bottom, right, top
    if turn == 1:
        return bottom, -right, top, -left
    if turn == 2:
        return -right, -top, -left, -bottom
    return -top, left, -bottom, right


def _continues(span: Span, left: float, bottom: float, right: float, top: float) -> bool:
    """Return whether a word stands beside ``span`` with no wide gap, on either side (right-to-left scripts)."""
    height = min(span.top - span.bottom, top - bottom) or 1.0
    if min(span.top, top) - max(span.bottom, bottom) < 0.4 * height:
        return False
    gap = max(left - span.right, span.left - right)
    return gap < _WIDE_GAP * max(span.top - span.bottom, top - bottom)


def _is_bold(textpage: Any, raw: Any, index: int) -> bool:
    buffer = ctypes.create_string_buffer(128)
    flags = ctypes.c_int()
    length = raw.FPDFText_GetFontInfo(textpage, index, buffer, 128, ctypes.byref(flags))
    name = buffer.raw[: max(min(length, 128) - 1, 0)].lower()
    return any(mark in name for mark in (b"bold", b"black", b"heavy", b"cmbx", b"-demi", b"medi"))


def _ordered(spans: list[Span]) -> list[Span]:
    """Return spans in reading order: columns of prose one after the other, all else row by row."""
    if len(spans) < 2 * _MIN_COLUMN_LINES:
        return _by_rows(spans)
    gutter = _gutter(spans)
    if gutter is None:
        return _by_rows(spans)
    ordered: list[Span] = []
    for crossing, left, right in _bands(spans, gutter):
        ordered += _by_rows(crossing)
        columns = (right, left) if _right_to_left(left + right) else (left, right)
        for column in columns:
            ordered += _ordered(column) if len(column) < len(spans) else _by_rows(column)
    return ordered


def _gutter(spans: list[Span]) -> float | None:
    """Return the x that parts two columns, or None.

    Columns are told from tables by their lines: many, long, starting at one
    x and filling the column's width; or, beside a column of prose, short ones
    that do not stand on its lines.
    """
    prose = [span for span in spans if len(span.text) >= _PROSE_CHARS]
    if len(prose) < _MIN_COLUMN_LINES:
        return None
    page_left, page_right = min(span.left for span in spans), max(span.right for span in spans)
    width = page_right - page_left
    starts = Counter(round(span.left / 3) for span in spans)
    for start, _ in sorted(starts.items(), key=lambda item: -item[1])[:8]:
        count = starts[start - 1] + starts[start] + starts[start + 1]
        x = (start - 1) * 3 - 2.0
        inside = page_left + 0.15 * width < x < page_left + 0.85 * width
        if count >= _MIN_COLUMN_LINES and inside and (_parts(prose, x) or _parts_aside(spans, x)):
            return x
    return None


def _parts(prose: list[Span], x: float) -> bool:
    """Return whether ``x`` has full columns of prose on both sides over the same stretch of the page."""
    left, right, crossing = _sides(prose, x)
    if min(len(left), len(right)) < _MIN_COLUMN_LINES or crossing > 0.5 * (len(left) + len(right)):
        return False
    return _fill(left) > 0.7 and _fill(right) > 0.6


def _parts_aside(spans: list[Span], x: float) -> bool:
    """Return whether ``x`` parts prose from a column that keeps lines of its own, such as a box at the side."""
    left, right, crossing = _sides(spans, x)
    if min(len(left), len(right)) < _MIN_COLUMN_LINES or crossing > 0.1 * (len(left) + len(right)):
        return False
    if sum(1 for span in left + right if len(span.text) >= _PROSE_CHARS) < 0.5 * min(len(left), len(right)):
        return False
    fewer, more = sorted((left, right), key=len)
    on_lines = sum(1 for one in fewer if any(abs(one.bottom - two.bottom) < 0.15 * one.size for two in more))
    return on_lines < 0.5 * len(fewer) and max(_fill(left), _fill(right)) > 0.8


def _sides(spans: list[Span], x: float) -> tuple[list[Span], list[Span], int]:
    """Return the spans left and right of ``x`` where both sides have some, and how many cross it there."""
    right = [span for span in spans if span.left >= x]
    left = [span for span in spans if span.right <= x + 3]
    if not left or not right:
        return [], [], 0
    top = min(max(span.top for span in left), max(span.top for span in right))
    bottom = max(min(span.bottom for span in left), min(span.bottom for span in right))
    within = [span for span in spans if span.bottom < top and span.top > bottom]
    crossing = sum(1 for span in within if span.left < x - 3 and span.right > x + 6)
    return [span for span in within if span.right <= x + 3], [span for span in within if span.left >= x], crossing


def _fill(column: list[Span]) -> float:
    """Return how much of the column's width its lines take, typically."""
    edges = sorted(span.right for span in column)
    left = min(span.left for span in column)
    right = edges[int(0.95 * (len(edges) - 1))]
    return median((span.right - span.left) / max(right - left, 1.0) for span in column)


def _bands(spans: list[Span], x: float) -> list[tuple[list[Span], list[Span], list[Span]]]:
    """Part a page at the spans that cross the gutter: (crossing, left, right) from top to bottom."""
    bands: list[tuple[list[Span], list[Span], list[Span]]] = [([], [], [])]
    for span in sorted(spans, key=lambda span: -(span.top + span.bottom)):
        if span.left < x - 3 and span.right > x + 6:
            if bands[-1][1] or bands[-1][2]:
                bands.append(([], [], []))
            bands[-1][0].append(span)
        else:
            bands[-1][1 if span.right <= x + 6 and span.left < x else 2].append(span)
    return bands


def _by_rows(spans: list[Span]) -> list[Span]:
    """Return spans from top to bottom, those of one row side by side."""
    ordered: list[Span] = []
    for row in _rows(spans):
        ordered += sorted(row, key=lambda span: -span.right if _right_to_left(row) else span.left)
    return ordered


def _rows(spans: list[Span]) -> list[list[Span]]:
    """Group spans whose middles stand within each other's height."""
    rows: list[list[Span]] = []
    for span in sorted(spans, key=lambda span: -(span.top + span.bottom)):
        if rows and _same_row(rows[-1][0], span):
            rows[-1].append(span)
        else:
            rows.append([span])
    return rows


def _same_row(one: Span, two: Span) -> bool:
    shared = min(one.top, two.top) - max(one.bottom, two.bottom)
    small, large = sorted((one.size, two.size))
    # Indices and exponents are smaller than their line and stand half outside it.
    return shared > (0.5 if small > 0.8 * large else 0.3) * small


def _right_to_left(spans: list[Span]) -> bool:
    text = "".join(span.text for span in spans[:50])
    right = sum(1 for char in text if "\u0590" <= char <= "\u08ff" or "\ufb1d" <= char <= "\ufefc")
    return right * 2 > sum(char.isalpha() for char in text) > 0


def _lines(spans: list[Span], height: float) -> list[Line]:
    """Join neighbours of one row to lines; order stays."""
    lines: list[list[Span]] = []
    for span in spans:
        if lines and _same_row(lines[-1][-1], span) and _beside(lines[-1][-1], span):
            lines[-1].append(span)
        else:
            lines.append([span])
    return [_line(row, height) for row in lines]


def _beside(one: Span, two: Span) -> bool:
    return two.left >= one.right - 0.5 * one.size or two.right <= one.left + 0.5 * one.size


def _line(row: list[Span], height: float) -> Line:
    size = max(row, key=lambda span: len(span.text)).size
    bottom = max(row, key=lambda span: len(span.text)).bottom
    cells = _cells(row)
    return Line(
        text=" ".join(cells),
        left=min(span.left for span in row),
        bottom=bottom,
        right=max(span.right for span in row),
        size=size,
        bold=all(span.bold for span in row),
        height_share=min(max(1 - (bottom + size / 2) / max(height, 1.0), 0.0), 1.0),
        cells=cells,
        edges=_edges(row) if len(cells) > 1 else (),
    )


def _edges(row: list[Span]) -> tuple[int, ...]:
    gaps = [(one, two) for one, two in pairwise(row) if two.left - one.right >= _WIDE_GAP * max(one.size, two.size)]
    return tuple(
        {round(two.left / 4) for _, two in gaps}
        | {round(row[-1].right / 4)}
        | {round(one.right / 4) for one, _ in gaps[1:]}
    )


def _cells(row: list[Span]) -> tuple[str, ...]:
    """Return the texts of a row between wide gaps; an index or exponent is no cell of its own."""
    cells = [row[0].text]
    for one, two in pairwise(row):
        gap = max(two.left - one.right, one.left - two.right)
        if gap < _WIDE_GAP * max(one.size, two.size):
            glue = "" if gap < 0.12 * max(one.size, two.size) else " "
            cells[-1] += glue + two.text
        else:
            cells.append(two.text)
    return tuple(cells)


def _mark_tables(lines: list[Line]) -> None:
    """Mark runs of three or more lines with several cells each whose edges line up."""
    start = 0
    while start < len(lines):
        end = start
        while end < len(lines) and len(lines[end].cells) > 1 and not lines[end].sideways:
            end += 1
        if end - start >= 3 and _aligned(lines[start:end]):
            for line in lines[start:end]:
                line.table = True
        start = max(end, start + 1)


def _aligned(rows: list[Line]) -> bool:
    """Return whether most rows share the edge of some inner cell with another row: centred lines do not."""
    edges = Counter(edge for row in rows for edge in {*row.edges, *(edge + 1 for edge in row.edges)})
    aligned = sum(1 for row in rows if any(max(edges[edge], edges[edge + 1]) > 1 for edge in row.edges))
    return aligned > 0.5 * len(rows)
