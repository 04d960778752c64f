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
POSTINGS_BUDGET = 10_000
"""Chunks that whole posting lists may bring in."""
IMPACT_BUDGET = 20_000
"""Chunks that high-impact postings may bring in."""
MAX_LANGUAGES = 4
"""Languages in which a query is stemmed: the most frequent ones of the collection."""
_HIGH = 1 << sparse.TERM_BITS


@dataclass(frozen=True)
class CandidatePlan:
    """Keys whose chunks are candidates, and pairs of keys that must meet in one chunk."""

    keys: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...]


def plan_candidates(weights: Mapping[int, float], frequencies: Mapping[int, int], widen: float = 1.0) -> CandidatePlan:
    """Choose candidate keys within the budgets.

    Parameters
    ----------
    weights
        Query weight by term id; terms that occur nowhere are absent.
    frequencies
        Chunks per key, for terms and for their high-impact keys.
    widen
        Factor on the budgets, for scopes that hold only a part of the collection.
    """
    by_rarity = sorted(weights, key=lambda term: (frequencies.get(term, 0), term))
    running = accumulate(frequencies.get(term, 0) for term in by_rarity)
    whole = max(1, sum(spent <= POSTINGS_BUDGET * widen for spent in running))
    keys, rest = by_rarity[:whole], by_rarity[whole:]
    spent = 0.0
    for term in rest:
        count = frequencies.get(term + _HIGH, 0)
        if count and spent + count <= IMPACT_BUDGET * widen:
            spent += count
            keys.append(term + _HIGH)
    return CandidatePlan(tuple(keys), tuple(combinations(rest[:3], 2)))


def languages_of(scope: ranking.ScopeFilter) -> list[str]:
    """Return the languages in which a query is stemmed."""
    return [language for language, _ in scope.languages[:MAX_LANGUAGES]]


async def rank(
    connection: AsyncConnection, user_id: str, scope: ranking.ScopeFilter, query: str, limit: int
) -> list[ranking.Candidate]:
    """Return the best chunks of the scope by BM25, best first; only chunks with a matching word."""
    total = sum(chunks for _, chunks in scope.languages)
    counts = sparse.encode_query(query, languages_of(scope))
    frequencies = await ranking.document_frequencies(connection, user_id, [*counts, *(term + _HIGH for term in counts)])
    weights = {
        term: count * sparse.idf(frequencies[term], total) for term, count in counts.items() if term in frequencies
    }
    if not weights:
        return []
    if scope.chunks <= EXACT_CHUNKS:
        return await ranking.lexical_exact(connection, user_id, scope, weights, limit)
    plan = plan_candidates(weights, frequencies, widen=max(1.0, total / max(1, scope.chunks)))
    return await ranking.lexical_candidates(connection, scope, weights, plan.keys, plan.pairs, limit)
