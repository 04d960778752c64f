"""Which media type bytes are: by content, then by name, then by what somebody said.

Content wins because names and ``Content-Type`` headers lie; a name decides
between the many formats that are all just text.
"""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
import zlib
from pathlib import PurePosixPath
from typing import Final

from sbf_kernel.readers.text import decode_head, looks_binary

_OOXML: Final = "application/vnd.openxmlformats-officedocument."
DOCX: Final = _OOXML + "wordprocessingml.document"
PPTX: Final = _OOXML + "presentationml.presentation"
XLSX: Final = _OOXML + "spreadsheetml.sheet"
XLSB: Final = "application/vnd.ms-excel.sheet.binary.macroenabled.12"
XLS: Final = "application/vnd.ms-excel"
_ODF: Final = "application/vnd.oasis.opendocument."
ODT, ODS, ODP = _ODF + "text", _ODF + "spreadsheet", _ODF + "presentation"
EPUB: Final = "application/epub+zip"
MSG: Final = "application/vnd.ms-outlook"
ENCRYPTED_OFFICE: Final = "application/x-ooxml-encrypted"
CODE: Final = "text/x-source"
BINARY: Final = "application/octet-stream"

REFUSED: Final[dict[str, tuple[str, str]]] = {
    "application/msword": ("an old Word document (.doc)", "save it as .docx or PDF and add it again"),
    "application/vnd.ms-powerpoint": ("an old PowerPoint file (.ppt)", "save it as .pptx or PDF and add it again"),
    "application/x-ole-storage": ("an Office container of unknown kind", "save it in a current format, or as PDF"),
    "application/zip": ("a ZIP archive", "unpack it and add the files in it"),
    "application/gzip": ("a compressed file", "unpack it and add what is in it"),
    "application/x-7z-compressed": ("a 7-Zip archive", "unpack it and add the files in it"),
    "application/x-rar": ("a RAR archive", "unpack it and add the files in it"),
    "application/x-executable": ("a program, not a document", "add its documentation instead"),
    "application/vnd.sqlite3": ("an SQLite database", "export the tables you need as CSV"),
    "application/vnd.apache.parquet": ("a Parquet file", "load it with pandas and add the frame, or export CSV"),
    "application/postscript": ("a PostScript file", "convert it to PDF first"),
    "image/png": ("a picture", "OCR it first (OCR is an extra that SBF does not bundle)"),
    "image/jpeg": ("a picture", "OCR it first (OCR is an extra that SBF does not bundle)"),
    "image/gif": ("a picture", "OCR it first (OCR is an extra that SBF does not bundle)"),
    "image/webp": ("a picture", "OCR it first (OCR is an extra that SBF does not bundle)"),
    "image/tiff": ("a picture", "OCR it first (OCR is an extra that SBF does not bundle)"),
    "image/bmp": ("a picture", "OCR it first (OCR is an extra that SBF does not bundle)"),
    "image/vnd.djvu": ("a DjVu scan", "convert it to a PDF with a text layer first"),
    "audio/x-audio": ("an audio file", "add its transcript, for example as .vtt, .srt or text"),
    "video/x-video": ("a video file", "add its transcript, for example as .vtt, .srt or text"),
    BINARY: ("binary data of a kind SBF does not know", "convert it to PDF, DOCX, HTML, Markdown or plain text"),
}
"""Kinds that are recognised only to say why they are not read, and what to do: type → (what it is, cure)."""

_MAGIC: Final[tuple[tuple[bytes, str], ...]] = (
    (b"{\\rtf", "application/rtf"),
    (b"\x1f\x8b", "application/gzip"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/x-rar"),
    (b"\x7fELF", "application/x-executable"),
    (b"MZ\x90\x00", "application/x-executable"),
    (b"SQLite format 3\x00", "application/vnd.sqlite3"),
    (b"PAR1", "application/vnd.apache.parquet"),
    (b"%!PS", "application/postscript"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"AT&TFORM", "image/vnd.djvu"),
    (b"ID3", "audio/x-audio"),
    (b"\xff\xfb", "audio/x-audio"),
    (b"\xff\xf3", "audio/x-audio"),
    (b"OggS", "audio/x-audio"),
    (b"fLaC", "audio/x-audio"),
    (b"\x1aE\xdf\xa3", "video/x-video"),
)

_SUFFIXES: Final[dict[str, str]] = {
    **dict.fromkeys(["txt", "text", "log", "asc", "nfo"], "text/plain"),
    **dict.fromkeys(["md", "markdown", "mdown", "mkd", "mdx", "qmd", "rmd"], "text/markdown"),
    **dict.fromkeys(["html", "htm", "xhtml", "xht", "shtml"], "text/html"),
    **dict.fromkeys(["csv"], "text/csv"),
    **dict.fromkeys(["tsv", "tab"], "text/tab-separated-values"),
    **dict.fromkeys(["tex", "latex", "ltx"], "application/x-tex"),
    **dict.fromkeys(["json", "geojson", "jsonld"], "application/json"),
    **dict.fromkeys(["jsonl", "ndjson"], "application/x-ndjson"),
    **dict.fromkeys(
        {"xml", "rdf", "rss", "atom", "xsd", "xsl", "svg", "opml", "nxml", "dita", "tei"}, "application/xml"
    ),
    "ipynb": "application/x-ipynb+json",
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
    "eml": "message/rfc822",
    "rtf": "application/rtf",
    **dict.fromkeys(
        {
            "py",
            "pyi",
            "js",
            "mjs",
            "cjs",
            "ts",
            "tsx",
            "jsx",
            "java",
            "kt",
            "kts",
            "scala",
            "c",
            "h",
            "cc",
            "cpp",
            "cxx",
            "hpp",
            "hh",
            "cs",
            "go",
            "rs",
            "rb",
            "php",
            "pl",
            "pm",
            "r",
            "jl",
            "lua",
            "swift",
            "m",
            "mm",
            "sh",
            "bash",
            "zsh",
            "fish",
            "ps1",
            "bat",
            "sql",
            "css",
            "scss",
            "less",
            "vue",
            "svelte",
            "dart",
            "ex",
            "exs",
            "erl",
            "hs",
            "ml",
            "mli",
            "clj",
            "lisp",
            "el",
            "vim",
            "asm",
            "s",
            "f",
            "f90",
            "for",
            "pas",
            "proto",
            "graphql",
            "tf",
            "gradle",
            "cmake",
            "yaml",
            "yml",
            "toml",
            "ini",
            "cfg",
            "conf",
            "properties",
            "env",
            "dockerfile",
            "makefile",
            "diff",
            "patch",
            "bib",
            "sty",
            "cls",
        },
        CODE,
    ),
}
_SAID: Final[dict[str, str]] = {
    "text/x-markdown": "text/markdown",
    "application/xhtml+xml": "text/html",
    "text/xml": "application/xml",
    "application/x-latex": "application/x-tex",
    "text/x-tex": "application/x-tex",
    "application/x-jsonlines": "application/x-ndjson",
    "application/jsonl": "application/x-ndjson",
    "text/x-python": CODE,
    "text/javascript": CODE,
    "application/javascript": CODE,
    "text/rtf": "application/rtf",
    "text/srt": "application/x-subrip",
    "application/srt": "application/x-subrip",
}
_TEXT_KINDS: Final = frozenset({*_SUFFIXES.values(), *_SAID.values(), "application/jats+xml"})

_HTML = re.compile(r"<!doctype\s+html|<html[\s>]", re.IGNORECASE)
_HTML_PART = re.compile(r"<(?:head|body|title|meta|div|p|table|h[1-6]|ul|article|section|center)[\s>/]", re.IGNORECASE)
_JATS = re.compile(r"<(?:\w+:)?article\b[^>]*(?:article-type|dtd-version|mml|xlink)|JATS|NLM//DTD", re.IGNORECASE)
_ROOT = re.compile(r"<(?![?!])(?:[\w.-]+:)?([\w.-]+)")
_SRT = re.compile(r"\d+\s*\n\s*\d{1,2}:\d\d:\d\d[,.]\d{1,3}\s*-->")
_CUE = re.compile(r"(?:\d{1,3}:)?\d{1,2}:\d\d[.,]\d{1,3}[ \t]*-->[ \t]*(?:\d{1,3}:)?\d{1,2}:\d\d[.,]\d{1,3}")
_MAIL = re.compile(
    r"(?:Return-Path|Received|Delivered-To|From|To|Subject|Date|Message-ID|MIME-Version|X-[\w-]+):", re.IGNORECASE
)
_TEX = re.compile(r"^\s*\\(?:documentclass|documentstyle)\b|\\begin\{document\}", re.MULTILINE)


def detect(content: bytes, name: str, media_type: str | None = None) -> str:
    """Return the media type of ``content``.

    Parameters
    ----------
    content
        The raw bytes; only the head is looked at, and the directory of a ZIP or OLE container.
    name
        File name; its suffix decides between formats that are all text.
    media_type
        The declared type, with or without parameters; the last resort.

    Returns
    -------
    str
        A readable type, a key of :data:`REFUSED`, or ``application/octet-stream``.
    """
    head = content[:1024]
    if b"%PDF-" in head:
        return "application/pdf"
    stripped = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    for magic, kind in _MAGIC:
        if (stripped if kind == "application/rtf" else head).startswith(magic):
            return kind
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
        return _zip_kind(content, name)
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _ole_kind(content)
    if head[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/x-audio"}.get(head[8:12], "video/x-video")
    if head[4:8] == b"ftyp":
        return "audio/x-audio" if head[8:11] == b"M4A" else "video/x-video"
    if head[:2] == b"BM" and looks_binary(content):
        return "image/bmp"
    if looks_binary(content):
        return BINARY
    return _text_kind(decode_head(content), name, media_type)


def _zip_kind(content: bytes, name: str) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = set(archive.namelist()[:10_000])
            declared = _member_head(archive, "mimetype") if "mimetype" in names else ""
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, EOFError, RuntimeError, struct.error):
        # A damaged directory; the reader for the guessed type will say so.
        return _broken_zip_kind(content, name)
    if declared.startswith((_ODF, EPUB)):
        return declared.removesuffix("-template")
    if "META-INF/container.xml" in names:
        return EPUB
    parts = (("word/", DOCX), ("ppt/", PPTX), ("xl/workbook.bin", XLSB), ("xl/", XLSX))
    return next(
        (kind for part, kind in parts if any(n.lstrip("/").lower().startswith(part) for n in names)), "application/zip"
    )


def _member_head(archive: zipfile.ZipFile, name: str) -> str:
    """Return the first bytes of a member, unpacking no more than that."""
    with archive.open(name) as member:
        return member.read(80).decode("ascii", "replace").strip()


def _broken_zip_kind(content: bytes, name: str) -> str:
    """Guess from the name, or from the member names that stand in clear before each member."""
    suffixes = {".docx": DOCX, ".pptx": PPTX, ".xlsx": XLSX, ".epub": EPUB, ".odt": ODT, ".ods": ODS, ".odp": ODP}
    parts = ((b"word/", DOCX), (b"ppt/", PPTX), (b"xl/", XLSX), (b"epub+zip", EPUB), (b"opendocument.text", ODT))
    by_content = next((kind for part, kind in parts if part in content[:200_000]), "application/zip")
    return suffixes.get(PurePosixPath(name.lower()).suffix, by_content)


def _ole_kind(content: bytes) -> str:
    """Name what an OLE container holds by its streams' UTF-16 names, which stand in clear in its directory."""
    streams = (
        ("EncryptedPackage", ENCRYPTED_OFFICE),
        ("__substg1.0_", MSG),
        ("__properties_version1.0", MSG),
        ("WordDocument", "application/msword"),
        ("PowerPoint Document", "application/vnd.ms-powerpoint"),
        ("Workbook", XLS),
        ("Book", XLS),
    )
    return next((k for s, k in streams if s.encode("utf-16-le") in content), "application/x-ole-storage")


def _text_kind(head: str, name: str, media_type: str | None) -> str:
    """Decide between the text formats from the first characters, the name and the hint, in that order."""
    suffix = PurePosixPath(name.replace("\\", "/").lower()).suffix.lstrip(".")
    by_name = _SUFFIXES.get(suffix) or (CODE if name.lower() in ("makefile", "dockerfile") else None)
    said = (media_type or "").split(";")[0].strip().lower()
    said = _SAID.get(said, said)
    start = head.lstrip("\ufeff \t\r\n")
    sure = _by_markup(start, by_name)
    if sure:
        return sure
    if by_name and by_name != "application/rtf":
        return by_name
    if said in _TEXT_KINDS and said not in ("text/plain", "application/rtf"):
        return said
    return _by_shape(start)


def _by_markup(start: str, by_name: str | None) -> str | None:
    """Return the type that the first characters leave no doubt about, or None."""
    if start.startswith("WEBVTT"):
        return "text/vtt"
    if by_name == "text/plain" and _SRT.match(start):
        return "application/x-subrip"
    if by_name in (CODE, "text/markdown", "application/x-tex", "text/csv", "text/tab-separated-values"):
        return None
    if _HTML.match(re.sub(r"\A(?:<!--.*?-->|<\?xml[^>]*\?>|\s)+", "", start, flags=re.DOTALL)):
        return "text/html"
    if start.startswith("<?xml") or by_name == "application/xml":
        root = _ROOT.search(start)
        if root and root.group(1).lower() == "html":
            return "text/html"
        return "application/jats+xml" if _JATS.search(start[:4000]) else "application/xml"
    if start.startswith("{") and ('"nbformat"' in start or ('"cells"' in start and '"cell_type"' in start)):
        return "application/x-ipynb+json"
    return None


def _by_shape(start: str) -> str:
    """Guess a type for text without a telling name."""
    if _SRT.match(start):
        return "application/x-subrip"
    if _CUE.search(start[:2000]):
        return "text/vtt"
    if _HTML.search(start[:2000]) or (start.startswith("<") and _HTML_PART.search(start[:2000])):
        return "text/html"
    if _TEX.search(start):
        return "application/x-tex"
    lines = start.splitlines()[:8]
    if len(lines) > 3 and sum(1 for line in lines if _MAIL.match(line)) >= 3:
        return "message/rfc822"
    if start[:1] in ("{", "["):
        return _json_kind(lines)
    return "text/plain"


def _json_kind(lines: list[str]) -> str:
    try:
        for line in lines[:2]:
            json.loads(line)
        return "application/x-ndjson" if len(lines) > 1 else "application/json"
    except (ValueError, RecursionError):
        return "application/json" if re.match(r'[\[{]\s*(?:["{\[\]}\d-]|$)', "\n".join(lines)) else "text/plain"
