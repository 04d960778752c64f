"""Two arms' candidates → one ranking of chunks, or of sources by their best chunk."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sbf_kernel.operations import Search
from sbf_kernel.search import fusion
from sbf_kernel.storage.ranking import Candidate

LANGUAGE_DEPTH = 10
"""Best chunks by words whose languages decide how much the dense arm counts."""


@dataclass(frozen=True)
class Ranked:
    """A chunk of the result and how each arm saw it."""

    chunk_id: str
    score: float
    dense_rank: int | None
    dense_score: float | None
    lexical_rank: int | None
    lexical_score: float | None


def merge(op: Search, lexical: list[Candidate], dense: list[Candidate], known: frozenset[str] | None) -> list[Ranked]:
    """Return the ``op.limit`` best chunks, best first.

    Parameters
    ----------
    lexical, dense
        Candidates of each arm, best first; an arm that was not asked for is empty.
    known
        Languages the embedder knows; None for all.
    """
    words, meanings = _ranked(lexical, per_source=op.per_source), _ranked(dense, per_source=op.per_source)
    weight = fusion.dense_weight([c.language for c in lexical[:LANGUAGE_DEPTH]], known)
    if op.arm == "hybrid":
        scores = fusion.FUSIONS[op.fusion](_scores(words), _scores(meanings), weight)
    else:
        scores = _scores(words or meanings)

    def order(key: str) -> tuple[float, float, float, str]:
        """Ties go to the nearer meaning, then to more words, then to a fixed order."""
        near = meanings[key][1].score if key in meanings else -2.0
        wordy = words[key][1].score if key in words else 0.0
        return -scores[key], -near, -wordy, key

    return [_merged(scores[key], words.get(key), meanings.get(key)) for key in sorted(scores, key=order)[: op.limit]]


def _ranked(candidates: Iterable[Candidate], *, per_source: bool) -> dict[str, tuple[int, Candidate]]:
    """Return the candidates with their ranks; per source, only the best chunk of each counts."""
    kept: dict[str, Candidate] = {}
    for candidate in candidates:
        kept.setdefault(candidate.source_id if per_source else candidate.chunk_id, candidate)
    return {key: (rank, kept[key]) for rank, key in enumerate(list(kept)[: fusion.DEPTH], start=1)}


def _scores(ranked: dict[str, tuple[int, Candidate]]) -> dict[str, float]:
    return {key: candidate.score for key, (_, candidate) in ranked.items()}


def _merged(score: float, word: tuple[int, Candidate] | None, meaning: tuple[int, Candidate] | None) -> Ranked:
    # Per source, the arms may prefer different chunks: the nearer one is shown.
    shown = meaning or word
    assert shown is not None
    return Ranked(
        chunk_id=shown[1].chunk_id,
        score=score,
        dense_rank=meaning[0] if meaning else None,
        dense_score=meaning[1].score if meaning else None,
        lexical_rank=word[0] if word else None,
        lexical_score=word[1].score if word else None,
    )
