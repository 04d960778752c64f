"""What fits into the context window: which passages a model gets to see, in which order, and what was left out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sbf_kernel.chat.citations import Evidence
from sbf_kernel.errors import InvalidInput
from sbf_kernel.models import sparse
from sbf_kernel.readers.sentences import sentences
from sbf_kernel.records import Budget, Hit, Passage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

RESERVED: Final = 1_000
"""Tokens kept free for the answer, but never more than a quarter of the window."""
FRAME: Final = 24
"""Tokens around a passage: its label, name and place, delimiters."""
NEAR: Final = 0.85
"""Passages that share this part of the shorter one's words are the same text (Jaccard's containment)."""
GAP: Final = 2
"""Characters between two chunks that still count as neighbours: a blank line."""
ASCII_PER_TOKEN: Final = 3.5
"""English prose has about 4.2 characters per token in current vocabularies, numbers and code fewer."""


@dataclass(frozen=True)
class Context:
    """The passages for a prompt and how the window was spent."""

    passages: tuple[Passage, ...]
    evidence: dict[int, Evidence]
    """Label → what stands behind it."""
    budget: Budget


def tokens(text: str) -> int:
    """Estimate the tokens of ``text``, rather too many than too few.

    A token per 3.5 ASCII characters and one per other character, which is about
    right for Chinese and too many for accented Latin, Greek or Cyrillic. No
    tokenizer fits every model, and theirs must be downloaded.
    """
    plain = sum(map(str.isascii, text))
    return math.ceil(plain / ASCII_PER_TOKEN) + len(text) - plain


def compose(hits: Sequence[Hit], versions: Mapping[UUID, str], *, window: int, overhead: int) -> Context:
    """Choose passages within the window.

    By rank, at first no more than its share from each source, then what still
    fits. Near duplicates are dropped, neighbouring chunks become one passage,
    and sources follow one another in the order of their best passage, each in
    reading order.

    Parameters
    ----------
    hits
        Chunks, best first.
    versions
        The stored texts; hits of other versions are left out.
    window
        Tokens the model takes, answer included.
    overhead
        Tokens of everything that is sent besides the passages.

    Raises
    ------
    InvalidInput
        There is no room for any passage.
    """
    reserved = min(RESERVED, window // 4)
    room = window - reserved - overhead
    usable = _distinct([hit for hit in hits if hit.version_id in versions])
    kept = _fill(usable, room)
    if usable and not kept:
        kept = _shortened(usable[0], room, window)
    merged = [group for source in _by_source(kept) for group in _neighbours(source)]
    shown = [
        Evidence(label, group[0].start, max(hit.end for hit in group), tuple(group))
        for label, group in enumerate(merged, start=1)
    ]
    passages = tuple(_passage(evidence, versions) for evidence in shown)
    ids = {hit.chunk_id for hit in kept}
    cut = [hit for hit in hits if hit.chunk_id not in ids]
    lost = dict.fromkeys(hit.source for hit in cut if hit.source_id not in {kept_hit.source_id for kept_hit in kept})
    used = overhead + sum(cost(passage.source + passage.text) for passage in passages)
    budget = Budget(
        window=window, reserved=reserved, used=used, passages=len(passages), cut=len(cut), cut_sources=tuple(lost)
    )
    return Context(passages, {evidence.label: evidence for evidence in shown}, budget)


def cost(text: str) -> int:
    """Return the tokens of a passage in the prompt."""
    return tokens(text) + FRAME


def _distinct(hits: Sequence[Hit]) -> list[Hit]:
    kept: list[tuple[Hit, frozenset[str]]] = []
    for hit in hits:
        words = frozenset(sparse.terms(hit.text, "en"))
        if not any(
            len(words & other) >= NEAR * max(1, min(len(words), len(other))) and not _touch(hit, first)
            for first, other in kept
        ):
            kept.append((hit, words))
    return [hit for hit, _ in kept]


def _touch(one: Hit, other: Hit) -> bool:
    """Whether two chunks can become one passage; then sharing words is no repetition."""
    return one.version_id == other.version_id and one.start <= other.end + GAP and other.start <= one.end + GAP


def _fill(hits: Sequence[Hit], room: int) -> list[Hit]:
    sources = len({hit.source_id for hit in hits})
    share = math.ceil(len(hits) / sources) + 1 if sources else 0
    kept: list[Hit] = []
    for capped in (True, False):
        for hit in hits:
            enough = capped and sum(other.source_id == hit.source_id for other in kept) >= share
            price = cost(hit.source + hit.text)
            if hit not in kept and not enough and price <= room:
                kept.append(hit)
                room -= price
    return sorted(kept, key=lambda hit: hit.rank)


def _shortened(hit: Hit, room: int, window: int) -> list[Hit]:
    """Return the first sentences of a passage that is too long as a whole."""
    end = 0
    for _, stop in sentences(hit.text):
        if cost(hit.source + hit.text[:stop]) > room:
            break
        end = stop
    if not end:
        raise InvalidInput(
            f"question and instructions leave no room for sources in a window of {window} tokens",
            hint="shorten the question or raise SBF_MODEL_CONTEXT_TOKENS",
            window=window,
        )
    return [hit.model_copy(update={"end": hit.start + end, "text": hit.text[:end]})]


def _by_source(hits: Sequence[Hit]) -> list[list[Hit]]:
    groups: dict[UUID, list[Hit]] = {}
    for hit in hits:
        groups.setdefault(hit.version_id, []).append(hit)
    return [sorted(group, key=lambda hit: hit.start) for group in groups.values()]


def _neighbours(hits: Sequence[Hit]) -> list[list[Hit]]:
    groups: list[list[Hit]] = []
    for hit in hits:
        if groups and hit.start <= max(other.end for other in groups[-1]) + GAP:
            groups[-1].append(hit)
        else:
            groups.append([hit])
    return groups


def _passage(evidence: Evidence, versions: Mapping[UUID, str]) -> Passage:
    first = evidence.hits[0]
    return Passage(
        label=evidence.label,
        source_id=first.source_id,
        source=first.source,
        version_id=first.version_id,
        version=first.version,
        chunk_id=first.chunk_id,
        start=evidence.start,
        end=evidence.end,
        text=versions[first.version_id][evidence.start : evidence.end],
        location=first.location,
        score=max(hit.score for hit in evidence.hits),
    )
