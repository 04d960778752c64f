"""From a marker in an answer to exact words of a source.

For each marker: which words of the answer does it stand for (the claim), and
which words of the passage say so? Quoted words are looked up; a claim in the
model's own words is led to the sentence that shares most of its words. What
cannot be led anywhere is kept and called unverified. ``verified`` means that
the words stand there and deal with the claim, not that they prove it.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sbf_kernel.chat import wording
from sbf_kernel.models import sparse
from sbf_kernel.readers.sentences import sentences
from sbf_kernel.records import Citation, Citations, Hit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from sbf_kernel.chat.markers import Marker

SUPPORT: Final = 0.5
"""Least share of a claim's words that the cited sentences must hold; measured in docs/adr/0006-answers.md."""
_QUOTED: Final = re.compile(
    r"“([^“”\n]{12,})”|\"([^\"\n]{12,})\"|«([^«»\n]{12,})»|„([^„“”\n]{12,})[“”]|「([^「」\n]{6,})」"
)
_VERBATIM: Final = 12
"""Characters from which on a claim that stands in the passage word by word needs no sentence border."""
_ELLIPSIS: Final = re.compile(r"\s*(?:\[…\]|\[\.\.\.\]|…|\.\.\.)\s*")
_MARKERS: Final = re.compile(r"\s*(?:\[\d{1,3}\])+")
_TRIM: Final = " \t\n,;:–—-*#>."


@dataclass(frozen=True)
class Evidence:
    """What was shown to the model under one label."""

    label: int
    start: int
    end: int
    """Range in the version's text."""
    hits: tuple[Hit, ...]
    """The chunks it was made of, in reading order; never empty."""

    @property
    def version_id(self) -> UUID:
        """The version all its chunks belong to."""
        return self.hits[0].version_id

    def hit_at(self, start: int) -> Hit:
        """Return the chunk that holds the character ``start``, the first one when none does."""
        return next((hit for hit in self.hits if hit.start <= start < hit.end), self.hits[0])


def cite(
    text: str,
    markers: Sequence[Marker],
    evidence: Mapping[int, Evidence],
    versions: Mapping[UUID, str],
    language: str = "en",
) -> Citations:
    """Return one citation per marker, in the order of the answer.

    Parameters
    ----------
    text
        The finished answer.
    markers
        Its markers, with labels of ``evidence`` only.
    evidence
        What each label stands for.
    versions
        The stored texts. A version that is missing (deleted meanwhile) leaves its citations unverified.
    language
        ISO 639-1 code of the answer, for stemming.
    """
    spans = sentences(text)
    return Citations(
        items=tuple(
            cite_one(text, marker, markers, evidence[marker.label], versions, language, spans) for marker in markers
        )
    )


def cite_one(
    text: str,
    marker: Marker,
    markers: Sequence[Marker],
    shown: Evidence,
    versions: Mapping[UUID, str],
    language: str = "en",
    spans: Sequence[tuple[int, int]] | None = None,
) -> Citation:
    """Return what one marker cites. ``text`` may still go on behind it: what it stands for comes before it.

    Parameters
    ----------
    shown
        What its label stands for.
    spans
        The sentences of ``text``, when they are known. Others as in :func:`cite`.
    """
    claims = _claims(text, marker, markers, sentences(text) if spans is None else spans)
    source = versions.get(shown.version_id)
    found = source and _first(claims, source[shown.start : shown.end], text, language)
    start, end = (shown.start + found[0], shown.start + found[1]) if found else (shown.start, shown.end)
    return citation(marker.label, shown, start, end, claims[0], source or "", found=bool(found))


def citation(
    label: int, shown: Evidence, start: int, end: int, claim: tuple[int, int], source: str, *, found: bool
) -> Citation:
    """Return the record of one citation; it is verified only if its quote stands in ``source``, character by character."""
    hit = shown.hit_at(start)
    quote = source[start:end] or hit.text
    return Citation(
        marker=label,
        status="verified" if found and holds(quote, start, end, source) else "unverified",
        source_id=hit.source_id,
        source=hit.source,
        version_id=hit.version_id,
        version=hit.version,
        chunk_id=hit.chunk_id,
        start=start,
        end=end,
        quote=quote,
        location=hit.location,
        answer_start=claim[0],
        answer_end=claim[1],
    )


def holds(quote: str, start: int, end: int, text: str | None) -> bool:
    """Whether ``quote`` stands at ``start`` to ``end`` of ``text``."""
    return bool(quote) and text is not None and text[start:end] == quote


def _claims(
    text: str, marker: Marker, markers: Sequence[Marker], spans: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Return what the marker may stand for, narrowest first: the words since the last marker, the whole sentence."""
    at = next((i for i, (start, end) in enumerate(spans) if start <= marker.start < end), 0)
    start = spans[at][0] if spans else 0
    if not _words(text[start : marker.start]) and at:  # "… the end. [1] The next …": it belongs to what went before
        start = spans[at - 1][0]
    clause, end = start, marker.start
    for other in markers:
        if start <= other.start and other.end <= marker.start:
            if _words(text[other.end : marker.start]):
                clause = max(clause, other.end)
            else:  # "[1][2]": both stand for the same words
                end = min(end, other.start)
    return list(dict.fromkeys([_trimmed(text, clause, end), _trimmed(text, start, end)]))


def _words(text: str) -> str:
    return _MARKERS.sub("", text).strip(_TRIM)


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip(_TRIM)), max(start, start + len(piece.rstrip()))


def _first(claims: Sequence[tuple[int, int]], passage: str, text: str, language: str) -> tuple[int, int] | None:
    for start, end in claims:
        found = locate(_MARKERS.sub("", text[start:end]), passage, language)
        if found:
            return found
    return None


def locate(claim: str, passage: str, language: str = "en") -> tuple[int, int] | None:
    """Return the words of ``passage`` that say what ``claim`` says.

    Parameters
    ----------
    claim
        A sentence or clause of an answer, without markers.
    passage
        Text to look in.
    language
        ISO 639-1 code, for stemming.

    Returns
    -------
    tuple of int, or None
        ``(start, end)`` in ``passage``: the quoted phrase if the claim quotes
        (and nothing if these words do not stand there), else the sentence, or
        two in a row, with most of the claim's words.
    """
    quoted = [
        part
        for groups in _QUOTED.findall(claim)
        for phrase in groups
        if phrase
        for part in [max(_ELLIPSIS.split(phrase), key=len)]
        if len(part) >= 6
    ]
    if not quoted:
        at = passage.find(claim.strip()) if len(claim.strip()) >= _VERBATIM else -1
        return (at, at + len(claim.strip())) if at >= 0 else _supporting(claim, passage, language)
    found = (wording.find(phrase, passage) for phrase in sorted(quoted, key=len, reverse=True))
    return next(filter(None, found), None)


def _supporting(claim: str, passage: str, language: str) -> tuple[int, int] | None:
    """Return the one or two sentences of ``passage`` that hold most words, and all numbers, of ``claim``."""
    wanted, figures = set(sparse.terms(claim, language)), wording.numbers(claim)
    singles = sentences(passage)
    pairs = [(first[0], second[1]) for first, second in itertools.pairwise(singles)]
    for spans in (singles, pairs):  # the quote is to be short: two sentences only where one is not enough
        best, best_share = None, 0.0
        for start, end in spans:
            words = passage[start:end]
            share = len(wanted & set(sparse.terms(words, language))) / max(1, len(wanted))
            if share > best_share and figures <= wording.numbers(words):
                best, best_share = (start, end), share
        if best_share >= SUPPORT:
            return best
    return None
