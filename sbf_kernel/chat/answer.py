"""Asking: search, answer, check the citations, keep the answer with where it came from."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import TYPE_CHECKING

from sbf_kernel.chat import ledger
from sbf_kernel.chat.answering import Inquiry, answerer_for, conclude
from sbf_kernel.chat.citations import holds
from sbf_kernel.models.language import load_language_model
from sbf_kernel.operations import Ask, GetAnswer, ListAnswers, RecheckAnswer, Scope, Search
from sbf_kernel.records import Answer, AnswerDelta, AnswerList, Citation, Principal, Recheck, RecheckedCitation
from sbf_kernel.search import search
from sbf_kernel.storage import answers, sources

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from uuid import UUID

    from sbf_kernel.runtime import Runtime


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
    notebook_id = op.notebook_ids[0] if len(op.notebook_ids) == 1 else None
    hits = await search(runtime, principal, Search(**scope, query=op.question, limit=op.passages))
    answerer = await answerer_for(runtime, principal, Inquiry(op.question, tuple(hits), model))
    try:
        async with aclosing(answerer.pieces()) as pieces:
            async for piece in pieces:
                yield AnswerDelta(text=piece)
    finally:
        await ledger.record(runtime, principal, "ask", notebook_id, answerer.spent())
    given = op.model_dump(mode="json", include=set(Scope.model_fields), exclude_defaults=True)
    answer = await conclude(
        runtime,
        principal,
        answerer,
        question=op.question,
        notebook_id=notebook_id,
        parameters={"passages": op.passages, "scope": given},
        milliseconds=(time.perf_counter() - began) * 1_000,
    )
    async with runtime.db.change(principal) as connection:
        await answers.insert(connection, principal, answer)
    yield answer


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
