"""Bytes → text with positions, one module per family of formats.

:func:`detect` names the media type, :func:`read` returns a
:class:`~sbf_kernel.readers.reading.Reading`. Libraries are imported by the
reader that needs them, when it runs: importing this package costs nothing.

``read`` trusts nobody: it is meant to run in a child process that can be
killed, and raises only :class:`~sbf_kernel.errors.SourceError`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

from sbf_kernel.errors import SourceBroken, SourceEmpty, SourceError, SourceHasNoText, SourceTooLarge, SourceUnsupported
from sbf_kernel.readers.detecting import (
    DOCX,
    ENCRYPTED_OFFICE,
    ODP,
    ODS,
    ODT,
    PPTX,
    REFUSED,
    XLS,
    XLSB,
    XLSX,
    detect,
)
from sbf_kernel.readers.reading import Block, BlockKind, Place, RawSource, Reading, ReadingBuilder, clean_text

__all__ = ["Block", "BlockKind", "Place", "Reading", "ReadingBuilder", "clean_text", "detect", "media_types", "read"]


class Reader(Protocol):
    """What every reader looks like."""

    def __call__(self, source: RawSource) -> Reading:
        """Return the text of a source with its places."""


_READERS: dict[str, str] = {
    "text/plain": "text:read_text",
    "text/x-source": "text:read_code",
    "text/markdown": "markdown:read_markdown",
    "text/html": "html:read_html",
    "text/csv": "tables:read_csv",
    "text/tab-separated-values": "tables:read_csv",
    "text/vtt": "subtitles:read_subtitles",
    "application/x-subrip": "subtitles:read_subtitles",
    "application/json": "json_text:read_json",
    "application/x-ndjson": "json_text:read_jsonl",
    "application/x-ipynb+json": "jupyter:read_ipynb",
    "application/xml": "markup:read_xml",
    "application/jats+xml": "markup:read_jats",
    "application/x-tex": "tex:read_tex",
    "application/rtf": "rtf:read_rtf",
    "application/pdf": "pdf:read_pdf",
    "application/epub+zip": "books:read_epub",
    "message/rfc822": "mail:read_eml",
    "application/vnd.ms-outlook": "outlook:read_msg",
    DOCX: "docx:read_docx",
    PPTX: "slides:read_pptx",
    XLSX: "workbooks:read_xlsx",
    XLSB: "workbooks:read_xls",
    XLS: "workbooks:read_xls",
    ODT: "opendocument:read_odt",
    ODS: "opendocument:read_ods",
    ODP: "opendocument:read_odp",
    ENCRYPTED_OFFICE: "encrypted:read_encrypted_office",
}
"""Media type → module and function that reads it."""


def media_types() -> tuple[str, ...]:
    """Return every media type that can be read, in alphabetical order."""
    return tuple(sorted(_READERS))


def read(content: bytes, *, name: str, media_type: str | None = None, password: str | None = None) -> Reading:
    """Return the normalised text of a source with the places it came from.

    Parameters
    ----------
    content
        The raw bytes.
    name
        File name or title; helps to detect the type and is named in errors.
    media_type
        What somebody (a server, a user) said it is; used when neither content nor name tell.
    password
        For encrypted PDF and Office files.

    Raises
    ------
    SourceError
        Always one of its subclasses: empty, encrypted, without text, broken, unsupported, too large.
    """
    if not content:
        raise SourceEmpty(f"{name!r} is empty (0 bytes)", source=name)
    try:
        kind = detect(content, name, media_type)
        if kind in REFUSED:
            raise _refusal(kind, name)
        reading = _reader(kind)(RawSource(content, name, password))
    except SourceError as error:
        error.details.setdefault("source", name)
        raise
    except MemoryError as error:
        raise SourceTooLarge(
            f"{name!r} needs more memory than one source may use",
            hint="split it, or raise SBF_READ_MEMORY_MB",
            source=name,
        ) from error
    except (Exception, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"[:200]
        raise SourceBroken(f"{name!r} cannot be read as {kind} ({reason})", source=name) from error
    if not reading.text.strip():
        raise SourceEmpty(f"{name!r} holds no text", source=name)
    return reading


def _reader(kind: str) -> Reader:
    module, function = _READERS[kind].split(":")
    return cast("Reader", getattr(import_module(f"{__name__}.{module}"), function))


def _refusal(kind: str, name: str) -> SourceError:
    what, hint = REFUSED[kind]
    error = SourceHasNoText if kind.startswith("image/") else SourceUnsupported
    return error(f"{name!r} is {what}", hint=hint, source=name)
