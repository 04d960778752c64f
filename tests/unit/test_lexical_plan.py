"""Which terms find candidates in a large scope: budgets, rarity, pairs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sbf_kernel.search import lexical
from sbf_kernel.search.lexical import plan_candidates

HIGH = 1 << 29
TOTAL = 1_000_000
FREQUENCIES = st.dictionaries(
    st.integers(0, 10_000), st.tuples(st.integers(1, TOTAL), st.floats(0, 1)), min_size=1, max_size=12
)


def plan(frequencies: dict[int, tuple[int, float]], widen: float = 1.0) -> lexical.CandidatePlan:
    counts = {term: df for term, (df, _) in frequencies.items()}
    counts |= {term + HIGH: int(df * share) for term, (df, share) in frequencies.items() if int(df * share)}
    return plan_candidates(dict.fromkeys(frequencies, 1.0), counts, TOTAL, widen)


@given(FREQUENCIES, st.sampled_from([1.0, 3.5]))
def test_the_budgets_hold_but_the_rarest_term_always_counts(
    frequencies: dict[int, tuple[int, float]], widen: float
) -> None:
    made = plan(frequencies, widen)
    whole = [key for key in made.keys if key < HIGH]
    high = [key - HIGH for key in made.keys if key >= HIGH]
    rarest = min(frequencies, key=lambda term: (frequencies[term][0], term))
    assert rarest in whole
    if len(whole) > 1:
        assert sum(frequencies[term][0] for term in whole) <= lexical.POSTINGS_BUDGET * widen
    assert sum(int(frequencies[term][0] * frequencies[term][1]) for term in high) <= lexical.IMPACT_BUDGET * widen
    met = sum(frequencies[a][0] * frequencies[b][0] / TOTAL for a, b in made.pairs)
    assert met <= lexical.PAIR_BUDGET * widen


@given(FREQUENCIES)
def test_every_whole_list_is_rarer_than_every_list_left_out_and_none_comes_twice(
    frequencies: dict[int, tuple[int, float]],
) -> None:
    made = plan(frequencies)
    whole = [key for key in made.keys if key < HIGH]
    rest = set(frequencies) - set(whole)
    assert len(set(made.keys)) == len(made.keys)
    assert {key - HIGH for key in made.keys if key >= HIGH} <= rest
    assert {term for pair in made.pairs for term in pair} <= rest
    if rest:
        assert max(frequencies[term][0] for term in whole) <= min(frequencies[term][0] for term in rest)


@given(FREQUENCIES)
def test_pairs_are_three_at_most_of_two_terms_each(frequencies: dict[int, tuple[int, float]]) -> None:
    pairs = plan(frequencies).pairs
    assert len(pairs) <= 3
    assert all(a != b for a, b in pairs)


@given(FREQUENCIES)
def test_a_wider_budget_never_drops_what_a_narrow_one_had(frequencies: dict[int, tuple[int, float]]) -> None:
    narrow, wide = plan(frequencies), plan(frequencies, 100.0)
    assert {key % HIGH for key in narrow.keys} <= {key % HIGH for key in wide.keys}


def test_by_hand() -> None:
    budget = lexical.POSTINGS_BUDGET
    counts = {1: 10, 2: budget - 10, 3: 1, 4: 500_000, 5: 900_000, 4 + HIGH: 100, 5 + HIGH: lexical.IMPACT_BUDGET}
    made = plan_candidates(dict.fromkeys((1, 2, 3, 4, 5), 1.0), counts, TOTAL)
    assert made.keys[:2] == (3, 1)
    assert set(made.keys) == {3, 1, 4 + HIGH}
    assert plan_candidates({7: 1.0}, {7: 10 * budget}, TOTAL).keys == (7,)


def test_terms_with_the_same_frequency_come_in_a_fixed_order() -> None:
    counts = dict.fromkeys(range(9), 3_000)
    forwards = plan_candidates(dict.fromkeys(range(9), 1.0), counts, TOTAL)
    backwards = plan_candidates(dict.fromkeys(reversed(range(9)), 1.0), counts, TOTAL)
    assert forwards == backwards
