"""Outlook messages (MSG): properties in an OLE container, [MS-OXMSG] and [MS-OXPROPS]."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from sbf_kernel.errors import SourceBroken
from sbf_kernel.readers.html import add_html, decode_html
from sbf_kernel.readers.mail import MAX_ATTACHMENTS, add_attachment
from sbf_kernel.readers.reading import RawSource, Reading, ReadingBuilder
from sbf_kernel.readers.text import add_plain_text, decode

if TYPE_CHECKING:
    from olefile import OleFileIO  # type: ignore[import-untyped, unused-ignore]

_SUBJECT, _SENDER, _ADDRESS, _TO, _CC = "0037", "0C1A", "0C1F", "0E04", "0E03"
_BODY, _HTML, _RTF = "1000", "1013", "1009"
_LONG_NAME, _SHORT_NAME, _DATA = "3707", "3704", "3701"
_RTF_PREFIX: Final = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans Serif"
    rb"SymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    b"\r\n"
    rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)
"""The dictionary every compressed RTF starts from ([MS-OXRTFCP] 2.1.2.1)."""


def read_msg(source: RawSource) -> Reading:
    """Read an Outlook message: subject, people, body (plain, HTML or RTF), attachments."""
    import olefile  # type: ignore[import-untyped, unused-ignore]

    try:
        ole = olefile.OleFileIO(io.BytesIO(source.content))
    except (OSError, ValueError, IndexError) as error:
        raise SourceBroken(f"{source.name!r} is damaged: {error}") from error
    with ole:
        builder = ReadingBuilder()
        subject = _string(ole, "", _SUBJECT)
        builder.heading(subject or "(no subject)", 1)
        sender, address = _string(ole, "", _SENDER), _string(ole, "", _ADDRESS)
        facts = {
            "From": f"{sender} <{address}>" if "@" in address else sender,
            "To": _string(ole, "", _TO),
            "Cc": _string(ole, "", _CC),
        }
        builder.add("\n".join(f"{key}: {value}" for key, value in facts.items() if value))
        _add_body(builder, ole)
        folders = sorted({path[0] for path in ole.listdir() if path[0].startswith("__attach_version1.0_")})
        for number, folder in enumerate(folders[:MAX_ATTACHMENTS], 1):
            file = _string(ole, folder, _LONG_NAME) or _string(ole, folder, _SHORT_NAME) or f"attachment {number}"
            data = _stream(ole, f"{folder}/__substg1.0_{_DATA}0102")
            if data:
                add_attachment(builder, data, file, "", 1)
    metadata = {key.lower(): value for key, value in facts.items()}
    return builder.build(title=subject, media_type="application/vnd.ms-outlook", metadata=metadata)


def _stream(ole: OleFileIO, path: str) -> bytes:
    if not ole.exists(path):
        return b""
    data = ole.openstream(path).read()
    return data if isinstance(data, bytes) else b""


def _string(ole: OleFileIO, folder: str, tag: str) -> str:
    """Return a string property: stored as UTF-16 (type 001F) or in the sender's code page (001E)."""
    start = f"{folder}/__substg1.0_{tag}" if folder else f"__substg1.0_{tag}"
    wide = _stream(ole, start + "001F")
    text = wide.decode("utf-16-le", "replace") if wide else decode(_stream(ole, start + "001E"))
    return text.rstrip("\0")


def _add_body(builder: ReadingBuilder, ole: OleFileIO) -> None:
    plain = _string(ole, "", _BODY)
    marked = _stream(ole, f"__substg1.0_{_HTML}0102")
    packed = _stream(ole, f"__substg1.0_{_RTF}0102")
    if plain.strip():
        add_plain_text(builder, plain)
    elif marked.strip():
        add_html(builder, decode_html(marked), whole=True)
    elif packed:
        from sbf_kernel.readers.rtf import add_rtf

        add_rtf(builder, decompressed_rtf(packed))


def decompressed_rtf(data: bytes) -> bytes:
    """Undo the LZ compression of [MS-OXRTFCP]: runs copied out of a ring of 4096 bytes."""
    size = int.from_bytes(data[4:8], "little")
    if data[8:12] == b"MELA":
        return data[16 : 16 + size]
    if data[8:12] != b"LZFu":
        return b""
    ring = bytearray(_RTF_PREFIX.ljust(4096, b"\0"))
    write, place = len(_RTF_PREFIX), 16
    result = bytearray()
    while place < len(data) and len(result) < size:
        flags = data[place]
        place += 1
        for bit in range(8):
            if place >= len(data) or len(result) >= size:
                break
            if flags >> bit & 1:
                pair = int.from_bytes(data[place : place + 2], "big")
                place += 2
                start, length = pair >> 4, (pair & 15) + 2
                if start == write:
                    return bytes(result)
                copied = [ring[(start + step) % 4096] for step in range(length)]
                # A run may overlap what it writes: then it repeats itself.
                for step in range(length):
                    copied[step] = ring[(start + step) % 4096]
                    ring[write] = copied[step]
                    write = (write + 1) % 4096
                result += bytes(copied)
            else:
                ring[write] = data[place]
                result.append(data[place])
                write = (write + 1) % 4096
                place += 1
    return bytes(result)
