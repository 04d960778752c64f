"""The lexical arm: which terms find candidates, and BM25 over them.

A small scope is scored whole. In a large one the rarest terms bring in all
their chunks and frequent terms only the chunks in which they weigh much; both
within a budget, so that a question full of frequent words stays fast. At one
million passages the top 10 is then the exact one (docs/adr/0002-search.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, combinations
from typing import TYPE_CHECKING

from sbf_kernel.models import sparse
from sbf_kernel.storage import ranking

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

EXACT_CHUNKS = 4_000
"""Scopes up to this size are scored whole; measured break-even with the candidate path."""
SCAN_GAIN = 2.0
"""Chunks of a scope that are scored in the time in which one candidate is looked up and scored."""
POSTINGS_BUDGET = 3_000
"""Chunks that whole posting lists may bring in."""
IMPACT_BUDGET = 5_000
"""Chunks that high-impact postings may bring in."""
PAIR_BUDGET = 2_000
"""Chunks in which two frequent terms may meet."""
FULL_BUDGET_CHUNKS = 20_000
"""Collections below this size get a smaller budget in proportion: the same share of their chunks."""
MAX_LANGUAGES = 4
"""Languages in which a query is stemmed: the most frequent ones of the collection."""
_HIGH = 1 << sparse.TERM_BITS


@dataclass(frozen=True)
class CandidatePlan:
    """Keys whose chunks are candidates, and pairs of keys that must meet in one chunk."""

    keys: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...]
    chunks: float
    """Chunks that will come in, estimated."""


def plan_candidates(
    weights: Mapping[int, float], frequencies: Mapping[int, int], total: int, widen: float = 1.0
) -> CandidatePlan:
    """Choose candidate keys within the budgets.

    Parameters
    ----------
    weights
        Query weight by term id; terms that occur nowhere are absent.
    frequencies
        Chunks per key, for terms and for their high-impact keys.
    total
        Chunks in the collection.
    widen
        Factor on the budgets, for scopes that hold only a part of the collection.
    """
    by_rarity = sorted(weights, key=lambda term: (frequencies.get(term, 0), term))
    running = accumulate(frequencies.get(term, 0) for term in by_rarity)
    whole = max(1, sum(spent <= POSTINGS_BUDGET * widen for spent in running))
    keys, rest = by_rarity[:whole], by_rarity[whole:]
    impact = 0.0
    for term in rest:
        count = frequencies.get(term + _HIGH, 0)
        if count and impact + count <= IMPACT_BUDGET * widen:
            impact += count
            keys.append(term + _HIGH)
    pairs, meeting = [], 0.0
    for pair in combinations(rest[:3], 2):
        both = frequencies[pair[0]] * frequencies[pair[1]] / max(1, total)  # as if words were independent
        if meeting + both <= PAIR_BUDGET * widen:
            meeting += both
            pairs.append(pair)
    found = sum(frequencies.get(key, 0) for key in keys) + meeting
    return CandidatePlan(tuple(keys), tuple(pairs), found)


def languages_of(scope: ranking.ScopeFilter) -> list[str]:
    """Return the languages in which a query is stemmed."""
    return [language for language, _ in scope.languages[:MAX_LANGUAGES]]


async def rank(
    connection: AsyncConnection, user_id: str, scope: ranking.ScopeFilter, query: str, limit: int
) -> list[ranking.Candidate]:
    """Return the best chunks of the scope by BM25, best first; only chunks with a matching word."""
    weights, frequencies = await weigh(connection, user_id, scope, query)
    if not weights:
        return []
    if scope.chunks <= EXACT_CHUNKS:
        return await ranking.lexical_exact(connection, user_id, scope, weights, limit)
    total = _total(scope)
    widen = max(1.0, total / scope.chunks) * min(1.0, total / FULL_BUDGET_CHUNKS)
    plan = plan_candidates(weights, frequencies, total, widen)
    if scope.chunks <= plan.chunks * SCAN_GAIN:
        return await ranking.lexical_exact(connection, user_id, scope, weights, limit)
    return await ranking.lexical_candidates(connection, scope, weights, plan.keys, plan.pairs, limit)


async def weigh(
    connection: AsyncConnection, user_id: str, scope: ranking.ScopeFilter, query: str
) -> tuple[dict[int, float], dict[int, int]]:
    """Return the weight of each term of the query that occurs at all, and the frequencies of keys."""
    counts = sparse.encode_query(query, languages_of(scope))
    keys = [*counts, *(term + _HIGH for term in counts)]
    frequencies = await ranking.document_frequencies(connection, user_id, keys)
    total = _total(scope)
    weights = {term: n * sparse.idf(frequencies[term], total) for term, n in counts.items() if term in frequencies}
    return weights, frequencies


def _total(scope: ranking.ScopeFilter) -> int:
    return sum(chunks for _, chunks in scope.languages)
