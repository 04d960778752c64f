"""What the product can do: one table, operation → handler.

A handler takes the runtime, who asks, and the operation. ``CALLS`` return one
record, ``STREAMS`` yield several and own their transactions.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from sbf_kernel import operations as op
from sbf_kernel.chat import answer
from sbf_kernel.errors import InvalidInput
from sbf_kernel.ingest import sources as ingest
from sbf_kernel.records import (
    Answer,
    AnswerList,
    Health,
    Hits,
    Notebook,
    NotebookList,
    Principal,
    Recheck,
    Source,
    SourceList,
    SourceText,
)
from sbf_kernel.runtime import Runtime
from sbf_kernel.search import search
from sbf_kernel.storage import health, notebooks, sources


async def create_notebook(runtime: Runtime, principal: Principal, o: op.CreateNotebook) -> Notebook:
    """Make a notebook."""
    async with runtime.db.transaction(principal) as connection:
        return await notebooks.create(connection, principal.user_id, o.name, o.description)


async def list_notebooks(runtime: Runtime, principal: Principal, o: op.ListNotebooks) -> NotebookList:
    """List notebooks."""
    async with runtime.db.transaction(principal) as connection:
        return await notebooks.find(
            connection, principal.user_id, search=o.search, sort=o.sort, limit=o.limit, offset=o.offset
        )


async def get_notebook(runtime: Runtime, principal: Principal, o: op.GetNotebook) -> Notebook:
    """Return one notebook."""
    async with runtime.db.transaction(principal) as connection:
        return await notebooks.get(connection, principal.user_id, o.notebook_id)


async def update_notebook(runtime: Runtime, principal: Principal, o: op.UpdateNotebook) -> Notebook:
    """Rename or describe a notebook."""
    async with runtime.db.transaction(principal) as connection:
        return await notebooks.update(connection, principal.user_id, o.notebook_id, o.name, o.description)


async def delete_notebook(runtime: Runtime, principal: Principal, o: op.DeleteNotebook) -> None:
    """Delete a notebook, not its sources."""
    async with runtime.db.transaction(principal) as connection:
        await notebooks.delete(connection, principal.user_id, o.notebook_id)


async def add_source(runtime: Runtime, principal: Principal, o: op.AddSource) -> Source:
    """Register a source and start its processing."""
    return await ingest.add(runtime, principal, o)


def watch_sources(runtime: Runtime, principal: Principal, o: op.WatchSources) -> AsyncIterator[Source]:
    """Follow sources until all are done."""
    return ingest.watch(runtime, principal, o.source_ids)


async def cancel_sources(runtime: Runtime, principal: Principal, o: op.CancelSources) -> None:
    """Stop the processing of the principal's own sources among these."""
    async with runtime.db.transaction(principal) as connection:
        own = await sources.get_many(connection, principal.user_id, o.source_ids)
    await ingest.cancel(runtime, [source.id for source in own])


async def retry_source(runtime: Runtime, principal: Principal, o: op.RetrySource) -> Source:
    """Process a source again."""
    return await ingest.retry(runtime, principal, o.source_id, o.password)


async def resume_sources(runtime: Runtime, principal: Principal, o: op.ResumeSources) -> SourceList:
    """Go on with interrupted sources."""
    found = await ingest.resume(runtime, principal)
    return SourceList(items=tuple(found), total=len(found), limit=max(1, len(found)), offset=0)


async def list_sources(runtime: Runtime, principal: Principal, o: op.ListSources) -> SourceList:
    """List sources."""
    async with runtime.db.transaction(principal) as connection:
        await notebooks.require(connection, principal.user_id, (o.notebook_id,) if o.notebook_id else ())
        return await sources.find(
            connection,
            principal.user_id,
            notebook_id=o.notebook_id,
            status=o.status,
            tag=o.tag,
            search=o.search,
            removed=o.removed,
            sort=o.sort,
            limit=o.limit,
            offset=o.offset,
        )


async def get_source(runtime: Runtime, principal: Principal, o: op.GetSource) -> Source:
    """Return one source."""
    async with runtime.db.transaction(principal) as connection:
        return await sources.get(connection, principal.user_id, o.source_id)


async def update_source(runtime: Runtime, principal: Principal, o: op.UpdateSource) -> Source:
    """Rename or tag a source."""
    async with runtime.db.transaction(principal) as connection:
        return await sources.update(connection, principal.user_id, o.source_id, o.name, o.tags)


async def get_source_text(runtime: Runtime, principal: Principal, o: op.GetSourceText) -> SourceText:
    """Return the stored text of a version."""
    async with runtime.db.transaction(principal) as connection:
        return await sources.source_text(connection, principal.user_id, o.source_id, o.version_id)


async def link_source(runtime: Runtime, principal: Principal, o: op.LinkSource) -> Source:
    """Put a source into a notebook, or restore it there."""
    async with runtime.db.transaction(principal) as connection:
        await notebooks.require(connection, principal.user_id, (o.notebook_id,))
        source = await sources.get(connection, principal.user_id, o.source_id)
        await sources.link(connection, principal.user_id, o.notebook_id, o.source_id)
        await sources.touch_notebook(connection, principal.user_id, o.notebook_id)
        return source


async def remove_source(runtime: Runtime, principal: Principal, o: op.RemoveSource) -> None:
    """Take a source out of a notebook."""
    async with runtime.db.transaction(principal) as connection:
        await sources.unlink(connection, principal.user_id, o.notebook_id, o.source_id)
        await sources.touch_notebook(connection, principal.user_id, o.notebook_id)


async def delete_source(runtime: Runtime, principal: Principal, o: op.DeleteSource) -> None:
    """Delete a source for good."""
    await get_source(runtime, principal, op.GetSource(source_id=o.source_id))
    await runtime.tasks.cancel(o.source_id)
    async with runtime.db.transaction(principal) as connection:
        await sources.delete(connection, principal.user_id, o.source_id)


async def search_chunks(runtime: Runtime, principal: Principal, o: op.Search) -> Hits:
    """Rank chunks."""
    return await search(runtime, principal, o)


def ask(runtime: Runtime, principal: Principal, o: op.Ask) -> AsyncIterator[Any]:
    """Answer a question."""
    return answer.ask(runtime, principal, o)


async def get_answer(runtime: Runtime, principal: Principal, o: op.GetAnswer) -> Answer:
    """Return a stored answer."""
    return await answer.get(runtime, principal, o)


async def list_answers(runtime: Runtime, principal: Principal, o: op.ListAnswers) -> AnswerList:
    """List stored answers."""
    return await answer.find(runtime, principal, o)


async def recheck_answer(runtime: Runtime, principal: Principal, o: op.RecheckAnswer) -> Recheck:
    """Check the citations of a stored answer again."""
    return await answer.recheck(runtime, principal, o)


async def get_health(runtime: Runtime, principal: Principal, o: op.GetHealth) -> Health:
    """Tell what works."""
    return await health.check(
        runtime.db, runtime.embedder.id if runtime.embedder else "none (words only)", runtime.settings
    )


CALLS: dict[type[op.Operation], Callable[[Runtime, Principal, Any], Awaitable[Any]]] = {
    op.CreateNotebook: create_notebook,
    op.ListNotebooks: list_notebooks,
    op.GetNotebook: get_notebook,
    op.UpdateNotebook: update_notebook,
    op.DeleteNotebook: delete_notebook,
    op.AddSource: add_source,
    op.CancelSources: cancel_sources,
    op.RetrySource: retry_source,
    op.ResumeSources: resume_sources,
    op.ListSources: list_sources,
    op.GetSource: get_source,
    op.UpdateSource: update_source,
    op.GetSourceText: get_source_text,
    op.LinkSource: link_source,
    op.RemoveSource: remove_source,
    op.DeleteSource: delete_source,
    op.Search: search_chunks,
    op.GetAnswer: get_answer,
    op.ListAnswers: list_answers,
    op.RecheckAnswer: recheck_answer,
    op.GetHealth: get_health,
}

STREAMS: dict[type[op.Operation], Callable[[Runtime, Principal, Any], AsyncIterator[Any]]] = {
    op.WatchSources: watch_sources,
    op.Ask: ask,
}


def handler_of(operation: op.Operation) -> Callable[[Runtime, Principal, Any], Any]:
    """Return the handler of an operation.

    Raises
    ------
    InvalidInput
        There is none: a server older than its client, or a plain mistake.
    """
    table: dict[type[op.Operation], Any] = STREAMS if operation.streams else CALLS
    try:
        return table[type(operation)]  # type: ignore[no-any-return]
    except KeyError:
        raise InvalidInput(f"nothing handles {type(operation).__name__}", hint="update SBF") from None
