"""Answering without a language model: quote the sentences that answer, or say that none does.

Sentences of the passages are scored by how many of the question's rarer words
they hold; for English, a cross-encoder that read question and sentence
together judges the best of them. Deterministic: the same sources and question
give the same answer. The constants were measured, see docs/adr/0006-answers.md.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from sbf_kernel.chat.citations import Evidence, citation
from sbf_kernel.models import sparse
from sbf_kernel.readers.sentences import sentences
from sbf_kernel.records import Citation, Citations, Hit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from uuid import UUID

    from sbf_kernel.models.builtin import Reranker

JUDGED: Final = 16
"""Sentences the cross-encoder reads; on 110 questions, 8 and all of them gave the same answers within a question."""
ENOUGH: Final = 2.0
"""Least logit of the cross-encoder for "this answers it"."""
ENOUGH_WORDS: Final = 0.4
"""Least share of the question's words, weighted by rarity, where only words can be compared."""
ENOUGH_PAIRS: Final = 0.25
"""The same for scripts that are indexed as pairs of characters, where grammar counts as words."""
MARGIN: Final = 4.0
"""A further sentence may be this much below the best, in logits."""
MARGIN_WORDS: Final = 0.75
"""Where only words can be compared, a further sentence needs this part of the best one's share."""
MOST: Final = 3
"""Sentences in an answer, at most."""
LEADS: Final = 3
"""Passages named when there is no answer."""
SAME: Final = 0.7
"""Sentences that share this part of the shorter one's words say the same."""
RANK_WEIGHT: Final = 4.0
"""Logits that the best passage of the search is ahead of one with score 0."""
LONGEST: Final = 500
"""Characters of a quote; what is longer (tables, lists without full stops) is cut at lines, then at blanks."""

_REFERS_BACK: Final = re.compile(
    r"(?:He|She|It|They|His|Her|Its|Their|This|These|That|Those|Such|However|Therefore|Thus|Hence|But|And|Also|"
    r"Er|Sie|Es|Dies\w*|Él|Ella|Esto|Esta|Este|Il|Elle|Cela|Cette|Ce)\b"
)
_UNSPACED_LANGUAGES: Final = frozenset({"zh", "ja", "ko", "th"})


@dataclass(frozen=True)
class Sentence:
    """A sentence that could be quoted."""

    hit: Hit
    start: int
    end: int
    """Range in the version's text."""
    terms: frozenset[str]
    context: int
    """Where to begin so that "He", "This" … has something to refer to; ``start`` if nothing is missing."""
    share: float = 0.0
    """Part of the question's words it holds, weighted by rarity, 0…1."""
    rank: float = 0.0
    """Score of its passage relative to the best one's, 0…1."""
    logit: float | None = None
    """What the cross-encoder thinks of it."""

    @property
    def text(self) -> str:
        """Return the sentence itself."""
        return self.hit.text[self.start - self.hit.start : self.end - self.hit.start]

    @property
    def order(self) -> tuple[float, int, int]:
        """Return the sorting key: best first, ties by place."""
        best = self.share + self.rank if self.logit is None else self.logit + RANK_WEIGHT * self.rank
        return -best, self.hit.rank, self.start


@dataclass(frozen=True)
class Choice:
    """What to say: the sentences that answer, or where one might look."""

    answered: bool
    sentences: tuple[Sentence, ...]


@dataclass(frozen=True)
class Draft:
    """A composed answer: ``text`` is the pieces joined."""

    answered: bool
    pieces: tuple[str, ...]
    citations: Citations
    labels: dict[UUID, int]
    """Chunk → its label."""

    @property
    def text(self) -> str:
        """Return the whole answer."""
        return "".join(self.pieces)


async def choose(question: str, hits: Sequence[Hit], reranker: Reranker | None, language: str = "en") -> Choice:
    """Choose the sentences of ``hits`` that answer ``question``.

    Parameters
    ----------
    question
        What was asked.
    hits
        Passages, best first.
    reranker
        The cross-encoder; None to compare words only. It knows English.
    language
        ISO 639-1 code of question and passages, for stemming.
    """
    found = candidates(question, hits, language)
    if reranker is not None and found:
        judged = found[:JUDGED]
        logits = await reranker.score(question, [sentence.text for sentence in judged])
        found = sorted(
            (replace(s, logit=logit) for s, logit in zip(judged, logits, strict=True)), key=lambda s: s.order
        )
    return _decide(found, language)


def candidates(question: str, hits: Sequence[Hit], language: str) -> list[Sentence]:
    """Return the sentences of ``hits``, best first by words and by the rank of their passage.

    Repetitions count once. A sentence that asks the same question (a heading,
    an example, a list of questions) is no answer to it.
    """
    top = max((hit.score for hit in hits), default=0.0) or 1.0
    found = {s.text: s for hit in reversed(hits) for s in _sentences(hit, max(0.0, hit.score / top), language)}
    echo = " ".join(sparse.fold(question).split())
    if echo.endswith(("?", "？")):
        found = {text: s for text, s in found.items() if echo not in " ".join(sparse.fold(text).split())}
    frequency = Counter(term for sentence in found.values() for term in sentence.terms)
    weights = {term: sparse.idf(frequency[term], len(found)) for term in set(sparse.terms(question, language))}
    total = sum(weights.values()) or 1.0
    scored = (replace(s, share=sum(weights[t] for t in weights.keys() & s.terms) / total) for s in found.values())
    return sorted(scored, key=lambda s: s.order)


def _sentences(hit: Hit, rank: float, language: str) -> Iterator[Sentence]:
    before: tuple[int, int] | None = None
    for start, end in (piece for span in sentences(hit.text) for piece in _pieces(hit.text, *span)):
        words = hit.text[start:end]
        terms = frozenset(sparse.terms(words, language))
        if len(terms) >= 3 or any(char.isdigit() for char in words):
            follows = before is not None and "\n\n" not in hit.text[before[1] : start] and end - before[0] <= LONGEST
            context = before[0] if before and follows and _REFERS_BACK.match(words) else start
            yield Sentence(hit, hit.start + start, hit.start + end, terms, hit.start + context, rank=rank)
        before = start, end


def _pieces(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut what no full stop ends: rows of a table apart, long lines at blanks."""
    if end - start <= LONGEST and not ("\n" in text[start:end] and " | " in text[start:end]):
        yield start, end
        return
    for line in re.finditer(r"[^\n]+", text[start:end]):
        at, stop = start + line.start(), start + line.end()
        while stop - at > LONGEST:
            blank = text.rfind(" ", at + 1, at + LONGEST)
            cut = blank if blank > at else at + LONGEST
            yield at, cut
            at = cut + (blank > at)
        if text[at:stop].strip():
            yield at, stop


def _decide(found: Sequence[Sentence], language: str) -> Choice:
    best = max(found, key=_strength, default=None)
    if best is None or _strength(best) < _least(best, language):
        leads = {sentence.hit.chunk_id: sentence for sentence in reversed(found) if sentence.share > 0}
        return Choice(False, tuple(sorted(leads.values(), key=lambda s: s.order)[:LEADS]))
    least = _strength(best) * MARGIN_WORDS if best.logit is None else _strength(best) - MARGIN
    least = max(least, _least(best, language))
    chosen: list[Sentence] = []
    for sentence in found:
        if len(chosen) < MOST and _strength(sentence) >= least and not any(_same(sentence, other) for other in chosen):
            chosen.append(sentence)
    return Choice(True, tuple(_in_order(chosen)))


def _strength(sentence: Sentence) -> float:
    return sentence.share if sentence.logit is None else sentence.logit


def _least(sentence: Sentence, language: str) -> float:
    if sentence.logit is not None:
        return ENOUGH
    return ENOUGH_PAIRS if language in _UNSPACED_LANGUAGES else ENOUGH_WORDS


def _same(one: Sentence, other: Sentence) -> bool:
    if one.hit.version_id == other.hit.version_id and one.start < other.end and other.start < one.end:
        return True
    return len(one.terms & other.terms) >= SAME * max(1, min(len(one.terms), len(other.terms)))


def _in_order(chosen: Sequence[Sentence]) -> list[Sentence]:
    """Return the sentences source by source, the source with the best sentence first, each in reading order; neighbours joined."""
    groups: dict[UUID, list[Sentence]] = {}
    for sentence in chosen:
        groups.setdefault(sentence.hit.version_id, []).append(sentence)
    joined: list[Sentence] = []
    for group in groups.values():
        for sentence in sorted(group, key=lambda s: s.start):
            last = joined[-1] if joined else None
            if last and last.hit.chunk_id == sentence.hit.chunk_id and sentence.context <= last.end + 1:
                joined[-1] = replace(last, end=sentence.end)
            else:
                joined.append(sentence)
    return joined


def compose(choice: Choice, versions: Mapping[UUID, str]) -> Draft:
    """Write the answer: each sentence verbatim between quotation marks, with its marker.

    White space inside a quote is shown as single blanks; its citation has the exact characters.

    Parameters
    ----------
    choice
        What to say.
    versions
        The stored texts, against which every quote is compared.
    """
    writer = _Writer(versions)
    if choice.answered:
        for sentence in choice.sentences:
            writer.quote(sentence)
    else:
        writer.say("The sources do not answer this question.")
        for number, sentence in enumerate(choice.sentences):
            writer.say(" The nearest passages are in: " if number == 0 else "; ")
            writer.lead(sentence)
        if choice.sentences:
            writer.say(".")
    return Draft(choice.answered, tuple(writer.pieces), Citations(items=tuple(writer.citations)), writer.labels)


class _Writer:
    """Collects the pieces of an answer and its citations."""

    def __init__(self, versions: Mapping[UUID, str]) -> None:
        self.pieces: list[str] = []
        self.citations: list[Citation] = []
        self.labels: dict[UUID, int] = {}
        self._versions = versions
        self._length = 0

    def say(self, text: str) -> None:
        self.pieces.append(text)
        self._length += len(text)

    def quote(self, sentence: Sentence) -> None:
        """Quote a sentence, with the one before if it refers back."""
        start = sentence.context
        words = " ".join(sentence.hit.text[start - sentence.hit.start : sentence.end - sentence.hit.start].split())
        gap = "\n\n" if self.pieces else ""
        self._cite(sentence, start, self._length + len(gap) + 1, len(words))
        self.say(f"{gap}“{words}” [{self.labels[sentence.hit.chunk_id]}]")

    def lead(self, sentence: Sentence) -> None:
        """Name where a sentence stands, without saying what it says."""
        place = sentence.hit.location.label()
        name = " ".join(f"{sentence.hit.source}, {place}".split()) if place else sentence.hit.source
        self._cite(sentence, sentence.start, self._length, len(name))
        self.say(f"{name} [{self.labels[sentence.hit.chunk_id]}]")

    def _cite(self, sentence: Sentence, start: int, at: int, length: int) -> None:
        hit = sentence.hit
        label = self.labels.setdefault(hit.chunk_id, len(self.labels) + 1)
        shown = Evidence(label, hit.start, hit.end, (hit,))
        source = self._versions.get(hit.version_id, "")
        same = source[start : sentence.end] == hit.text[start - hit.start : sentence.end - hit.start]
        self.citations.append(citation(label, shown, start, sentence.end, (at, at + length), source, found=same))
