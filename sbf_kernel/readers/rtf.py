r"""Rich Text Format: a small tokenizer, because code pages change with the font in mid-sentence.

Follows the RTF 1.9.1 specification for what carries text: groups that are
destinations are skipped, ``\'xx`` bytes are decoded in the code page of the
current font, ``\uN`` characters replace the fallback that follows them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Final

from sbf_kernel.errors import SourceBroken, SourceTooLarge
from sbf_kernel.readers.reading import RawSource, Reading, ReadingBuilder

_TOKEN = re.compile(
    rb"\\([a-zA-Z]{1,32})(-?\d{1,10})?[ ]?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z])|([{}])|[\r\n]+|([^\\{}\r\n]+)"
)
_CHARSETS: Final = {
    0: "cp1252", 77: "mac_roman", 128: "cp932", 129: "cp949", 130: "johab", 134: "gb18030", 136: "cp950",
    161: "cp1253", 162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257",
    204: "cp1251", 222: "cp874", 238: "cp1250", 254: "cp437", 255: "cp850",
}  # fmt: skip
_SKIPPED: Final = frozenset(
    b"colortbl stylesheet info pict object header headerl headerr headerf footer footerl footerr footerf "
    b"themedata colorschememapping datastore latentstyles listtable listoverridetable rsidtbl generator xmlnstbl "
    b"fldinst bkmkstart bkmkend nonshppict filetbl revtbl mmathPr pgdsctbl panose falt "
    b"objdata objclass blipuid listtext pntext tc xe".split()
)
_CHARACTERS: Final = {
    b"emdash": "—",
    b"endash": "–",
    b"lquote": "‘",
    b"rquote": "’",
    b"ldblquote": "“",
    b"rdblquote": "”",
    b"bullet": "•",
    b"tab": "\t",
    b"line": "\n",
    b"emspace": " ",
    b"enspace": " ",
    b"qmspace": " ",
    b"_": "-",
    b"~": " ",
}
MAX_DEPTH: Final = 1_000


@dataclass(slots=True)
class _State:
    """What a group inherits and its end undoes."""

    skip: bool = False
    font: int = 0
    unicode_skip: int = 1
    in_fonts: bool = False
    note: bool = False


@dataclass(slots=True)
class _Text:
    """What has been read so far."""

    builder: ReadingBuilder
    charset: str = "cp1252"
    fonts: dict[int, str] = field(default_factory=dict)
    current_font: int = 0
    pending: bytearray = field(default_factory=bytearray)
    paragraph: list[str] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    level: int = 0
    in_table: bool = False


def read_rtf(source: RawSource) -> Reading:
    """Read an RTF document: paragraphs, headings by outline level, table rows."""
    if b"{\\rtf" not in source.content[:200]:
        raise SourceBroken(f"{source.name!r} is no RTF document")
    builder = ReadingBuilder()
    add_rtf(builder, source.content[source.content.index(b"{\\rtf") :])
    return builder.build(media_type="application/rtf", title=_info_title(source.content))


def add_rtf(builder: ReadingBuilder, content: bytes) -> None:
    """Append the text of an RTF document to ``builder``."""
    text = _Text(builder)
    stack: list[_State] = []
    state = _State()
    skip_chars = 0
    for match in _TOKEN.finditer(_without_binary(content)):
        word, number, byte, symbol, brace, plain = match.groups()
        if brace == b"{":
            if len(stack) > MAX_DEPTH:
                raise SourceTooLarge(f"the RTF document nests groups more than {MAX_DEPTH} deep")
            stack.append(state)
            state, skip_chars = replace(state), 0
        elif brace == b"}":
            _flush_bytes(text, state)
            state, skip_chars = (stack.pop() if stack else state), 0
        elif word is not None:
            _flush_bytes(text, state)
            skip_chars = state.unicode_skip if word == b"u" and number else 0
            _control(text, state, word, int(number) if number else None)
        elif byte is not None or (plain is not None and not state.skip):
            raw = bytes([int(byte, 16)]) if byte is not None else plain
            used = min(skip_chars, len(raw))
            skip_chars -= used
            if not state.skip:
                text.pending += raw[used:]
        elif symbol is not None:
            _symbol(text, state, symbol)
    _flush_bytes(text, state)
    _end_paragraph(text)
    _end_table(text)


def _without_binary(content: bytes) -> bytes:
    r"""Drop \binN data, which may hold braces."""
    if b"\\bin" not in content:
        return content
    parts: list[bytes] = []
    place = 0
    for match in re.finditer(rb"\\bin(\d{1,9}) ?", content):
        if match.start() >= place:
            parts.append(content[place : match.start()])
            place = match.end() + int(match[1])
    return b"".join([*parts, content[place:]])


def _control(text: _Text, state: _State, word: bytes, number: int | None) -> None:
    """Apply one control word."""
    if word in _SKIPPED:
        state.skip = True
    elif word == b"fonttbl":
        state.in_fonts = state.skip = True
    elif word == b"ansicpg" and number:
        text.charset = f"cp{number}" if number not in (10000, 65001) else ("mac_roman", "utf-8")[number == 65001]
    elif word == b"f" and number is not None:
        state.font = text.current_font = number
    elif word == b"fcharset" and state.in_fonts:
        text.fonts[text.current_font] = _CHARSETS.get(number or 0, "") if number != 0 else ""
    elif word == b"uc" and number is not None:
        state.unicode_skip = min(max(number, 0), 10)
    elif not state.skip:
        _visible(text, word, number)


def _visible(text: _Text, word: bytes, number: int | None) -> None:
    """Apply a control word that shows in the text."""
    if word == b"u" and number is not None:
        text.paragraph.append(chr(number % 65536))
    elif word in _CHARACTERS:
        text.paragraph.append(_CHARACTERS[word])
    elif word in (b"par", b"sect", b"page"):
        if text.in_table:
            text.paragraph.append("\n")
        else:
            _end_paragraph(text)
    elif word in (b"cell", b"nestcell"):
        text.cells.append("".join(text.paragraph))
        text.paragraph.clear()
    elif word in (b"row", b"nestrow"):
        text.rows.append(text.cells)
        text.cells = []
    elif word == b"intbl":
        text.in_table = True
    elif word == b"pard":
        text.in_table, text.level = False, 0
    elif word == b"outlinelevel" and number is not None:
        text.level = min(number + 1, 6) if 0 <= number < 9 else 0


def _symbol(text: _Text, state: _State, symbol: bytes) -> None:
    if symbol == b"*":
        state.skip = True  # a destination that older programs need not know
        return
    _flush_bytes(text, state)
    if state.skip:
        return
    if symbol in (b"\\", b"{", b"}"):
        text.pending += symbol
    elif symbol in (b"\n", b"\r"):
        _end_paragraph(text)
    elif symbol in _CHARACTERS:
        text.paragraph.append(_CHARACTERS[symbol])


def _flush_bytes(text: _Text, state: _State) -> None:
    """Decode the bytes collected under one font."""
    if text.pending:
        encoding = text.fonts.get(state.font) or text.charset
        try:
            text.paragraph.append(text.pending.decode(encoding, "replace"))
        except LookupError:
            text.paragraph.append(text.pending.decode("cp1252", "replace"))
        text.pending.clear()


def _joined(parts: list[str]) -> str:
    """Join text whose astral characters were written as two halves."""
    return "".join(parts).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _end_paragraph(text: _Text) -> None:
    content = _joined(text.paragraph)
    text.paragraph.clear()
    if text.rows and content.strip():
        _end_table(text)
    if text.level:
        text.builder.heading(content, text.level)
    else:
        text.builder.add(content)


def _end_table(text: _Text) -> None:
    if text.cells:
        text.rows.append(text.cells)
        text.cells = []
    text.builder.table([[_joined([cell]) for cell in row] for row in text.rows])
    text.rows = []


def _info_title(content: bytes) -> str:
    found = re.search(rb"\{\\title ([^{}\\]{1,300})\}", content[:100_000])
    title = found[1].decode("cp1252", "replace") if found else ""
    return title if title.strip("? ") else ""  # a title its program could not write
