"""Asking: search, answer, check the citations, keep the answer with where it came from."""

from __future__ import annotations

import functools
import os
import time
from collections import Counter
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from sbf_kernel.chat import extractive
from sbf_kernel.chat.citations import holds
from sbf_kernel.chat.writing import Written
from sbf_kernel.errors import ModelUnavailable
from sbf_kernel.models.language import load_language_model
from sbf_kernel.operations import Ask, GetAnswer, ListAnswers, RecheckAnswer, Scope, Search
from sbf_kernel.records import (
    Answer,
    AnswerDelta,
    AnswerList,
    Budget,
    Citation,
    Citations,
    Hit,
    Passage,
    Principal,
    Provenance,
    Recheck,
    RecheckedCitation,
    Usage,
)
from sbf_kernel.search import search
from sbf_kernel.storage import answers, ranking, sources

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence

    from sbf_kernel.models.builtin import Reranker
    from sbf_kernel.models.language import LanguageModel
    from sbf_kernel.runtime import Runtime
    from sbf_kernel.settings import Settings

NOTHING = "There is nothing to answer from: no passage in scope has anything to do with the question."
EXTRACTIVE = "extractive"
_BEST = 5
"""Passages whose language counts as the language of the answer."""


@dataclass
class _Outcome:
    """What an answerer leaves behind when its text has been streamed."""

    text: str
    provenance: Provenance
    answered: bool = False
    citations: Citations = field(default_factory=Citations)
    usage: Usage = field(default_factory=Usage)
    budget: Budget = field(default_factory=Budget)


async def ask(runtime: Runtime, principal: Principal, op: Ask) -> AsyncIterator[AnswerDelta | Answer]:
    """Answer a question: yield the text in pieces, then the stored :class:`Answer`.

    Nothing is sent to a language model when the search finds nothing.

    Raises
    ------
    NotFound
        A notebook of the scope does not exist.
    ModelError, MissingExtra
        The language model failed or is not installed; ``details["partial"]`` holds what it had written.
    InvalidInput
        The model id is no id, or the question leaves no room for sources.
    """
    began = time.perf_counter()
    model = load_language_model(runtime.settings, op.model)
    scope = {name: getattr(op, name) for name in Scope.model_fields}
    hits = await search(runtime, principal, Search(**scope, query=op.question, limit=op.passages))
    outcome = _Outcome(NOTHING, Provenance(model=model.id if model else EXTRACTIVE))
    async with aclosing(_answered(runtime, principal, op, model, tuple(hits), outcome)) as pieces:
        async for piece in pieces:
            yield AnswerDelta(text=piece)
    citations = await _located(runtime, principal, outcome.citations)
    answer = Answer(
        id=uuid4(),
        notebook_id=op.notebook_ids[0] if len(op.notebook_ids) == 1 else None,
        question=op.question,
        answered=outcome.answered,
        text=outcome.text,
        citations=citations,
        usage=outcome.usage,
        budget=outcome.budget,
        provenance=_signed(outcome.provenance, op),
        created_at=datetime.now(UTC),
        milliseconds=round((time.perf_counter() - began) * 1_000, 1),
    )
    async with runtime.db.change(principal) as connection:
        await answers.insert(connection, principal, answer)
    yield answer


async def _located(runtime: Runtime, principal: Principal, citations: Citations) -> Citations:
    """Give each citation the page, row or time of its own first character: a chunk may begin on the page before."""
    if not citations:
        return citations
    async with runtime.db.transaction(principal) as connection:
        places = await ranking.locate(connection, principal.user_id, [(c.chunk_id, c.start) for c in citations])
    return Citations(
        items=tuple(c.model_copy(update={"location": place}) for c, place in zip(citations, places, strict=True))
    )


async def _answered(
    runtime: Runtime, principal: Principal, op: Ask, model: LanguageModel | None, hits: Sequence[Hit], outcome: _Outcome
) -> AsyncGenerator[str]:
    if not hits:
        yield outcome.text
        return
    async with runtime.db.transaction(principal) as connection:
        versions = await sources.version_texts(connection, principal.user_id, {hit.version_id for hit in hits})
        known = await sources.get_many(connection, principal.user_id, {hit.source_id for hit in hits})
    language = _language(hits, {source.id: source.language for source in known})
    answerer = (
        _extracted(runtime.settings, op.question, hits, versions, language, outcome)
        if model is None
        else _written(
            Written(model, op.question, hits, versions, runtime.settings.model_context_tokens, language), outcome
        )
    )
    async with aclosing(answerer) as pieces:
        async for piece in pieces:
            yield piece


async def _extracted(
    settings: Settings,
    question: str,
    hits: Sequence[Hit],
    versions: Mapping[UUID, str],
    language: str,
    outcome: _Outcome,
) -> AsyncGenerator[str]:
    reranker = _reranker(settings.threads, os.getpid()) if language == "en" else None
    choice = await extractive.choose(question, hits, reranker, language)
    draft = extractive.compose(choice, versions)
    outcome.answered, outcome.text, outcome.citations = draft.answered, draft.text, draft.citations
    outcome.budget = Budget(passages=len(hits))
    outcome.provenance = Provenance(
        model=EXTRACTIVE,
        passages=_labelled(hits, draft.labels),
        parameters={"judge": reranker.id if reranker else "words", "language": language},
    )
    for piece in draft.pieces:
        yield piece


async def _written(written: Written, outcome: _Outcome) -> AsyncGenerator[str]:
    async with aclosing(written.pieces()) as pieces:
        async for piece in pieces:
            yield piece
    outcome.answered, outcome.text = written.answered, written.text
    outcome.citations, outcome.usage, outcome.budget = (
        written.citations(),
        written.completion.usage,
        written.context.budget,
    )
    outcome.provenance = Provenance(
        model=written.completion.model,
        prompt_sha256=written.prompt_sha256,
        parameters=written.parameters,
        passages=written.context.passages,
        unknown_markers=written.unknown_markers,
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


def _signed(provenance: Provenance, op: Ask) -> Provenance:
    """Add what any answerer shares: scope and package version."""
    scope = op.model_dump(mode="json", include=set(Scope.model_fields), exclude_defaults=True)
    parameters: dict[str, Any] = {**provenance.parameters, "passages": op.passages, "scope": scope}
    try:
        package = version("sbf-kernel")
    except PackageNotFoundError:  # run from a source tree that is not installed
        package = "0"
    return provenance.model_copy(update={"parameters": parameters, "package_version": package})


async def get(runtime: Runtime, principal: Principal, op: GetAnswer) -> Answer:
    """Return a stored answer."""
    async with runtime.db.transaction(principal) as connection:
        return await answers.get(connection, principal, op.answer_id)


async def find(runtime: Runtime, principal: Principal, op: ListAnswers) -> AnswerList:
    """Return a page of stored answers, newest first."""
    async with runtime.db.transaction(principal) as connection:
        return await answers.find(
            connection,
            principal,
            notebook_id=op.notebook_id,
            search=op.search,
            limit=op.limit,
            offset=op.offset,
        )


async def recheck(runtime: Runtime, principal: Principal, op: RecheckAnswer) -> Recheck:
    """Compare every quote of a stored answer with the stored text again."""
    async with runtime.db.transaction(principal) as connection:
        answer = await answers.get(connection, principal, op.answer_id)
        texts = await sources.version_texts(connection, principal.user_id, {c.version_id for c in answer.citations})
        known = await sources.get_many(connection, principal.user_id, {c.source_id for c in answer.citations})
    newest = {source.id: source.version_id for source in known}
    return Recheck(
        answer_id=answer.id,
        items=tuple(_rechecked(c, texts.get(c.version_id), newest.get(c.source_id)) for c in answer.citations),
    )


def _rechecked(cited: Citation, text: str | None, newest: UUID | None) -> RecheckedCitation:
    stands = holds(cited.quote, cited.start, cited.end, text)
    if text is None:
        detail = "the cited version was deleted"
    elif cited.status == "unverified":
        detail = "no words of the passage could be matched to the claim"
    elif not stands:
        detail = "the stored text has changed"
    else:
        detail = ""
    return RecheckedCitation(
        marker=cited.marker,
        source=cited.source,
        holds=stands and cited.status == "verified",
        current=newest == cited.version_id,
        quote=cited.quote,
        detail=detail,
    )
