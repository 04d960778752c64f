"""Registering sources and following them: the handlers' side of ingest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import SecretStr

from sbf_kernel.errors import Conflict, InvalidInput, SourceTooLarge
from sbf_kernel.ingest.pipeline import KIND, process
from sbf_kernel.operations import AddSource
from sbf_kernel.records import Principal, Source
from sbf_kernel.storage import embeddings, jobs, notebooks, ranking, sources

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
    async with runtime.db.together(principal) as connection:
        await notebooks.touch(connection, principal.user_id, op.notebook_id)
        source, work = await _register(runtime, connection, principal.user_id, _namespaced(op, principal), sha256)
        if not set(op.tags) <= set(source.tags):
            tagged = await sources.tag(connection, principal.user_id, source.id, op.tags)
            source = source.model_copy(update={"tags": tagged.tags})
        await sources.link(connection, principal.user_id, op.notebook_id, source.id)
        if work:
            await request(runtime, principal, source, op.password)
    return source


def _namespaced(op: AddSource, principal: Principal) -> AddSource:
    """Return the operation with an origin of the guest's own: they neither replace nor learn of other sources of the owner."""
    if principal.guest is None:
        return op
    own = blake2b(f"{principal.author}/{principal.guest.notebook_id}".encode(), digest_size=6).hexdigest()
    return op.model_copy(update={"origin": f"member-{own}:{op.origin}"})


async def _register(
    runtime: Runtime, connection: AsyncConnection, user_id: str, op: AddSource, sha256: bytes | None
) -> tuple[Source, bool]:
    """Return the source for this origin or content, and whether it has to be processed."""
    if sha256 is not None:
        await sources.lock_content(connection, user_id, sha256)
    known = await sources.by_origin(connection, user_id, op.origin)
    if known is None and sha256 is not None:
        twin = await sources.by_content(connection, user_id, sha256)
        if twin is not None and await _has_no_vectors(runtime, connection, user_id, twin):
            return await sources.requeue(connection, user_id, twin.id), True
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
    same = sha256 is not None and known.sha256 == sha256.hex()
    if same and not known.finished:
        return known, True
    if same and known.status == "ready" and not await _has_no_vectors(runtime, connection, user_id, known):
        return known.model_copy(update={"stage": "unchanged"}), False
    replaced = await sources.replace(
        connection, user_id, known.id, sha256=sha256, url=op.url, media_type=op.media_type, language=op.language
    )
    return replaced, True


async def _has_no_vectors(runtime: Runtime, connection: AsyncConnection, user_id: str, source: Source) -> bool:
    """Whether a ready source was embedded by another model than ours, or by none."""
    embedder = runtime.embedder
    if embedder is None or source.status != "ready":
        return False
    return not await embeddings.complete(connection, user_id, source.id, embedder.id)


async def request(runtime: Runtime, principal: Principal, source: Source, password: SecretStr | None = None) -> None:
    """Have a source processed, once the surrounding transaction has committed.

    In this process or, by the settings, in any worker; with a password always
    here, because a password is never stored. It is done on behalf of the
    tenant, also what a guest added.
    """
    place: jobs.Place = "here" if password is not None else runtime.settings.jobs
    tenant = principal.tenant
    async with runtime.db.transaction(tenant) as connection:
        await jobs.enqueue(
            connection,
            tenant.user_id,
            kind=KIND,
            subject_id=source.id,
            subject=source.name,
            place=place,
            holder=runtime.db.locks.holder,
            author=principal.author,
        )
    if place == "here":
        runtime.db.after_commit(
            lambda: runtime.tasks.start(source.id, lambda: process(runtime, tenant, source.id, password))
        )


async def retry(runtime: Runtime, principal: Principal, source_id: UUID, password: SecretStr | None) -> Source:
    """Process a source again from its stored bytes.

    Raises
    ------
    Conflict
        It is being processed right now.
    """
    async with runtime.db.together(principal) as connection:
        await sources.get(connection, principal.user_id, source_id)
        async with runtime.db.transaction(principal.tenant) as own:
            state = (await jobs.attended(own, principal.user_id, KIND, [source_id])).get(source_id)
        if runtime.tasks.running(source_id) or state == "running":
            raise Conflict(f"source {source_id} is being processed", hint="wait, or cancel it first")
        source = await sources.requeue(connection, principal.user_id, source_id)
        await request(runtime, principal, source, password)
    return source


async def resume(runtime: Runtime, principal: Principal) -> list[Source]:
    """Go on with every source that a crash or a cancellation left unfinished; returns them."""
    async with runtime.db.together(principal) as connection:
        found = await sources.unfinished(connection, principal.user_id)
        under_way = await jobs.attended(connection, principal.user_id, KIND, [source.id for source in found])
        for source in found:
            if under_way.get(source.id) != "running":
                await request(runtime, principal, source)
    return found


async def cancel(runtime: Runtime, principal: Principal, source_ids: Iterable[UUID]) -> None:
    """Stop the processing of those of the sources that are the principal's; they become pending again.

    From now on nothing of that processing can be stored. A worker elsewhere
    notices within a second.
    """
    async with runtime.db.together(principal.tenant) as connection:
        async with runtime.db.transaction(principal) as own:
            seen = [source.id for source in await sources.get_many(own, principal.user_id, source_ids)]
        await sources.stop(connection, principal.user_id, seen)
        await jobs.stop(connection, principal.user_id, KIND, seen)
    for source_id in seen:
        await runtime.tasks.cancel(source_id)


async def watch(runtime: Runtime, principal: Principal, source_ids: tuple[UUID, ...]) -> AsyncIterator[Source]:
    """Yield each source now and at every change, until none has work left; then see to the index.

    Work of other processes is followed too: :class:`~sbf_kernel.storage.news.News` tells of it.
    What a process that died left behind is taken over: nobody shall look at work that nobody does.
    """
    added = 0
    following = _Following(runtime, principal)
    events = runtime.tasks.watch(source_ids)
    try:
        await anext(events)
        for source in await following.look(source_ids):
            yield source
        while following.waiting:
            for source in await following.after(*await anext(events)):
                yield source
                added += source.chunk_count if source.stage == "stored" else 0
    finally:
        await events.aclose()
    if added >= ANALYZE_CHUNKS:
        await tend_indexes(runtime)


class _Following:
    """What a watcher has seen, and for which sources it waits."""

    def __init__(self, runtime: Runtime, principal: Principal) -> None:
        self._runtime, self._principal = runtime, principal
        self.waiting: set[UUID] = set()
        self._seen: dict[UUID, Source] = {}

    async def after(self, key: Any, event: Any) -> list[Source]:
        """Return what is new after an event."""
        if isinstance(event, Source):
            if key not in self.waiting:  # another tenant's, or one that had ended
                return []
            self._seen[key] = event
            return [event]
        changed = self.waiting & ({key} if event is None else event)
        return await self.look(changed) if changed else []

    async def look(self, source_ids: Iterable[UUID]) -> list[Source]:
        """Read these sources again; returns those that are not as they were, and decides which to wait for."""
        here = {source_id for source_id in source_ids if self._runtime.tasks.running(source_id)}
        found = await self._read(source_ids)
        unsure = {source.id for source in found.values() if not source.finished} - here
        elsewhere = await self._elsewhere(unsure) if unsure else set()
        if unsure > elsewhere:
            here |= await self._take_over([found[source_id] for source_id in unsure - elsewhere])
            found |= await self._read(unsure - elsewhere)  # some ended between the two looks
        self.waiting = (self.waiting - set(source_ids)) | elsewhere | (here & set(found))
        changed = [source for source in found.values() if source != self._seen.get(source.id)]
        self._seen |= found
        return changed

    async def _read(self, source_ids: Iterable[UUID]) -> dict[UUID, Source]:
        async with self._runtime.db.transaction(self._principal) as connection:
            found = await sources.get_many(connection, self._principal.user_id, source_ids)
        return {source.id: source for source in found}

    async def _take_over(self, unattended: list[Source]) -> set[UUID]:
        """Go on with those whose job waits for a process that is gone. Cancelled ones have no open job."""
        tenant = self._principal.tenant
        async with self._runtime.db.transaction(tenant) as connection:
            left = await jobs.abandoned(connection, tenant.user_id, KIND, [source.id for source in unattended])
        for source in unattended:
            if source.id in left:
                await request(self._runtime, tenant, source)
        return left

    async def _elsewhere(self, source_ids: Iterable[UUID]) -> set[UUID]:
        """Return the sources that other processes work on, or will."""
        async with self._runtime.db.transaction(self._principal.tenant) as connection:
            found = set(await jobs.attended(connection, self._principal.user_id, KIND, source_ids))
        if found:
            await self._runtime.news.listen()
        return found


async def tend_indexes(runtime: Runtime) -> None:
    """Refresh the planner's statistics, and build the HNSW index once the collection has outgrown exact search."""
    await ranking.analyze(runtime.db)
    if runtime.embedder is not None:
        await ranking.build_index(runtime.db, runtime.embedder.id, runtime.embedder.dimensions, INDEX_CHUNKS)
