"""The context budget: within the window, fair to sources, honest about what was cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbf_kernel.chat import context, prompts
from sbf_kernel.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from sbf_kernel.records import Hit

    Versions = Callable[[Sequence[Hit]], dict[UUID, str]]


def prose(topic: str, words: int) -> str:
    return " ".join(f"{topic}{n}" for n in range(words)) + "."


CHUNKS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(0, 30), st.integers(1, 120)),
    min_size=1,
    max_size=25,
    unique_by=lambda c: c[:2],
)


@given(chunks=CHUNKS, window=st.integers(1_000, 6_000))
def test_the_window_is_never_exceeded(
    hit: Callable[..., Hit], versions: Versions, chunks: list[tuple[str, int, int]], window: int
) -> None:
    hits = [
        hit(prose(f"{source}{at}w", words), source=source, start=at * 2_000, rank=rank)
        for rank, (source, at, words) in enumerate(chunks, start=1)
    ]
    texts = versions(hits)
    made = context.compose(hits, texts, window=window, overhead=200)
    budget = made.budget
    assert budget.used + budget.reserved <= budget.window == window
    assert budget.passages == len(made.passages) >= 1
    shown = [h.chunk_id for e in made.evidence.values() for h in e.hits]
    assert len(set(shown)) == len(shown)
    assert budget.cut == len(hits) - len(shown)
    assert [p.label for p in made.passages] == list(range(1, len(made.passages) + 1))
    for passage in made.passages:
        assert texts[passage.version_id][passage.start : passage.end] == passage.text
    assert not set(budget.cut_sources) & {p.source for p in made.passages}
    for version_id in {p.version_id for p in made.passages}:
        starts = [p.start for p in made.passages if p.version_id == version_id]
        assert starts == sorted(starts)


def test_all_fit_when_there_is_room(hit: Callable[..., Hit], versions: Versions) -> None:
    hits = [hit(prose(f"t{n}x", 50), start=n * 1_000, rank=n + 1) for n in range(10)]
    budget = context.compose(hits, versions(hits), window=16_000, overhead=300).budget
    assert (budget.passages, budget.cut, budget.cut_sources) == (10, 0, ())


def test_neighbours_become_one_passage(hit: Callable[..., Hit], versions: Versions) -> None:
    first, second = "One sentence here.", "Another sentence there."
    hits = [hit(second, start=len(first) + 2, rank=1), hit(first, start=0, rank=2)]
    (passage,) = context.compose(hits, versions(hits), window=4_000, overhead=0).passages
    assert passage.text == f"{first}..{second}"


def test_repetitions_are_dropped_and_counted(hit: Callable[..., Hit], versions: Versions) -> None:
    text = prose("same", 40)
    hits = [hit(text, source=name, rank=n) for n, name in enumerate("abc", start=1)]
    budget = context.compose(hits, versions(hits), window=4_000, overhead=0).budget
    assert (budget.passages, budget.cut, budget.cut_sources) == (1, 2, ("b", "c"))


def test_one_source_does_not_crowd_out_the_others(hit: Callable[..., Hit], versions: Versions) -> None:
    many = [hit(prose(f"a{n}x", 60), source="a", start=n * 5_000, rank=n + 1) for n in range(12)]
    hits = [*many, hit(prose("b", 60), source="b", rank=13)]
    made = context.compose(hits, versions(hits), window=1_000 + 750 + 250, overhead=0)
    assert made.budget.cut > 0
    assert {p.source for p in made.passages} == {"a", "b"}


def test_a_long_passage_is_cut_at_a_sentence(hit: Callable[..., Hit], versions: Versions) -> None:
    text = " ".join(f"Sentence number {n} is about nothing much." for n in range(400))
    made = context.compose([hit(text)], versions([hit(text)]), window=1_000, overhead=100)
    (passage,) = made.passages
    assert passage.text.endswith("nothing much.")
    assert len(passage.text) < len(text)


def test_no_room_at_all_says_what_to_do(hit: Callable[..., Hit], versions: Versions) -> None:
    with pytest.raises(InvalidInput, match="SBF_MODEL_CONTEXT_TOKENS"):
        context.compose([hit("A sentence.")], versions([hit("A sentence.")]), window=1_000, overhead=900)


def test_tokens_grow_with_the_text() -> None:
    assert context.tokens("") == 0
    assert context.tokens("a" * 35) == 10
    assert context.tokens("水在一百度沸腾") == 7


@given(question=st.text(max_size=100), passages=st.text(max_size=100))
def test_slots_hold_data(question: str, passages: str) -> None:
    text = prompts.fill("answer", boundary="B", question=question, passages=passages)
    assert question in text
    assert passages in text
    assert text.replace(question, "", 1) if question else text


def test_slots_in_data_stay() -> None:
    hostile = "{passages} {boundary} {{7*7}} {x.__class__} %(a)s ${b}"
    assert prompts.fill("answer", boundary="B", question=hostile, passages="P").endswith(hostile)


def test_slots_are_all_used_and_all_given() -> None:
    with pytest.raises(ValueError, match="no slot"):
        prompts.fill("answer", boundary="B", question="q", passages="p", other="o")
    with pytest.raises(KeyError):
        prompts.fill("answer", question="q", passages="p")
