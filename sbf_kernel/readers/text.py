"""Plain text and source code in any encoding.

``decode`` is used by every reader of a format that is text: HTML, CSV, mail …
"""

from __future__ import annotations

import codecs
import re
from typing import Final

from sbf_kernel.readers.reading import RawSource, Reading, ReadingBuilder, clean_text

_BOMS: Final[tuple[tuple[bytes, str], ...]] = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16 LE, whose mark it starts with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WEB_NAMES: Final = {
    "ascii": "cp1252", "us-ascii": "cp1252", "iso-8859-1": "cp1252", "latin-1": "cp1252", "latin1": "cp1252",
    "iso-8859-9": "cp1254", "tis-620": "cp874", "gb2312": "gb18030", "gbk": "gb18030", "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949", "shift_jis": "cp932", "shift-jis": "cp932", "x-sjis": "cp932", "windows-31j": "cp932",
    "x-euc-jp": "euc_jp", "x-user-defined": "cp1252", "unicode": "utf-16",
}  # fmt: skip
"""What a declared name means in practice: the supersets of the WHATWG Encoding Standard (encoding.spec.whatwg.org)."""

_DETECT_BYTES: Final = 65_536
"""How much of a long text a detector sees: more changes no result on the test texts and costs seconds."""


_MOJIBAKE = re.compile("[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
"""UTF-8 that somebody decoded as Latin-1 and saved as UTF-8 again."""
_C1 = re.compile("[\x80-\x84\x86-\x9f]")


def decode(content: bytes, declared: str | None = None) -> str:
    """Return ``content`` as text: byte-order mark, UTF-16/32 by shape, UTF-8, ``declared``, then detection.

    UTF-8 is tried before the declared encoding because bytes that are valid
    UTF-8 with non-ASCII characters are almost never anything else, while
    declarations are often wrong. Never raises: what nobody can decode comes
    back with U+FFFD. Text that was encoded twice is repaired where it holds
    C1 controls, which no real text does.
    """
    text = _decode_once(content, declared)
    return _MOJIBAKE.sub(_repaired, text) if _C1.search(text) else text


def _repaired(match: re.Match[str]) -> str:
    if not _C1.search(match[0]):
        return match[0]
    try:
        return match[0].encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return match[0]


def _decode_once(content: bytes, declared: str | None) -> str:
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding, "replace")
    wide = _wide_encoding(content)
    if wide:
        return content.decode(wide, "replace")
    try:
        if not (declared and declared.lower().startswith(("iso-2022", "utf-7", "hz"))):  # these are pure ASCII bytes
            return content.decode("utf-8") if b"\x1b$" not in content[:_DETECT_BYTES] else content.decode("iso2022_jp")
    except UnicodeDecodeError:
        pass
    text = _decode_declared(content, declared)
    return text if text is not None else _decode_detected(content)


def decode_head(content: bytes, size: int = 8192) -> str:
    """Return the first ``size`` bytes as text, cheaply: enough to recognise markup, not to quote."""
    head = content[:size]
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            return head[len(mark) :].decode(encoding, "ignore")
    wide = _wide_encoding(head)
    return head.decode(wide or "utf-8", "ignore" if wide else "replace")


def looks_binary(content: bytes) -> bool:
    """Return whether bytes without a known signature are no text in any encoding."""
    if content.startswith(tuple(mark for mark, _ in _BOMS)) or _wide_encoding(content):
        return False
    head = content[:8192]
    # Text may hold a stray NUL or form feed; data is full of them. ESC stays out for ISO-2022.
    odd = sum(head.count(bytes([byte])) for byte in (*range(9), *range(14, 27), 28, 29, 30, 31))
    return odd > max(len(head) // 50, 1)


def _wide_encoding(content: bytes) -> str | None:
    """Recognise UTF-16/32 without a mark by where its zero bytes stand."""
    head = content[:4096]
    head = head[: len(head) // 4 * 4]
    if len(head) < 8 or b"\0" not in head:
        return None
    quarter = len(head) // 4
    zeros = [head[place::4].count(0) / quarter for place in range(4)]
    for encoding, wanted in (("utf-32-le", (0, 0, 1, 1)), ("utf-32-be", (1, 1, 0, 0))):
        if all(abs(zero - want) < 0.1 for zero, want in zip(zeros, wanted, strict=True)):
            return encoding
    low, high = (zeros[0] + zeros[2]) / 2, (zeros[1] + zeros[3]) / 2
    encoding = "utf-16-le" if high > low else "utf-16-be"
    if max(low, high) > 0.4 and min(low, high) < 0.05 and _plausible(head, encoding):
        return encoding
    # Scripts without ASCII letters have zero bytes only in blanks and punctuation.
    if 0 < max(low, high) <= 0.4 and min(low, high) == 0 and _plausible(head, encoding, strict=True):
        return encoding
    return None


def _plausible(head: bytes, encoding: str, *, strict: bool = False) -> bool:
    try:
        text = head.decode(encoding)
    except UnicodeDecodeError:
        return False
    good = sum(char.isalnum() or char.isspace() or char.isprintable() for char in text)
    if strict:
        blanks = sum(char in " \n\r\t,." for char in text)
        return good > 0.97 * len(text) and blanks > 0.05 * len(text)
    return good > 0.9 * len(text)


def _decode_declared(content: bytes, declared: str | None) -> str | None:
    if not declared:
        return None
    name = declared.strip().strip("\"'").lower()
    try:
        codec = codecs.lookup(_WEB_NAMES.get(name, name)).name
    except (LookupError, ValueError):
        return None
    if codec not in _TEXT_CODECS and not codec.startswith(("utf", "iso", "cp", "koi8", "mac", "euc", "big5", "gb")):
        return None  # "rot13", "zlib" … are codecs too
    text = content.decode(codec, "replace")
    return text if text.count("\ufffd") <= len(text) // 200 else None


_TEXT_CODECS: Final = frozenset({"shift_jis", "johab", "hz", "tis-620", "ptcp154", "kz1048", "latin_1", "ascii"})


def _decode_detected(content: bytes) -> str:
    """Decode text nobody declared: nearly UTF-8, else what the detector finds, else Windows-1252."""
    lenient = content.decode("utf-8", "replace")
    strange = lenient.count("\ufffd")
    if strange <= 3 or strange * 50 < sum(byte > 127 for byte in content[:_DETECT_BYTES]):
        beyond = sum(1 for char in lenient[:_DETECT_BYTES] if char > "\x7f" and char != "\ufffd")
        if beyond > 4 * strange:
            return lenient
    if _is_western(content):
        return content.decode("cp1252", "replace")
    import chardet

    found = chardet.detect(content[:_DETECT_BYTES])["encoding"]
    for encoding in (_WEB_NAMES.get((found or "").lower(), found), "cp1252"):
        if encoding:
            try:
                text = content.decode(encoding, "replace")
            except LookupError:
                continue
            if text.count("\ufffd") <= len(text) // 100:
                return text
    return content.decode("latin-1")


def _is_western(content: bytes) -> bool:
    """Return whether a text is Windows-1252 beyond doubt: nearly all ASCII, the rest where it makes sense.

    Statistics need more than three accents and a curly quote; most English
    files have no more.
    """
    head = content[:_DETECT_BYTES]
    high = sum(byte > 127 for byte in head)
    text = head.decode("cp1252", "replace")
    return high <= max(0.1 * len(head), 3) and _WESTERN.sub("", text).isascii()


_WESTERN = re.compile(
    r"(?<![A-Za-z])[“‘«](?=\S)|(?<=\S)[”»](?![A-Za-z])|(?<=[A-Za-z])’(?=(?:s|t|re|ve|ll|d|m)?\b)|\b(?:[ldnsjmtc]|qu)’(?=\w)"
    r"|(?<=[\s\d])[–—](?=[\s\d])|…(?=[\s”’\"]|$)|[•·§©®°±£€™½¼¾×µ](?![A-Za-z]{2})"
    r"|(?<=[A-Za-z])[àáâäåæçèéêëìíîïñòóôöøùúûüß]+|[ÀÁÂÄÅÆÇÈÉÊËÎÏÑÓÔÖØÚÜàâäåæçèéêîïöøü](?=[A-Za-z])",
    re.IGNORECASE,
)


_CHAPTER = re.compile(
    r"(?:(?P<part>book|part|volume|act)|(?P<chapter>chapter|section|scene|appendix))\s+"
    r"(?:[ivxlcdm]+|\d+|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen)\b"
    r"[.:]?.{0,60}",
    re.IGNORECASE,
)
_BULLET = re.compile(r"[-*•‣·–]\s+\S|\(?\d{1,3}[.)]\s+\S")


def read_text(source: RawSource) -> Reading:
    """Read plain text: paragraphs by blank lines, chapter titles as headings where they are unmistakable."""
    builder = ReadingBuilder()
    add_plain_text(builder, decode(source.content))
    return builder.build(media_type="text/plain")


def add_plain_text(builder: ReadingBuilder, text: str) -> None:
    """Append plain text to ``builder`` as paragraphs, lists and chapter headings."""
    for paragraph in clean_text(text).split("\n\n"):
        paragraph = paragraph.strip()
        chapter = _CHAPTER.fullmatch(paragraph)
        if chapter:
            builder.heading(paragraph, 1 if chapter.group("part") else 2)
        elif paragraph:
            lines = paragraph.split("\n")
            listed = len(lines) > 1 and sum(bool(_BULLET.match(line)) for line in lines) * 2 > len(lines)
            builder.add(paragraph, "list" if listed or _BULLET.match(paragraph) else "paragraph")


def read_code(source: RawSource) -> Reading:
    """Read source code and configuration: its blank-line-separated parts, indentation kept."""
    builder = ReadingBuilder()
    for part in re.split(r"\n(?:[ \t]*\n)+(?=\S)", clean_text(decode(source.content), keep_spaces=True)):
        builder.add(part, "code")
    return builder.build(title=source.name, media_type="text/x-source")
