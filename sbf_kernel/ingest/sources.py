"""Registering sources and following them: the handlers' side of ingest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import SecretStr

from sbf_kernel.errors import Conflict, InvalidInput, SourceTooLarge
from sbf_kernel.ingest.pipeline import process
from sbf_kernel.operations import AddSource
from sbf_kernel.records import Principal, Source
from sbf_kernel.storage import notebooks, ranking, sources

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from sbf_kernel.runtime import Runtime

INDEX_CHUNKS = 20_000
"""Collections from this size on get an HNSW index; below, exact search is as fast."""
ANALYZE_CHUNKS = 2_000
"""New chunks after which the planner's statistics are refreshed."""


async def add(runtime: Runtime, principal: Principal, op: AddSource) -> Source:
    """Register a source and start its processing; returns once its bytes are safe.

    Raises
    ------
    NotFound
        No such notebook.
    InvalidInput
        Neither content nor URL, or both.
    SourceTooLarge
        More bytes than the settings allow.
    """
    if (op.content is None) == (op.url is None):
        raise InvalidInput(f"{op.name}: give either content or url", hint="exactly one of them")
    limit = runtime.settings.max_source_mb
    if op.content is not None and len(op.content) > limit << 20:
        raise SourceTooLarge(
            f"{op.name} has {len(op.content) >> 20} MB, more than {limit}", hint="split it, or set SBF_MAX_SOURCE_MB"
        )
    sha256 = None if op.content is None else await asyncio.to_thread(runtime.blobs.put, op.content)
    async with runtime.db.change(principal) as connection:
        await notebooks.require(connection, principal.user_id, (op.notebook_id,))
        source, work = await _register(connection, principal.user_id, op, sha256)
        await sources.link(connection, principal.user_id, op.notebook_id, source.id)
        await sources.touch_notebook(connection, principal.user_id, op.notebook_id)
    if work:
        start(runtime, principal, source.id, op.password)
    return source


async def _register(
    connection: AsyncConnection, user_id: str, op: AddSource, sha256: bytes | None
) -> tuple[Source, bool]:
    """Return the source for this origin or content, and whether it has to be processed."""
    if sha256 is not None:
        await sources.lock_content(connection, user_id, sha256)
    known = await sources.by_origin(connection, user_id, op.origin)
    if known is None and sha256 is not None:
        twin = await sources.by_content(connection, user_id, sha256)
        if twin is not None and twin.status != "failed":
            return twin.model_copy(
                update={"stage": "duplicate", "message": f"same content as {twin.origin}"}
            ), not twin.finished
    if known is None:
        created = await sources.insert(
            connection,
            user_id,
            origin=op.origin,
            name=op.name,
            media_type=op.media_type,
            language=op.language,
            tags=op.tags,
            sha256=sha256,
            url=op.url,
        )
        if created is not None:
            return created, True
        known = await sources.by_origin(connection, user_id, op.origin)
        assert known is not None  # somebody else inserted it a moment ago
    if known.status == "ready" and sha256 is not None and known.sha256 == sha256.hex():
        return known.model_copy(update={"stage": "unchanged"}), False
    if not known.finished and sha256 is not None and known.sha256 == sha256.hex():
        return known, True
    return await sources.requeue(connection, user_id, known.id, sha256), True


def start(runtime: Runtime, principal: Principal, source_id: UUID, password: SecretStr | None = None) -> None:
    """Process a source in the background."""
    runtime.tasks.start(source_id, lambda: process(runtime, principal, source_id, password))


async def retry(runtime: Runtime, principal: Principal, source_id: UUID, password: SecretStr | None) -> Source:
    """Process a source again from its stored bytes.

    Raises
    ------
    Conflict
        It is being processed right now.
    """
    async with runtime.db.change(principal) as connection:
        await sources.get(connection, principal.user_id, source_id)
        if runtime.tasks.running(source_id):
            raise Conflict(f"source {source_id} is being processed", hint="wait, or cancel it first")
        source = await sources.requeue(connection, principal.user_id, source_id)
    start(runtime, principal, source_id, password)
    return source


async def resume(runtime: Runtime, principal: Principal) -> list[Source]:
    """Start every source that a crash or a cancellation left unfinished; returns them."""
    async with runtime.db.transaction(principal) as connection:
        found = await sources.unfinished(connection, principal.user_id)
    for source in found:
        start(runtime, principal, source.id)
    return found


async def cancel(runtime: Runtime, source_ids: Iterable[UUID]) -> None:
    """Stop the processing of these sources; they become pending again."""
    for source_id in source_ids:
        await runtime.tasks.cancel(source_id)


async def watch(runtime: Runtime, principal: Principal, source_ids: tuple[UUID, ...]) -> AsyncIterator[Source]:
    """Yield each source now and at every change, until none has work left; then see to the index."""
    added = 0
    events = runtime.tasks.watch(source_ids)
    try:
        await anext(events)
        found = await _current(runtime, principal, source_ids)
        for source in found:
            yield source
        open_ids = {source.id for source in found if runtime.tasks.running(source.id)}
        for source in await _current(
            runtime, principal, [s.id for s in found if not s.finished and s.id not in open_ids]
        ):
            yield source  # ended between the two looks
        while open_ids:
            source_id, event = await anext(events)
            if event is None:  # its work has ended
                open_ids.discard(source_id)
            elif source_id in open_ids:  # not another tenant's, nor one that had ended
                yield event
                added += event.chunk_count if event.stage == "stored" else 0
    finally:
        await events.aclose()
    if added >= ANALYZE_CHUNKS:
        await tend_indexes(runtime)


async def _current(runtime: Runtime, principal: Principal, source_ids: Iterable[UUID]) -> list[Source]:
    async with runtime.db.transaction(principal) as connection:
        return await sources.get_many(connection, principal.user_id, source_ids)


async def tend_indexes(runtime: Runtime) -> None:
    """Refresh the planner's statistics, and build the HNSW index once the collection has outgrown exact search."""
    await ranking.analyze(runtime.db)
    if runtime.embedder is not None:
        await ranking.build_index(runtime.db, runtime.embedder.id, runtime.embedder.dimensions, INDEX_CHUNKS)
