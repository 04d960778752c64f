"""PDF through pdfium: pages in reading order, without running heads, with hyphens joined.

pdfium gives characters and boxes; :mod:`sbf_kernel.readers.pdf_layout` makes
lines of them, and this module turns the lines of all pages into headings,
paragraphs and table rows.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise, takewhile
from statistics import median
from typing import TYPE_CHECKING, Final

from sbf_kernel.errors import SourceBroken, SourceEncrypted, SourceHasNoText, SourceTooLarge
from sbf_kernel.readers.pdf_layout import Line, page_lines
from sbf_kernel.readers.reading import RawSource, Reading, ReadingBuilder, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pypdfium2 import PdfDocument  # type: ignore[import-untyped, unused-ignore]

MAX_PAGES: Final = 5_000
MAX_CHARS: Final = 30_000_000
"""Text of all pages together: ten times War and Peace."""
_EDGE: Final = 0.1
"""Running heads stand in this share of the page height, at the top and bottom."""
_EDGE_LINES: Final = 4
"""So many lines, counted from the edge, can be running heads or feet."""
_HEADING_RATIO: Final = 1.12
"""A line this much taller than the body text is a heading."""
_NUMBERED = re.compile(r"(?P<number>\d{1,2}(?:\.\d{1,2}){0,3})\.?\s+[A-Z\u00c0-\u00de]\S*(?:\s+\S+){0,12}$")
_NAMED = re.compile(
    r"(?:abstract|introduction|background|related work|methods?|results|discussion|conclusions?|"
    r"references|bibliography|acknowledge?ments?|appendix(?: [A-Z])?|contents|summary)",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_SOFT: Final = "\u00ad"
"""The mark of the layout for a hyphen at a line end that pdfium found."""
_LAST_PART = re.compile(r"([^\W\d_]+)[-\u2010\u00ad]$")
_CJK = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff01-\uff65]")
"""Chinese and Japanese are written without blanks; Korean is not."""
_FIRST_PART = re.compile(r"[^\W\d_]+")


def read_pdf(source: RawSource) -> Reading:
    """Read a PDF.

    Raises
    ------
    SourceEncrypted
        It needs a password, or ``password`` is wrong.
    SourceHasNoText
        Every page is a picture or blank.
    SourceBroken, SourceTooLarge
        pdfium cannot open it; more than :data:`MAX_PAGES` pages.
    """
    document = _open(source)
    try:
        if len(document) > MAX_PAGES:
            raise SourceTooLarge(f"{source.name!r} has {len(document)} pages; the limit is {MAX_PAGES}")
        pages = _all_lines(document, source.name)
        if not any(line.text.strip() for lines in pages for line in lines):
            raise SourceHasNoText(_no_text_message(document, source.name))
        outline = _outline(document)
        facts = document.get_metadata_dict(skip_empty=True)
        count = len(document)
    finally:
        document.close()
    builder = ReadingBuilder()
    _Writer(builder, pages, outline).write()
    metadata = {key.lower(): facts[key] for key in ("Author", "Subject", "Keywords", "CreationDate") if key in facts}
    title = _title(facts.get("Title", ""), pages)
    return builder.build(title=title, media_type="application/pdf", pages=count, metadata=metadata)


def _open(source: RawSource) -> PdfDocument:
    import pypdfium2  # type: ignore[import-untyped, unused-ignore]
    from pypdfium2.raw import FPDF_ERR_PASSWORD  # type: ignore[import-untyped, unused-ignore]

    start = source.content.find(b"%PDF-", 0, 1024)
    try:
        document = pypdfium2.PdfDocument(source.content[max(start, 0) :], password=source.password)
        len(document)
        return document
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == FPDF_ERR_PASSWORD or "password" in str(error).lower():
            said = "its password was wrong" if source.password else "it needs a password"
            raise SourceEncrypted(f"{source.name!r} is encrypted: {said}") from error
        raise SourceBroken(f"{source.name!r} is damaged: pdfium cannot open it ({error})") from error


def _all_lines(document: PdfDocument, name: str) -> list[list[Line]]:
    from pypdfium2 import PdfiumError

    pages: list[list[Line]] = []
    total = 0
    for index in range(len(document)):
        try:
            page = document[index]
            lines = page_lines(page)
            page.close()
        except PdfiumError:  # one bad page must not lose the others
            lines = []
        total += sum(len(line.text) for line in lines)
        if total > MAX_CHARS:
            raise SourceTooLarge(f"{name!r} holds more than {MAX_CHARS:,} characters")
        pages.append(lines)
    return pages


def _no_text_message(document: PdfDocument, name: str) -> str:
    from pypdfium2 import PdfiumError
    from pypdfium2.raw import FPDF_PAGEOBJ_IMAGE

    for index in range(min(len(document), 5)):
        try:
            if any(True for _ in document[index].get_objects(filter=[FPDF_PAGEOBJ_IMAGE], max_depth=3)):
                return f"{name!r} has no text layer: its {len(document)} page(s) are pictures"
        except PdfiumError:  # a page that cannot be looked at is no picture
            continue
    return f"{name!r} has no text: its {len(document)} page(s) are blank or drawn"


def _outline(document: PdfDocument) -> dict[int, dict[str, int]]:
    """Return the bookmarks: page index → folded title → level 1…6."""
    from pypdfium2 import PdfiumError

    found: dict[int, dict[str, int]] = {}
    try:
        for count, mark in enumerate(document.get_toc(max_depth=6)):
            destination = mark.get_dest()
            index = destination.get_index() if destination else None
            if index is not None:
                found.setdefault(index, {})[_folded(mark.get_title())] = mark.level + 1
            if count > 5000:
                break
    except (PdfiumError, ValueError):  # a broken outline is no reason to lose the text
        return {}
    return found


def _title(declared: str, pages: list[list[Line]]) -> str:
    """Return the declared title unless it is a file name or empty, else the largest line of page one."""
    if declared.strip() and not re.search(
        r"\.(?:docx?|pdf|tex|dvi|indd|qxd|rtf|pptx?)$|^untitled|^microsoft word", declared.strip(), re.IGNORECASE
    ):
        return declared
    lines = [line for line in pages[0] if 3 < len(line.text) < 200 and not line.sideways] if pages else []
    if not lines:
        return declared
    largest = max(line.size for line in lines)
    typical = median(line.size for line in lines)
    first = next(place for place, line in enumerate(lines) if line.size == largest)
    big = [line.text for line in takewhile(lambda line: line.size > 0.95 * largest, lines[first:])]
    return " ".join(big) if largest > 1.2 * typical and len(big) <= 4 else declared


def _folded(text: str) -> str:
    """Return a title's letters and digits, without the number before it: bookmarks often leave that out."""
    folded = re.sub(r"[\W_]+", "", text.casefold())
    return folded.lstrip("0123456789") or folded


class _Writer:
    """Turns the lines of a document into blocks; what needs the whole document is counted first."""

    def __init__(self, builder: ReadingBuilder, pages: list[list[Line]], outline: dict[int, dict[str, int]]) -> None:
        self._builder = builder
        self._pages = pages
        self._outline = outline
        self._body = _body_size(pages)
        self._levels = _heading_levels(pages, self._body)
        self._running = _running_lines(pages)
        self._words: Counter[str] = Counter()
        self._alone: Counter[str] = Counter()
        for line in (line for lines in pages for line in lines):
            self._words.update(word.casefold() for word in _WORD.findall(line.text))
            self._alone.update(word.casefold() for word in line.text.split() if word.isalpha())

    def write(self) -> None:
        """Append every page."""
        for index, lines in enumerate(self._pages):
            kept = [line for place, line in enumerate(lines) if (index, place) not in self._running]
            for group in _groups(kept):
                self._add(group, index)

    def _add(self, group: list[Line], index: int) -> None:
        page = index + 1
        if len(group[0].cells) > 1 and group[0].table:
            header = " | ".join(group[0].cells)
            for row, line in enumerate(group, 1):
                self._builder.add(
                    " | ".join(one_line(cell) for cell in line.cells), "table", header=header, page=page, row=row
                )
            return
        text = self._joined(group)
        level = self._level(group, text, index)
        if level:
            self._builder.heading(text, level, page=page)
        else:
            self._builder.add(text, "paragraph", page=page)

    def _level(self, group: list[Line], text: str, index: int) -> int:
        """Return the heading level of a group of lines, 0 for running text."""
        letters = sum(char.isalpha() for char in text)
        if len(group) > 3 or not 2 < len(text) < 160 or letters * 2 < len(text) or "@" in text or group[0].sideways:
            return 0
        if self._outline:
            return min(self._outline.get(index, {}).get(_folded(text), 0), 6)
        numbered = _NUMBERED.match(text)
        size = round(group[0].size * 2) / 2
        if size >= self._body * _HEADING_RATIO and size in self._levels and not text.endswith((".", ",", ";")):
            return numbered["number"].count(".") + 2 if numbered else self._levels[size]
        if numbered and all(line.bold for line in group) and len(group) < 3:
            return min(numbered["number"].count(".") + 2, 6)
        named = _NAMED.fullmatch(text)
        return 2 if named and (group[0].bold or size > 1.04 * self._body) else 0

    def _joined(self, group: list[Line]) -> str:
        """Return the lines as one paragraph: hyphens at line ends joined, other line ends as blanks."""
        text = ""
        for line in group:
            text = self._join(text, line.text) if text else line.text
        return text

    def _join(self, before: str, after: str) -> str:
        last, first = _LAST_PART.search(before), _FIRST_PART.match(after)
        if _CJK.match(before[-1:]) and _CJK.match(after[:1]):
            return before + after
        if not last or not first:
            hyphen = re.search(r"\w[-\u2010\u00ad–]$", before) and after[:1].isalnum()
            return f"{before[:-1]}{before[-1].replace(_SOFT, '-')}{after}" if hyphen else f"{before} {after}"
        joined, hyphened = last[1] + first[0], f"{last[1]}-{first[0]}"
        if self._keeps_hyphen(last[1], first[0], self._words[joined.casefold()], self._words[hyphened.casefold()]):
            return f"{before[:-1]}-{after}"
        return before[:-1] + after

    def _keeps_hyphen(self, last: str, first: str, joined: int, hyphened: int) -> bool:
        """Return whether a word parted at a line end is written with a hyphen; the document is the dictionary."""
        if joined or hyphened:
            return hyphened > joined
        if not first[0].islower() or len(last) == 1 or (last.casefold() == "self" and len(first) > 4):
            return True
        return len(last) > 2 and len(first) > 3 and bool(self._alone[last.casefold()] and self._alone[first.casefold()])


def _body_size(pages: list[list[Line]]) -> float:
    """Return the size most characters have, in points."""
    sizes: Counter[float] = Counter()
    for lines in pages:
        for line in lines:
            sizes[round(line.size * 2) / 2] += len(line.text)
    return sizes.most_common(1)[0][0] if sizes else 0.0


def _heading_levels(pages: list[list[Line]], body: float) -> dict[float, int]:
    """Rank the sizes above body text that are used sparingly: the largest is level 1, at most four levels."""
    sizes: Counter[float] = Counter()
    for lines in pages:
        for line in lines:
            size = round(line.size * 2) / 2
            if size >= body * _HEADING_RATIO and 2 < len(line.text) < 160:
                sizes[size] += len(line.text)
    total = sum(len(line.text) for lines in pages for line in lines)
    used = sorted((size for size, chars in sizes.items() if chars < 0.2 * total or len(pages) < 2), reverse=True)
    levels: dict[float, int] = {}
    level = 0
    before = 0.0
    for size in used:
        if not before or size < 0.93 * before:
            level, before = min(level + 1, 4), size
        levels[size] = level
    return levels


def _running_lines(pages: list[list[Line]]) -> set[tuple[int, int]]:
    """Find heads, feet and page numbers: the same text (digits aside) at the same height on many pages.

    The first occurrence of a head with words is kept, so that its text stays findable.
    """
    seen: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for index, lines in enumerate(pages):
        by_height = sorted(range(len(lines)), key=lambda place: lines[place].height_share)
        outermost = {*by_height[:_EDGE_LINES], *by_height[-_EDGE_LINES:]}
        for place, line in enumerate(lines):
            if place in outermost and not _EDGE <= line.height_share <= 1 - _EDGE:
                key = re.sub(r"\d+|\b[ivxlc]+\b", "#", line.text.casefold())
                seen.setdefault((re.sub(r"\s+", "", key), round(line.height_share * 50)), []).append((index, place))
    running: set[tuple[int, int]] = set()
    for (key, _), places in seen.items():
        on_pages = len({index for index, _ in places})
        if on_pages >= max(3, 0.2 * len(pages)) and on_pages > 0.8 * len(places):
            wordless = not re.search(r"[^\W\d_]{3}", key)
            running.update(places if wordless else places[1:])
    return running


def _groups(lines: list[Line]) -> Iterator[list[Line]]:
    """Part the lines of a page into headings, paragraphs and tables."""
    group: list[Line] = []
    for line in lines:
        if group and _breaks(group, line):
            yield group
            group = []
        group.append(line)
    if group:
        yield group


def _breaks(group: list[Line], line: Line) -> bool:
    """Return whether ``line`` starts a new block after ``group``."""
    last = group[-1]
    if last.table or line.table:
        return not (last.table and line.table)
    if last.text.endswith((_SOFT, "-")) and line.text[:1].islower() and last.sideways == line.sideways:
        return False  # a word goes on
    if last.sideways != line.sideways:
        return True
    if len(line.cells) > 1 and (len(last.cells) > 1 or not line.text[:1].islower()):
        return True  # a row of a form, not a line of a paragraph
    if abs(last.size - line.size) > 0.12 * max(last.size, line.size) or last.bold != line.bold:
        return not _small_parts(last, line)
    step = last.bottom - line.bottom
    if step < -0.5 * line.size:  # next column: the paragraph may go on
        return bool(re.search(r"[.!?:;\"”)]$", last.text)) or line.text[:1].isupper()
    steps = [one.bottom - two.bottom for one, two in pairwise(group)]
    usual = median([gap for gap in steps if gap > 0] or [1.35 * line.size])
    if step > max(1.25 * usual, usual + 0.25 * line.size):
        return True
    if re.match(r"(?:[•▪●■◦‣–*-]|\(?\d{1,2}[.)]|\([a-z]\))\s", line.text):
        return True
    width = max(one.right - one.left for one in group)
    short = last.right < max(one.right for one in [*group, line]) - 0.25 * width
    indented = line.left > min(one.left for one in group) + 0.8 * line.size
    ended = bool(re.search(r"[.!?:][\"”’)\]\d]*$", last.text))
    return ended and (short or (indented and len(group) > 1))


def _small_parts(last: Line, line: Line) -> bool:
    """Return whether two lines of different look still belong together: same height nearly, sentence unfinished."""
    unfinished = last.text[-1:].isalnum() or last.text.endswith((",", "-"))
    near = abs(last.size - line.size) <= 0.2 * max(last.size, line.size)
    return near and unfinished and line.text[:1].islower() and 0 < last.bottom - line.bottom < 2 * line.size
