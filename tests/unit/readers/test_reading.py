"""The contract every reader builds on: clean text, right offsets, sound places."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reader_files import blocks

from sbf_kernel.readers import ReadingBuilder, clean_text
from sbf_kernel.readers.reading import table_line

KINDS = st.sampled_from(["heading", "paragraph", "list", "table", "code", "cue"])
ANY_TEXT = st.text(st.characters(), max_size=60)


@given(st.text(st.characters(), max_size=200), st.booleans())
def test_cleaning_twice_changes_nothing(text: str, keep_spaces: bool) -> None:
    once = clean_text(text, keep_spaces=keep_spaces)
    assert clean_text(once, keep_spaces=keep_spaces) == once


@given(st.text(st.characters(), max_size=200), st.booleans())
def test_clean_text_can_be_stored_and_sent(text: str, keep_spaces: bool) -> None:
    cleaned = clean_text(text, keep_spaces=keep_spaces)
    cleaned.encode("utf-8")
    assert not set(cleaned) & set("\0\r\v\f\x85\u2028\u200b\u202e\ufeff\xad")
    assert unicodedata.is_normalized("NFC", cleaned)
    assert "\n\n\n" not in cleaned


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        ("one  \t two\xa0three ", "one two three"),
        ("e\u0301t\u00ade", "éte"),
        ("e\ufb03cient", "efficient"),
        ("x²½ＡＢ", "x²½ＡＢ"),
        ("pay\u202eevil\u202c", "payevil"),
        ("hidden\U000e0041\U000e0042", "hidden"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("\ud800lone", "lone"),
    ],
)
def test_clean_text_examples(raw: str, clean: str) -> None:
    assert clean_text(raw) == clean


def test_code_keeps_its_indentation() -> None:
    assert clean_text("if x:\n    y  = 1", keep_spaces=True) == "if x:\n    y  = 1"


@given(st.lists(st.tuples(KINDS, ANY_TEXT, st.integers(1, 6)), max_size=15))
def test_blocks_are_sorted_disjoint_and_exact(parts: list[tuple[str, str, int]]) -> None:
    builder = ReadingBuilder()
    added: list[str] = []
    for kind, text, level in parts:
        if kind == "heading":
            builder.heading(text, level, page=1)
            added.append(" ".join(clean_text(text).split()))
        else:
            builder.add(text, kind, page=1)  # type: ignore[arg-type]
            keep = kind in {"code", "table"}
            added.append(clean_text(text, keep_spaces=keep).strip("\n" if kind == "code" else None))
    texts = [text for _, text in blocks(builder.build())]
    assert texts == [text for text in added if text.strip()]


def test_headings_nest() -> None:
    builder = ReadingBuilder()
    builder.heading("One", 1)
    builder.heading("One A", 2)
    builder.add("text")
    builder.heading("Two", 1)
    builder.add("more")
    assert [block.place.headings for block in builder.build().blocks] == [
        (),
        ("One",),
        ("One", "One A"),
        (),
        ("Two",),
    ]


def test_table_rows_keep_number_and_header() -> None:
    builder = ReadingBuilder()
    builder.table([["name", "age"], ["", ""], ["Ada", "36\nyears", ""]], first_row=4, page=2)
    reading = builder.build()
    assert reading.text == "name | age\nAda | 36 years"
    assert [(block.place.row, block.place.page, block.header) for block in reading.blocks] == [
        (4, 2, "name | age"),
        (6, 2, "name | age"),
    ]


def test_a_reading_inside_another_keeps_its_offsets() -> None:
    inner = ReadingBuilder()
    inner.heading("Inner", 1)
    inner.table([["a", "b"], ["1", "2"]])
    outer = ReadingBuilder()
    outer.heading("Outer", 1)
    outer.include(inner.build())
    reading = outer.build()
    assert blocks(reading) == [("heading", "Outer"), ("heading", "Inner"), ("table", "a | b"), ("table", "1 | 2")]
    assert reading.blocks[2].place.headings == ("Outer", "Inner")


def test_table_line_drops_empty_ends_only() -> None:
    assert table_line(["", "a ", "", "b\n c", "", ""]) == "| a |  | b c"
    assert not table_line(["", " "])
