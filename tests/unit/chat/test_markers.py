"""Markers in a stream: every form, every cut, nothing else touched."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sbf_kernel.chat.markers import MarkerStream


def read(pieces: list[str], labels: range = range(1, 6)) -> tuple[str, list[tuple[int, int, int]], int]:
    stream = MarkerStream(labels)
    text = "".join([*map(stream.feed, pieces), stream.finish()])
    return text, [(m.label, m.start, m.end) for m in stream.markers], stream.unknown


@pytest.mark.parametrize(
    ("written", "clean"),
    [
        ("Yes [1].", "Yes [1]."),
        ("Yes [1, 2].", "Yes [1][2]."),
        ("Yes [1,2][3].", "Yes [1][2][3]."),
        ("Yes【1】.", "Yes[1]."),
        ("Yes 【2†source】.", "Yes [2]."),
        ("Yes [1-3].", "Yes [1][2][3]."),
        ("Yes [1–3; 5].", "Yes [1][2][3][5]."),
        ("Yes [^4].", "Yes [4]."),
        ("Yes [2, 2].", "Yes [2]."),
        ("Yes [9].", "Yes."),
        ("Yes [9] and no [1, 8].", "Yes and no [1]."),
        ("Yes [1-99].", "Yes [1]."),
        ("a [0, 1] interval", "a [0, 1] interval"),
        ("in [2024] or [citation needed]", "in [2024] or [citation needed]"),
        ("- [ ] to do", "- [ ] to do"),
        ("`a[1]` is code", "`a[1]` is code"),
        ("``a[1] ` b`` and [1]", "``a[1] ` b`` and [1]"),
        ("a lone ` and [1]", "a lone ` and [1]"),
        ("```\nx[1]\n```\nso [1]", "```\nx[1]\n```\nso [1]"),
        ("~~~py\nx[9]\n```\n[9]\n~~~\nso [9]", "~~~py\nx[9]\n```\n[9]\n~~~\nso"),
        ("{{7*7}} {x.__class__} %s ${a}", "{{7*7}} {x.__class__} %s ${a}"),
        ("open [1", "open [1"),
        ("trailing  ", "trailing  "),
    ],
)
def test_forms(written: str, clean: str) -> None:
    assert read([written])[0] == clean


def test_markers_know_where_they_are() -> None:
    text, markers, unknown = read(["So [1, 2", "]. And 【", "3】 [7]!"])
    assert text == "So [1][2]. And [3]!"
    assert [(label, text[start:end]) for label, start, end in markers] == [(1, "[1]"), (2, "[2]"), (3, "[3]")]
    assert unknown == 1


def test_invented_markers_are_counted() -> None:
    assert read(["[6][7] [8, 1]"])[2] == 3


def test_code_has_no_markers() -> None:
    _, markers, unknown = read(["```\n[1] [77]\n```\n`[2]`"])
    assert (markers, unknown) == ([], 0)


PIECES = st.sampled_from(
    [
        "[",
        "]",
        "1",
        "2",
        "9",
        ", ",
        ",",
        "-",
        " ",
        "  ",
        "\n",
        "`",
        "```",
        "~~~",
        "\n```",
        "【",
        "】",
        "†s",
        "word",
        ".",
        "^",
        "0",
        "[1]",
        "[2, 3]",
        " [9]",
        "é",
        "中",
        "\t",
        "x" * 90,
        " " * 5,
    ]
)
TEXTS = st.lists(PIECES, max_size=40).map("".join)


@given(text=TEXTS, cuts=st.lists(st.integers(0, 400), max_size=30))
@example(text="``` `` [1] ` [2]\n[3]", cuts=[1, 2, 3, 4, 5])
def test_the_cuts_do_not_matter(text: str, cuts: list[int]) -> None:
    borders = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    pieces = [text[a:b] for a, b in itertools.pairwise(borders)]
    whole = read([text])
    assert read(pieces) == whole
    assert read(list(text)) == whole


@given(st.text().filter(lambda t: "[" not in t and "【" not in t))
def test_text_without_markers_is_unchanged(text: str) -> None:
    assert read(list(text)) == (text, [], 0)


@given(TEXTS)
def test_each_marker_stands_in_the_text(text: str) -> None:
    clean, markers, _ = read([text])
    for label, start, end in markers:
        assert clean[start:end] == f"[{label}]"
        assert label in range(1, 6)
    assert [m[1] for m in markers] == sorted(m[1] for m in markers)


def test_little_is_held_back() -> None:
    stream = MarkerStream({1})
    assert stream.feed("Plain words come at once") == "Plain words come at once"
    assert stream.feed(" [") == ""
    assert stream.feed("not a marker") == " [not a marker"


@pytest.mark.parametrize(
    "text",
    ["[" * 50_000, "[1" * 50_000, "`" * 50_000, " " * 50_000 + "x", "` " * 25_000, "[1]" * 20_000, "[,,,," * 20_000],
)
def test_hostile_streams_cost_little(text: str) -> None:
    begin = time.perf_counter()
    stream = MarkerStream({1})
    for start in range(0, len(text), 40):
        stream.feed(text[start : start + 40])
    stream.finish()
    assert time.perf_counter() - begin < 5
