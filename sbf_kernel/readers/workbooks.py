"""Workbooks: XLSX streamed row by row, XLS and XLSB through calamine.

XLSX is streamed rather than loaded because sheets are sparse: one stray cell
in the last row and column makes 17 billion cells of a dense grid.
"""

from __future__ import annotations

import io
import re
from datetime import date, datetime, time, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final

from sbf_kernel.errors import SourceBroken, SourceEmpty, SourceEncrypted, SourceTooLarge
from sbf_kernel.readers.archive import Archive
from sbf_kernel.readers.docx import core_facts
from sbf_kernel.readers.reading import RawSource, Reading, ReadingBuilder, table_line
from sbf_kernel.readers.tree import Element, attribute, count_elements, local, stream_xml

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_CELLS: Final = 3_000_000
"""Cells with a value: about 500 MB of blocks. Larger tables belong into a database."""
_MAX_DENSE: Final = 20_000_000
"""Cells of a grid that calamine may lay out, empty ones included (24 bytes each)."""
_DATE_FORMATS: Final = frozenset({14, 15, 16, 17, 22, 27, 30, 36, 50, 57})
_TIME_FORMATS: Final = frozenset({18, 19, 20, 21, 45, 46, 47})
_PERCENT_FORMATS: Final = frozenset({9, 10})
_XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_NUMBER = re.compile(r"[-+]?\d[\d.,]*(?:[eE][-+]?\d+)?%?|\d{4}-\d\d-\d\d.*|\d\d:\d\d:\d\d|TRUE|FALSE")
_YEAR = re.compile(r"(?:19|20)\d\d")
_CELL = re.compile(r"([A-Z]{1,3})(\d{1,7})$")


def read_xlsx(source: RawSource) -> Reading:
    """Read an XLSX workbook: one block per row, with sheet and row number; cell comments follow each sheet."""
    archive = Archive(source.content, source.name)
    main = next((path for kind, path in archive.relations("").values() if kind == "officeDocument"), "")
    main = main if main in archive else "xl/workbook.xml"
    root = archive.xml(main)
    if root is None:
        raise SourceBroken(f"{source.name!r} is damaged: it has no workbook part")
    relations = archive.relations(main)
    book = _Book(archive, relations, root)
    builder = ReadingBuilder()
    cells = 0
    for sheet, path in book.sheets():
        rows = list(book.rows(path))
        cells += sum(len(row) for _, row in rows)
        if cells > MAX_CELLS:
            raise SourceTooLarge(f"{source.name!r} holds more than {MAX_CELLS:,} cells")
        add_sheet(builder, sheet, rows)
        _add_comments(builder, archive, path, sheet)
    if builder.empty:
        raise SourceEmpty(f"{source.name!r} is a workbook without any filled cell", source=source.name)
    facts = core_facts(archive)
    return builder.build(title=facts.pop("title", "") or source.name, media_type=_XLSX, metadata=facts)


def read_xls(source: RawSource) -> Reading:
    """Read an XLS or XLSB workbook."""
    from python_calamine import CalamineWorkbook, PasswordError

    if source.content.startswith(b"PK"):
        archive = Archive(source.content, source.name)
        for part in archive.names:
            count_elements(archive.read(part), f"{source.name!r}: {part}")
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(source.content))
    except PasswordError as error:
        raise SourceEncrypted(
            f"{source.name!r} is encrypted; SBF cannot open protected XLS files",
            source=source.name,
            hint="remove the password in Excel and add it again",
        ) from error
    builder = ReadingBuilder()
    for sheet in book.sheet_names:
        grid = book.get_sheet_by_name(sheet)
        if grid.total_height * grid.total_width > _MAX_DENSE:
            raise SourceTooLarge(
                f"{source.name!r}: sheet {sheet!r} spans {grid.total_height * grid.total_width:,} cells"
            )
        rows = [
            (number, [value_text(value) for value in row])
            for number, row in enumerate(grid.to_python(skip_empty_area=False), 1)
        ]
        add_sheet(builder, sheet, rows)
    if builder.empty:
        raise SourceEmpty(f"{source.name!r} is a workbook without any filled cell", source=source.name)
    return builder.build(title=source.name, media_type="application/vnd.ms-excel")


def add_sheet(builder: ReadingBuilder, sheet: str, rows: list[tuple[int, list[str]]]) -> None:
    """Append a sheet under a heading with its name; columns without text are dropped.

    A sheet may hold several tables: a new one, with a header of its own,
    begins after an empty row where words follow numbers.
    """
    rows = [(number, cells) for number, cells in rows if any(cell.strip() for cell in cells)]
    if not rows:
        return
    used = sorted({column for _, cells in rows for column, cell in enumerate(cells) if cell.strip()})
    builder.heading(sheet, 1, sheet=sheet)
    table: list[tuple[int, list[str]]] = []
    for number, cells in rows:
        row = [cells[column] if column < len(cells) else "" for column in used]
        if table and number > table[-1][0] + 1 and not _numbers(row) and any(_numbers(cells) for _, cells in table):
            _add_table(builder, sheet, table)
            table = []
        table.append((number, row))
    _add_table(builder, sheet, table)
    builder.close(1)


def _add_table(builder: ReadingBuilder, sheet: str, table: list[tuple[int, list[str]]]) -> None:
    """Append one table; its header is the fullest of the rows before the first one with numbers."""
    head = list(takewhile(lambda cells: not _numbers(cells), (cells for _, cells in table))) or [table[0][1]]
    if len(head) == len(table):
        head = head[:3]  # a table of words only
    header = table_line(max(head, key=lambda cells: sum(1 for cell in cells if cell.strip())))
    for number, cells in table:
        builder.add(table_line(cells), "table", header=header, sheet=sheet, row=number)


def _numbers(cells: list[str]) -> bool:
    """Return whether a row holds a number that is no year."""
    return any(_NUMBER.fullmatch(cell) and not _YEAR.fullmatch(cell) for cell in cells)


def value_text(value: Any) -> str:
    """Return a cell's value as a person would type it."""
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ", "seconds")
    return value.isoformat() if isinstance(value, date | time) else str(value)


def number_text(value: float) -> str:
    """Return a number with the 15 digits Excel keeps, without a trailing ``.0``."""
    if value != value or value in (float("inf"), float("-inf")):
        return str(value)
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.15g}"


class _Book:
    """The parts of an XLSX package that rows need."""

    def __init__(self, archive: Archive, relations: dict[str, tuple[str, str]], root: Element) -> None:
        self._archive = archive
        self._relations = relations
        self._root = root
        self._strings = list(self._shared_strings())
        self._formats = self._number_formats()
        properties = next((node for node in root if local(node) == "workbookPr"), None)
        old = properties is not None and attribute(properties, "date1904") in ("1", "true")
        self._epoch = datetime(1904, 1, 1) if old else datetime(1899, 12, 30)  # noqa: DTZ001 (a cell has no time zone)

    def sheets(self) -> Iterator[tuple[str, str]]:
        """Yield the name and path of every worksheet in the order of its tabs."""
        for node in self._root.iter():
            if local(node) == "sheet":
                identifier = next((str(v) for k, v in node.attrib.items() if str(k).endswith("}id")), "")
                kind, path = self._relations.get(identifier, ("", ""))
                if kind == "worksheet" and path in self._archive:
                    yield attribute(node, "name"), path

    def rows(self, path: str) -> Iterator[tuple[int, list[str]]]:
        """Yield row number and cells of a worksheet, without building its tree."""
        number = 0
        for row in self._streamed(path, "row"):
            said = attribute(row, "r")
            number = int(said) if said.isdecimal() and len(said) < 9 else number + 1
            cells: dict[int, str] = {}
            column = -1
            for cell in row:
                if local(cell) == "c":
                    place = _CELL.match(attribute(cell, "r"))
                    column = _column(place[1]) if place else column + 1
                    text = self._cell_text(cell)
                    if text:
                        cells[column] = text
            if cells:
                yield number, [cells.get(place, "") for place in range(max(cells) + 1)]

    def _cell_text(self, cell: Element) -> str:
        kind = cell.get("t") or "n"
        if kind == "inlineStr":
            return _string(cell)
        value = next((node.text or "" for node in cell if local(node) == "v"), "").strip(" \n" if kind != "str" else "")
        if not value:
            return ""
        if kind == "s":
            return self._strings[int(value)] if value.isdecimal() and int(value) < len(self._strings) else ""
        if kind == "b":
            return "TRUE" if value == "1" else "FALSE"
        if kind in ("str", "e", "d"):
            return value
        return self._number(value, cell.get("s") or "0")

    def _number(self, value: str, style: str) -> str:
        try:
            number = float(value)
        except ValueError:
            return value
        shape = self._formats.get(style, "")
        if shape == "percent":
            return f"{number_text(round(number * 100, 6))}%"
        if shape in ("date", "time") and 0 <= number < 2_958_466:  # 9999-12-31, the last day Excel knows
            moment = self._epoch + timedelta(seconds=round(number * 86_400))
            return moment.time().isoformat() if shape == "time" and number < 1 else value_text(moment)
        return number_text(number)

    def _shared_strings(self) -> Iterator[str]:
        path = next((path for kind, path in self._relations.values() if kind == "sharedStrings"), "")
        if path:
            for item in self._streamed(path, "si"):
                yield _string(item)

    def _number_formats(self) -> dict[str, str]:
        """Return style index → "date", "time" or "percent" for the styles that are one."""
        path = next((path for kind, path in self._relations.values() if kind == "styles"), "")
        root = self._archive.xml(path) if path else None
        codes: dict[int, str] = {}
        shapes: dict[str, str] = {}
        for part in root if root is not None else ():
            if local(part) == "numFmts":
                for node in part:
                    codes[_integer(attribute(node, "numFmtId"))] = attribute(node, "formatCode")
            elif local(part) == "cellXfs":
                for index, node in enumerate(part):
                    shape = _shape(_integer(attribute(node, "numFmtId")), codes)
                    if shape:
                        shapes[str(index)] = shape
        return shapes

    def _streamed(self, path: str, wanted: str) -> Iterator[Element]:
        return stream_xml(self._archive.read(path), wanted, path)


def _add_comments(builder: ReadingBuilder, archive: Archive, path: str, sheet: str) -> None:
    for kind, target in archive.relations(path).values():
        root = archive.xml(target) if kind == "comments" else None
        for node in root.iter() if root is not None else ():
            if local(node) == "comment":
                text = _string(next((part for part in node if local(part) == "text"), node))
                place = _CELL.match(attribute(node, "ref"))
                builder.add(
                    f"[Comment on {attribute(node, 'ref')}] {text}" if text else "",
                    sheet=sheet,
                    row=int(place[2]) if place else None,
                )


def _string(element: Element) -> str:
    """Return the text of a string item; phonetic guides (rPh) are no part of it."""
    parts: list[str] = []
    for node in element:
        if local(node) == "t":
            parts.append(node.text or "")
        elif local(node) in ("r", "is"):
            parts.append(_string(node))
    return "".join(parts)


def _column(letters: str) -> int:
    """Return the 0-based column of ``A`` … ``XFD``."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return min(number, 16_384) - 1


def _integer(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 9 else 0


def _shape(number: int, codes: dict[int, str]) -> str:
    """Tell what a number format shows (ECMA-376 part 1, 18.8.30)."""
    if number in _DATE_FORMATS:
        return "date"
    if number in _TIME_FORMATS:
        return "time"
    if number in _PERCENT_FORMATS:
        return "percent"
    code = re.sub(r"\"[^\"]*\"|\\.|\[[^\]]*\]", "", codes.get(number, "")).lower().split(";")[0]
    if "%" in code:
        return "percent"
    if re.search(r"[yd]|mmm", code) and "general" not in code:
        return "date"
    return "time" if re.search(r"h.*m|m.*s", code) else ""
