"""Merging two rankings: range, symmetry, ties, missing arms, languages."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbf_kernel.operations import Search
from sbf_kernel.search import fusion
from sbf_kernel.search.merging import merge
from sbf_kernel.storage.ranking import Candidate

SCORES = st.dictionaries(st.integers(0, 30), st.floats(-1, 50, allow_nan=False, width=32), max_size=20)
BOTH = pytest.mark.parametrize("fuse", [fusion.minmax, fusion.rrf])


@BOTH
@given(SCORES, SCORES)
def test_every_candidate_of_either_arm_is_there_once_within_the_range(
    fuse: Any, lexical: dict[int, float], dense: dict[int, float]
) -> None:
    fused = fuse(lexical, dense)
    assert set(fused) == set(lexical) | set(dense)
    top = 1.0 if fuse is fusion.minmax else 1 / (fusion.RRF_K + 1)
    assert all(0 <= score <= top + 1e-12 for score in fused.values())


@BOTH
@given(SCORES, SCORES)
def test_with_equal_weights_the_arms_may_be_swapped(
    fuse: Any, lexical: dict[int, float], dense: dict[int, float]
) -> None:
    assert fuse(lexical, dense) == pytest.approx(fuse(dense, lexical))


@BOTH
@given(SCORES, st.sampled_from([0.2, 0.5, 0.8]))
def test_one_empty_arm_keeps_the_order_of_the_other(fuse: Any, scores: dict[int, float], weight: float) -> None:
    for fused in (fuse(scores, {}, weight), fuse({}, scores, weight)):
        for a in scores:
            for b in scores:
                if scores[a] > scores[b]:
                    assert fused[a] >= fused[b]
    assert fuse({}, {}) == {}


@BOTH
@given(SCORES, SCORES, st.data())
def test_a_better_score_in_one_arm_never_lowers_the_place(
    fuse: Any, lexical: dict[int, float], dense: dict[int, float], data: st.DataObject
) -> None:
    """Between candidates with the same dense score, more words win."""
    shared = sorted(set(lexical) & set(dense))
    for a in shared:
        for b in shared:
            if dense[a] == dense[b] and lexical[a] >= lexical[b]:
                fused = fuse(lexical, dense)
                assert fused[a] >= fused[b]


@BOTH
@given(SCORES, SCORES, st.floats(0.5, 4), st.floats(-3, 3))
def test_the_order_does_not_depend_on_the_scale_of_an_arm(
    fuse: Any, lexical: dict[int, float], dense: dict[int, float], factor: float, shift: float
) -> None:
    lexical = {key: round(score, 1) for key, score in lexical.items()}
    scaled = {key: score * factor + shift for key, score in lexical.items()}
    assert fuse(scaled, dense) == pytest.approx(fuse(lexical, dense), abs=1e-6)


def test_minmax_by_hand() -> None:
    fused = fusion.minmax({"a": 4.0, "b": 2.0, "c": 0.0}, {"b": 0.9, "d": 0.5})
    assert fused == {"a": 0.5, "b": 0.25 + 0.5, "c": 0.0, "d": 0.0}
    assert fusion.minmax({"a": 3.0, "b": 3.0}, {}) == {"a": 0.5, "b": 0.5}
    assert fusion.minmax({"a": 1.0}, {"b": 1.0}, 0.2) == {"a": 0.8, "b": 0.2}


def test_rrf_by_hand_with_ties_sharing_the_better_rank() -> None:
    fused = fusion.rrf({"a": 3.0, "b": 2.0, "c": 2.0, "d": 1.0}, {"a": 1.0})
    assert fused == pytest.approx({"a": 1 / 61, "b": 0.5 / 62, "c": 0.5 / 62, "d": 0.5 / 64})


@pytest.mark.parametrize(
    ("languages", "known", "weight"),
    [
        ([], {"en"}, 0.5),
        (["en"], {"en"}, 0.5),
        (["zh"], {"en"}, 0.2),
        (["en", "zh"], {"en"}, 0.35),
        (["zh"], None, 0.5),
        (["zh", "zh"], set(), 0.2),
    ],
)
def test_meaning_counts_less_where_the_embedder_does_not_know_the_language(
    languages: list[str], known: set[str] | None, weight: float
) -> None:
    assert fusion.dense_weight(languages, None if known is None else frozenset(known)) == pytest.approx(weight)


def candidates(*rows: tuple[int, float], source: str | None = None) -> list[Candidate]:
    return [Candidate(f"{number:032x}", source or f"{number % 3:032x}", score, "en") for number, score in rows]


def op(**fields: Any) -> Search:
    return Search(query="q", **fields)


def test_ranks_and_scores_of_both_arms_are_kept() -> None:
    first, second, third = merge(op(), candidates((1, 5.0), (2, 4.0), (3, 3.0)), candidates((2, 0.9), (1, 0.8)), None)
    assert [int(r.chunk_id, 16) for r in (first, second, third)] == [2, 1, 3]
    assert (first.lexical_rank, first.lexical_score, first.dense_rank, first.dense_score) == (2, 4.0, 1, 0.9)
    assert (third.lexical_rank, third.dense_rank, third.dense_score) == (3, None, None)


@pytest.mark.parametrize("fuse", ["minmax", "rrf"])
@pytest.mark.parametrize("per_source", [False, True])
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from([0.1, 0.5, 0.9])), max_size=25, unique_by=lambda r: r[0]
    ),
    limit=st.integers(1, 10),
)
def test_the_result_is_ordered_distinct_and_the_same_every_time(
    fuse: str, per_source: bool, rows: list[tuple[int, float]], limit: int
) -> None:
    rows = sorted(rows, key=lambda row: -row[1])
    lexical, dense = candidates(*rows[::2]), candidates(*rows[1:])
    search = op(fusion=fuse, per_source=per_source, limit=limit)
    merged = merge(search, lexical, dense, None)
    assert [r.score for r in merged] == sorted((r.score for r in merged), reverse=True)
    assert len({r.chunk_id for r in merged}) == len(merged) <= limit
    assert merge(search, lexical, dense, None) == merged
    assert merge(op(fusion=fuse, per_source=per_source, limit=100), lexical, dense, None)[:limit] == merged


def test_equal_scores_are_decided_by_meaning_then_words_then_id() -> None:
    dense = candidates((5, 0.9), (4, 0.5))
    lexical = candidates((7, 2.0), (6, 2.0))
    merged = merge(op(), lexical, dense, None)
    assert [int(r.chunk_id, 16) for r in merged] == [5, 6, 7, 4]


def test_per_source_keeps_each_source_by_its_best_chunk() -> None:
    source, other = str(uuid4()), str(uuid4())
    lexical = [*candidates((1, 9.0), (2, 8.0), source=source), *candidates((3, 1.0), source=other)]
    merged = merge(op(arm="lexical", per_source=True), lexical, [], None)
    assert [(int(r.chunk_id, 16), r.lexical_rank) for r in merged] == [(1, 1), (3, 2)]


def test_only_so_many_candidates_per_arm_take_part() -> None:
    many = candidates(*((number, 1_000.0 - number) for number in range(fusion.DEPTH + 50)))
    assert len(merge(op(arm="lexical", limit=100), many, [], None)) == 100
    merged = merge(op(limit=100), many, candidates((500, 0.5)), None)
    assert max(r.lexical_rank or 0 for r in merged) <= fusion.DEPTH
