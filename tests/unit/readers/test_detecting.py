"""Which reader takes what: content before name before hint."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reader_files import docx, epub, odf, paragraph, pdf, pptx, xlsx, zipped

from sbf_kernel.errors import SourceEmpty, SourceHasNoText, SourceUnsupported
from sbf_kernel.readers import detect, media_types, read

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)


@given(st.binary(max_size=300), st.text(max_size=20), st.none() | st.text(max_size=20))
def test_detect_never_fails(content: bytes, name: str, hint: str | None) -> None:
    assert detect(content, name, hint)


@given(
    st.sampled_from([b"PK\x03\x04", b"%PDF-", OLE[:8], b"{\\rtf", b"<?xml", b"RIFF", b"\xff\xfe"]),
    st.binary(max_size=300),
)
def test_detect_never_fails_on_broken_signatures(magic: bytes, rest: bytes) -> None:
    assert detect(magic + rest, "x")


@pytest.mark.parametrize(
    ("content", "name", "kind"),
    [
        (pdf([[(72, 700, 12, "x")]]), "misnamed.docx", "application/pdf"),
        (b"junk\n%PDF-1.4", "x", "application/pdf"),
        (docx(paragraph("x")), "x.zip", "wordprocessingml.document"),
        (pptx([]), "x", "presentationml.presentation"),
        (xlsx(""), "x", "spreadsheetml.sheet"),
        (odf("text", ""), "x", "opendocument.text"),
        (epub([]), "x", "application/epub+zip"),
        (zipped({"a.txt": "a"}), "a.epub", "application/zip"),
        (OLE + "EncryptedPackage".encode("utf-16-le"), "x.xlsx", "application/x-ooxml-encrypted"),
        (OLE + "WordDocument".encode("utf-16-le"), "x", "application/msword"),
        (OLE + "Workbook".encode("utf-16-le"), "x", "application/vnd.ms-excel"),
        (OLE + "__substg1.0_0037001F".encode("utf-16-le"), "x", "application/vnd.ms-outlook"),
        (b"<!DOCTYPE html><p>x", "page.txt", "text/html"),
        (b"<?xml version='1.0'?><html xmlns='x'/>", "a.xml", "text/html"),
        (b"<?xml version='1.0'?><article article-type='x'/>", "a.xml", "application/jats+xml"),
        (b"<?xml version='1.0'?><rss/>", "feed", "application/xml"),
        (b'{"cells": [{"cell_type": "code"}], "nbformat": 4}', "a.json", "application/x-ipynb+json"),
        (b"WEBVTT\n", "captions", "text/vtt"),
        (b"1\n00:00:01,000 --> 00:00:02,000\nHi", "captions.txt", "application/x-subrip"),
        (b"From: a@b.c\nTo: d@e.f\nSubject: x\nDate: y\n\nz", "mail", "message/rfc822"),
        (b"\\documentclass{article}\n", "paper", "application/x-tex"),
        (b'{"a": 1}\n{"a": 2}\n', "x", "application/x-ndjson"),
        (b"a,b\n1,2", "x.csv", "text/csv"),
        (b"print(1)", "x.py", "text/x-source"),
        (b"# hi", "README.md", "text/markdown"),
        ("\ufeffé".encode("utf-16"), "x", "text/plain"),
        ("Hello there".encode("utf-16-le"), "x", "text/plain"),
        (bytes(range(256)) * 4, "x.txt", "application/octet-stream"),
    ],
)
def test_content_and_name_decide(content: bytes, name: str, kind: str) -> None:
    assert detect(content, name).endswith(kind)


def test_the_hint_decides_last() -> None:
    assert detect(b"just words", "x", "text/markdown; charset=utf-8") == "text/markdown"
    assert detect(b"just words", "x.txt", "text/markdown") == "text/plain"
    assert detect(b"just words", "x", "image/png") == "text/plain"


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (b"", SourceEmpty, "0 bytes"),
        (b" \n\t ", SourceEmpty, "no text"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), SourceHasNoText, "picture"),
        (b"\x1f\x8b" + bytes(50), SourceUnsupported, "compressed"),
        (b"\x7fELF" + bytes(50), SourceUnsupported, "program"),
        (OLE + "WordDocument".encode("utf-16-le"), SourceUnsupported, "old Word"),
    ],
)
def test_refusals_say_why_and_what_to_do(content: bytes, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        read(content, name="the file")
    assert "the file" in str(caught.value)
    assert caught.value.hint  # type: ignore[attr-defined]


def test_every_announced_type_has_a_reader() -> None:
    from sbf_kernel.readers import _reader

    assert all(callable(_reader(kind)) for kind in media_types())


def test_importing_readers_imports_no_parser() -> None:
    import subprocess
    import sys

    code = "import sys, sbf_kernel.readers; print([m for m in ('lxml', 'pypdfium2', 'chardet', 'email', 'olefile') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
