"""One answer from found passages, by whoever writes it: what asking and chatting share."""

from __future__ import annotations

import functools
import os
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID, uuid4

from sbf_kernel.chat import extractive
from sbf_kernel.chat.writing import Written
from sbf_kernel.errors import ModelUnavailable
from sbf_kernel.models.language import EXTRACTIVE
from sbf_kernel.records import Answer, Budget, Citation, Citations, Hit, Passage, Principal, Provenance, Usage
from sbf_kernel.storage import ranking, sources

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from sbf_kernel.models.builtin import Reranker
    from sbf_kernel.models.language import LanguageModel
    from sbf_kernel.runtime import Runtime

NOTHING = "There is nothing to answer from: no passage in scope has anything to do with the question."
_BEST = 5
"""Passages whose language counts as the language of the answer."""


@dataclass(frozen=True)
class Inquiry:
    """What is to be answered, and from what.

    ``words`` are what a language model gets to read as the question, where
    they differ from ``question``: a follow-up stands in its conversation.
    """

    question: str
    hits: Sequence[Hit]
    model: LanguageModel | None
    conversation: str = ""
    words: str = ""


class Answerer(Protocol):
    """Writes one answer. All but the pieces are known when these have been read."""

    text: str
    """What has been written so far."""
    answered: bool

    @property
    def usage(self) -> Usage:
        """What it consumed."""
        ...

    @property
    def budget(self) -> Budget:
        """How the context window was spent."""
        ...

    @property
    def provenance(self) -> Provenance:
        """What made the answer, and what it saw."""
        ...

    def pieces(self) -> AsyncGenerator[str]:
        """Yield the text as it is written; closing the iterator closes what it stands on."""
        ...

    def fresh(self) -> list[Citation]:
        """Return what the markers cite that were completed since the last call."""
        ...

    def citations(self) -> Citations:
        """Return what the finished text cites."""
        ...

    def spent(self) -> tuple[str, Usage] | None:
        """Return model and usage for the ledger; None when no model was paid."""
        ...


async def answerer_for(runtime: Runtime, principal: Principal, inquiry: Inquiry) -> Answerer:
    """Return who answers: the language model, or else the extractive answerer.

    Nothing is sent to a language model when there is nothing to answer from.

    Raises
    ------
    InvalidInput
        The question leaves no room for sources.
    """
    hits, model = inquiry.hits, inquiry.model
    if not hits:
        return Quoted(inquiry.question, hits, {}, None, "en", model.id if model else EXTRACTIVE)
    async with runtime.db.transaction(principal) as connection:
        versions = await sources.version_texts(connection, principal.user_id, {hit.version_id for hit in hits})
        known = await sources.get_many(connection, principal.user_id, {hit.source_id for hit in hits})
    language = _language(hits, {source.id: source.language for source in known})
    if model is None:
        judge = _reranker(runtime.settings.threads, os.getpid()) if language == "en" else None
        return Quoted(inquiry.question, hits, versions, judge, language)
    window = runtime.settings.model_context_tokens
    asked = inquiry.words or inquiry.question
    return Written(model, asked, hits, versions, window, language, inquiry.conversation)


class Quoted:
    """An answer without a language model: sentences of the passages, quoted.

    Parameters
    ----------
    question
        What was asked.
    hits
        Passages, best first; without any it says so.
    versions
        The stored texts of the hits.
    judge
        The cross-encoder, if it knows the language.
    language
        ISO 639-1 code of question and passages.
    name
        Who is said to have answered.
    """

    def __init__(
        self,
        question: str,
        hits: Sequence[Hit],
        versions: Mapping[UUID, str],
        judge: Reranker | None,
        language: str,
        name: str = EXTRACTIVE,
    ) -> None:
        self.text, self.answered = "", False
        self.usage, self.budget = Usage(), Budget(passages=len(hits))
        self.provenance = Provenance(model=name)
        self._question, self._hits, self._versions = question, hits, versions
        self._judge, self._language = judge, language
        self._citations, self._cited = Citations(), 0

    async def pieces(self) -> AsyncGenerator[str]:
        """Choose the sentences, then yield the text piece by piece."""
        if not self._hits:
            self.text = NOTHING
            yield NOTHING
            return
        choice = await extractive.choose(self._question, self._hits, self._judge, self._language)
        draft = extractive.compose(choice, self._versions)
        self.answered, self._citations = draft.answered, draft.citations
        self.provenance = Provenance(
            model=EXTRACTIVE,
            passages=_labelled(self._hits, draft.labels),
            parameters={"judge": self._judge.id if self._judge else "words", "language": self._language},
        )
        for piece in draft.pieces:
            self.text += piece
            yield piece

    def fresh(self) -> list[Citation]:
        """Return the citations whose markers have been written since the last call."""
        written = [cited for cited in self._citations if cited.answer_end < len(self.text)]
        new, self._cited = written[self._cited :], len(written)
        return new

    def citations(self) -> Citations:
        """Return all citations."""
        return self._citations

    def spent(self) -> None:
        """Return None: nobody was paid."""
        return


async def located(runtime: Runtime, principal: Principal, citations: Sequence[Citation]) -> Citations:
    """Give each citation the page, row or time of its own first character: a chunk may begin on the page before."""
    if not citations:
        return Citations()
    async with runtime.db.transaction(principal) as connection:
        places = await ranking.locate(connection, principal.user_id, [(c.chunk_id, c.start) for c in citations])
    return Citations(
        items=tuple(c.model_copy(update={"location": place}) for c, place in zip(citations, places, strict=True))
    )


async def conclude(
    runtime: Runtime,
    principal: Principal,
    answerer: Answerer,
    *,
    question: str,
    notebook_id: UUID | None,
    parameters: Mapping[str, Any],
    milliseconds: float,
) -> Answer:
    """Return the record of what an answerer has written.

    Parameters
    ----------
    parameters
        What shaped the answer besides the answerer: scope, passages.
    """
    return Answer(
        id=uuid4(),
        notebook_id=notebook_id,
        question=question,
        answered=answerer.answered,
        text=answerer.text,
        citations=await located(runtime, principal, answerer.citations()),
        usage=answerer.usage,
        budget=answerer.budget,
        provenance=_signed(answerer.provenance, parameters),
        created_at=datetime.now(UTC),
        milliseconds=round(milliseconds, 1),
    )


def _signed(provenance: Provenance, parameters: Mapping[str, Any]) -> Provenance:
    try:
        package = version("sbf-kernel")
    except PackageNotFoundError:  # run from a source tree that is not installed
        package = "0"
    return provenance.model_copy(
        update={"parameters": {**provenance.parameters, **parameters}, "package_version": package}
    )


def _language(hits: Sequence[Hit], languages: Mapping[UUID, str]) -> str:
    """Return the language of most of the best passages; English when nobody knows."""
    counts = Counter(languages.get(hit.source_id) or "en" for hit in hits[:_BEST])
    return counts.most_common(1)[0][0]


@functools.lru_cache(maxsize=1)
def _reranker(threads: int, process: int) -> Reranker | None:
    """Return the cross-encoder of this process (threads do not survive a fork), or None when it is not installed."""
    from sbf_kernel.models.builtin import load_reranker
    from sbf_kernel.settings import Settings

    try:
        return load_reranker(Settings(threads=threads))
    except ModelUnavailable:
        return None


def _labelled(hits: Sequence[Hit], labels: Mapping[UUID, int]) -> tuple[Passage, ...]:
    """Return all passages that were considered: the cited ones under their labels, then the others."""
    ordered = sorted(hits, key=lambda hit: (labels.get(hit.chunk_id, len(hits) + 1), hit.rank))
    return tuple(
        Passage(
            label=number,
            **hit.model_dump(include=set(Passage.model_fields) - {"label", "location"}),
            location=hit.location,
        )
        for number, hit in enumerate(ordered, start=1)
    )
