"""Writes the answer to a message of a chat: history, follow-up, search, answer, all of it kept as it comes."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sbf_kernel.chat import followups, history, ledger, levels
from sbf_kernel.chat.answering import Inquiry, answerer_for, conclude, located
from sbf_kernel.errors import SbfError
from sbf_kernel.storage import answers, chats, messages

if TYPE_CHECKING:
    from sbf_kernel.chat.drafts import Draft
    from sbf_kernel.models.language import LanguageModel
    from sbf_kernel.records import Answer, Chat, Principal
    from sbf_kernel.runtime import Runtime

KEEP_SECONDS = 0.5
"""How often what was written is stored, which is also how soon a stop from elsewhere is seen."""
UNEXPECTED = "something unexpected went wrong → ask again; if it stays, please report it"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reply:
    """An answer to be written: what was said, where, and the draft that it goes into."""

    runtime: Runtime
    principal: Principal
    chat: Chat
    said: str
    passages: int
    model: LanguageModel | None
    draft: Draft


async def write(reply: Reply) -> None:
    """Write the answer and store how it ended: done, stopped or failed. Raises nothing: the draft knows why it failed."""
    draft, answer = reply.draft, None
    status: Literal["done", "stopped", "failed"] = "done"
    keeping = asyncio.create_task(_keep(reply))
    try:
        answer = await _answer(reply)
    except asyncio.CancelledError:
        status = "stopped"
    except Exception as error:  # noqa: BLE001 - whatever it is, the message must not stay unfinished
        status, draft.failure = "failed", error
        if not isinstance(error, SbfError):
            _log.exception("message %s failed", draft.id)
    draft.sealed.set()
    try:
        await keeping
        await _store(reply, status, answer)
    except Exception as error:  # noqa: BLE001 - the reader is told; who looks later finds that the writer has died
        _log.warning("message %s could not be stored: %s", draft.id, error)
        draft.failure = draft.failure or error
    finally:
        del reply.runtime.drafts[draft.id]


async def _answer(reply: Reply) -> Answer:
    began = time.perf_counter()
    runtime, principal, chat, draft = reply.runtime, reply.principal, reply.chat, reply.draft
    past, last = await _history(reply)
    draft.question = await followups.standalone(
        runtime,
        principal,
        reply.model,
        reply.said,
        before=last,
        conversation=past.conversation,
        notebook_id=chat.notebook_id,
    )
    hits = await levels.passages(runtime, principal, chat, draft.question, reply.passages)
    inquiry = Inquiry(draft.question, hits, reply.model, past.conversation, reply.said)
    answerer = await answerer_for(runtime, principal, inquiry)
    try:
        async with aclosing(answerer.pieces()) as pieces:
            async for piece in pieces:
                draft.write(piece)
                if fresh := answerer.fresh():
                    draft.cite(await located(runtime, principal, fresh))
                await asyncio.sleep(0)  # readers get it now
    finally:
        await ledger.record(runtime, principal, "chat", chat.notebook_id, answerer.spent())
    used = {str(source_id): level for source_id, level in chat.levels.items()}
    return await conclude(
        runtime,
        principal,
        answerer,
        question=draft.question,
        notebook_id=chat.notebook_id,
        parameters={"passages": reply.passages, "chat": str(chat.id), "said": reply.said, "levels": used},
        milliseconds=(time.perf_counter() - began) * 1_000,
    )


async def _history(reply: Reply) -> tuple[history.History, str]:
    """Return what was said before, compressed, and what was searched for last."""
    runtime, principal, chat = reply.runtime, reply.principal, reply.chat
    async with runtime.db.transaction(principal) as connection:
        summary, summarised = await chats.summary(connection, principal, chat.id)
        said = await messages.since(connection, principal, chat.id, summarised, reply.draft.id)
        last = await messages.last_question(connection, principal, chat.id)
    past = await history.compressed(runtime, principal, reply.model, summary, summarised, said, chat.notebook_id)
    if past.summarised > summarised:
        async with runtime.db.transaction(principal) as connection:
            await chats.keep_summary(connection, principal, chat.id, past.summary, past.summarised)
    return past, last


async def _keep(reply: Reply) -> None:
    """Store what was written so far again and again, until all is; interrupt it when somebody has stopped or deleted it."""
    draft = reply.draft
    while not draft.sealed.is_set():
        try:
            async with asyncio.timeout(KEEP_SECONDS):
                await draft.sealed.wait()
            return
        except TimeoutError:
            pass
        try:
            async with reply.runtime.db.transaction(reply.principal) as connection:
                wanted = await messages.keep(connection, reply.principal, draft.id, draft.text, draft.question)
        except SbfError as error:
            _log.warning("message %s goes on, but is not stored at present: %s", draft.id, error)
            continue
        if not wanted:
            draft.interrupt()


async def _store(reply: Reply, status: Literal["done", "stopped", "failed"], answer: Answer | None) -> None:
    draft = reply.draft
    error = ""
    if draft.failure is not None:
        error = str(draft.failure) if isinstance(draft.failure, SbfError) else UNEXPECTED
    ended = draft.message.model_copy(
        update={"text": draft.text, "question": draft.question, "status": status, "error": error, "answer": answer}
    )
    async with reply.runtime.db.change(reply.principal) as connection:
        stored = await messages.finish(connection, reply.principal, ended)
        if stored == "done" and answer is not None:
            await answers.insert(connection, reply.principal, answer)
        draft.message = await messages.get(connection, reply.principal, reply.chat.id, draft.id)
