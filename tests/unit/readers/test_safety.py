"""Bombs, mutations and noise: a reader answers with text or a SourceError, soon."""

from __future__ import annotations

import functools
import io
import json
import time
import zipfile
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reader_files import SHEET, blocks, docx, epub, odf, paragraph, pdf, pptx, shape, xlsx, zipped

from sbf_kernel.errors import SourceBroken, SourceEncrypted, SourceError, SourceTooLarge
from sbf_kernel.readers import read

DOCTYPE = '<!DOCTYPE w [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'


def rows(count: int) -> str:
    return "".join(f'<row r="{n}"><c r="A{n}"><v>{n}</v></c></row>' for n in range(1, count + 1))


@functools.cache
def seeds() -> list[tuple[str, bytes]]:
    return [
        ("a.docx", docx(paragraph("Some words") * 5)),
        ("a.pptx", pptx([shape("Head", "title") + shape("words")])),
        ("a.xlsx", xlsx(rows(3))),
        ("a.odt", odf("text", "<text:p xmlns:text='x'>words</text:p>")),
        ("a.epub", epub(["<h1>One</h1><p>words</p>"])),
        ("a.pdf", pdf([[(72, 700, 12, "Some words on a page")], [(72, 700, 12, "More")]])),
        ("a.html", b"<html><head><meta charset='utf-8'></head><body><h1>x</h1><table><tr><td>1</td></tr></table></body>"),
        ("a.md", b"# Head\n\n- item\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\ncode\n```\n"),
        ("a.eml", b"From: a@b\nSubject: =?utf-8?q?x?=\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nhi\n--b--\n"),
        ("a.rtf", b"{\\rtf1\\ansi{\\fonttbl{\\f0\\fcharset128 x;}}\\f0 \\'94\\'4c \\u9731?\\par\\trowd a\\cell\\row}"),
        ("a.tex", b"\\documentclass{a}\\begin{document}\\section{x} $y$ \\'e \\begin{tabular}{l}a & b\\end{tabular}"),
        ("a.srt", b"1\n00:00:01,000 --> 00:00:02,000\nHi <i>you</i>\n\n2\n00:00:03,000 --> 00:00:04,000\nBye\n"),
        ("a.ipynb", json.dumps({"nbformat": 4, "cells": [{"cell_type": "code", "source": ["x"], "outputs": []}]}).encode()),
        ("a.xml", b"<?xml version='1.0' encoding='utf-8'?><article><sec><title>x</title><p>y</p></sec></article>"),
        ("a.csv", "a;b\n\"1\n2\";ü\n".encode("cp1252")),
        ("a.jsonl", b'{"a": 1}\n{"a": [2]}\n'),
    ]  # fmt: skip


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_mutated_files_are_read_or_refused(data: st.DataObject) -> None:
    name, seed = data.draw(st.sampled_from(seeds()))
    content = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(content)))
        cut = data.draw(st.integers(0, 30))
        content[place : place + cut] = data.draw(st.binary(max_size=30))
    try:
        blocks(read(bytes(content), name=name))
    except SourceError as error:
        assert name in error.message


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=400) | st.text(max_size=200).map(str.encode),
    st.sampled_from(
        [name for name, _ in seeds()] + ["a.txt", "a.py", "a.xls", "a.msg", "a", "a.json", "a.tsv", "a.vtt"]
    ),
    st.none() | st.sampled_from(["text/html", "application/pdf", "application/json", "x/y"]),
)
def test_noise_is_read_or_refused(content: bytes, name: str, hint: str | None) -> None:
    try:
        blocks(read(content, name=name, media_type=hint))
    except SourceError as error:
        assert name in error.message


def bomb(size: int, member: str = "word/document.xml") -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        with archive.open(member, "w", force_zip64=True) as stream:
            for _ in range(size >> 20):
                stream.write(bytes(1 << 20))
    return target.getvalue()


def many_members() -> bytes:
    return zipped({f"word/{n}.xml": "" for n in range(10_001)})


def lying() -> bytes:
    """A directory that promises 10 bytes for a member of 3 MB."""
    whole = zipped({"word/document.xml": b"<a>" + b"x" * 3_000_000})
    size = (3_000_003).to_bytes(4, "little")
    return whole.replace(size, (10).to_bytes(4, "little"))


def flagged() -> bytes:
    """A ZIP file whose members say they are encrypted."""
    content = bytearray(docx(paragraph("x")))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.find(signature)
        while place >= 0:
            content[place + offset] |= 1
            place = content.find(signature, place + 4)
    return bytes(content)


@pytest.mark.parametrize(
    ("name", "make", "errors"),
    [
        ("a.docx", lambda: bomb(8 << 20), (SourceTooLarge,)),
        ("a.xlsx", lambda: bomb(300 << 20, "xl/workbook.xml"), (SourceTooLarge,)),
        ("a.docx", many_members, (SourceTooLarge,)),
        ("a.docx", lying, (SourceTooLarge, SourceBroken)),
        ("a.docx", flagged, (SourceEncrypted,)),
        ("a.docx", lambda: docx("<w:p/>" * 2_600_000 + "<!--" + "".join(map(str, range(60_000))) + "-->"), (SourceTooLarge,)),
        ("a.docx", lambda: zipped({"word/document.xml": DOCTYPE + "<w>&b;</w>"}), (SourceBroken,)),
        ("a.odt", lambda: zipped({"mimetype": "application/vnd.oasis.opendocument.text",
                                  "content.xml": DOCTYPE + "<w>&b;</w>"}), (SourceBroken,)),
        ("a.xlsx", lambda: zipped({"xl/workbook.xml": f"{DOCTYPE}<workbook {SHEET}>&b;</workbook>"}), (SourceBroken,)),
    ],
)  # fmt: skip
def test_bombs_are_refused_at_once(name: str, make: Callable[[], bytes], errors: tuple[type[Exception], ...]) -> None:
    content = make()
    start = time.process_time()
    with pytest.raises(errors):
        read(content, name=name)
    assert time.process_time() - start < 5


def test_an_external_entity_in_a_document_is_not_fetched(tmp_path: object) -> None:
    attack = f'<!DOCTYPE w [<!ENTITY x SYSTEM "file://{tmp_path}/secret">]><w>before &x; after</w>'
    for name in ("word/document.xml", "ppt/presentation.xml", "xl/workbook.xml"):
        with pytest.raises(SourceBroken, match="document type"):
            read(zipped({name: attack}), name="a")


def test_every_error_names_the_file_and_a_reason() -> None:
    with pytest.raises(SourceBroken) as caught:
        read(b"PK\x03\x04word/", name="thesis.docx")
    assert "thesis.docx" in caught.value.message
    assert caught.value.details == {"source": "thesis.docx"}
