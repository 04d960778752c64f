"""One source's way from raw bytes to searchable: fetch → read → embed → store.

Steps are safe to repeat: raw bytes and finished vectors are kept, the version
appears in one transaction, together with the end of its job, and only while
the job's lease is held. A process that dies leaves a source ``pending`` or
``processing``; whoever comes next goes on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import SecretStr

from sbf_kernel.errors import Cancelled, SbfError, SourceError, StoreBusy, StoreUnavailable
from sbf_kernel.ingest.web import Content, download
from sbf_kernel.models import content_hash, embedded_text
from sbf_kernel.records import Principal, Source
from sbf_kernel.storage import embeddings, jobs, sources
from sbf_kernel.storage.jobs import Lease, Outcome
from sbf_kernel.storage.versions import NewChunk, NewVersion

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from sbf_kernel.models import Vector
    from sbf_kernel.runtime import Runtime

KIND = "ingest"
"""Of the jobs that bring in a source."""
EMBED_GROUP = 64
"""Chunks between two reports of progress; what is embedded is saved at the same rhythm."""
REPORT_SECONDS = 1.0
"""Least time between two progress reports of one source in the database."""
PAUSES = (0.5, 1, 2, 4, 8, 16, 32)
"""Seconds before each further attempt when the database was away: a server that is started again is back by then."""


async def process(runtime: Runtime, principal: Principal, source_id: UUID, password: SecretStr | None = None) -> None:
    """Bring one registered source to ``ready`` or ``failed``, in this process. Never raises but for cancellation.

    If another process works on it already, it is left to that one: its lock in
    the database tells. When the database goes away it begins again after a
    while; when that does not come back, the source stays as it is, for
    :func:`sbf_kernel.ingest.sources.resume`.
    """
    for pause in (*PAUSES, 0):
        try:
            async with runtime.db.locks.hold(source_id) as mine:
                if mine:
                    await _process(runtime, principal, source_id, password)
                else:
                    await _await_other(runtime, principal, source_id, password)
            return
        except (StoreUnavailable, StoreBusy):
            await asyncio.sleep(pause)


async def _process(runtime: Runtime, principal: Principal, source_id: UUID, password: SecretStr | None) -> None:
    async with runtime.db.transaction(principal) as connection:
        lease = await jobs.claim(connection, principal.user_id, KIND, source_id, runtime.db.locks.holder)
    if lease is None:  # somebody else has done it, or cancelled it
        await publish(runtime, principal, source_id)
        return
    with suppress(Cancelled):  # whoever ended the lease has seen to the rest
        try:
            await bring_in(runtime, principal, lease, source_id, password)
        except asyncio.CancelledError:
            with suppress(Cancelled):
                await conclude(runtime, principal, lease, source_id, Outcome("cancelled", "cancelled"))
            raise
        except Cancelled:
            await publish(runtime, principal, source_id)
        except (StoreUnavailable, StoreBusy):
            raise  # nothing is wrong with the source
        except Exception as error:  # noqa: BLE001 - whatever it is, the other sources go on
            await conclude(runtime, principal, lease, source_id, verdict(error))


def verdict(error: Exception) -> Outcome:
    """Return what an error means when the work is not tried again by itself.

    A source that cannot be read is an outcome like any other: its job is done.
    """
    if isinstance(error, SourceError):
        return Outcome("done", error.code, str(error))
    if isinstance(error, StoreUnavailable):  # nothing is wrong with the source
        return Outcome("queued", error.code, str(error))
    if isinstance(error, SbfError):
        return Outcome("dead", error.code, str(error), error=True)
    return Outcome("dead", "error", f"unexpected {type(error).__name__}: {error} → please report this", error=True)


async def _await_other(runtime: Runtime, principal: Principal, source_id: UUID, password: SecretStr | None) -> None:
    """Follow a source that another process works on, and take over should that process die."""
    while True:
        await asyncio.sleep(0.5)
        source = await publish(runtime, principal, source_id)
        if source is None or source.finished:
            return
        async with runtime.db.locks.hold(source_id) as free:
            pass
        if free:
            await process(runtime, principal, source_id, password)
            return


async def conclude(runtime: Runtime, principal: Principal, lease: Lease, source_id: UUID, outcome: Outcome) -> None:
    """Record how the work on a source ended, with the source and with its job.

    Raises
    ------
    Cancelled
        The lease has ended; nothing was recorded.
    """
    async with runtime.db.change(principal) as connection:
        await mirror(connection, principal.user_id, source_id, outcome)
        await jobs.settle(connection, lease, outcome)
    await publish(runtime, principal, source_id)


async def mirror(connection: AsyncConnection, user_id: str, source_id: UUID, outcome: Outcome) -> None:
    """Let a source show how its job ended, or why it waits."""
    status, stage = _SHOWN[outcome.status]
    reason = outcome.reason if status == "failed" else ""
    await sources.set_outcome(
        connection, user_id, source_id, status=status, stage=stage, reason=reason, message=outcome.message
    )


_SHOWN = {
    "done": ("failed", "failed"),  # with nothing to show for it, that is
    "dead": ("failed", "failed"),
    "failed": ("pending", "waiting"),
    "queued": ("pending", "interrupted"),
    "cancelled": ("pending", "cancelled"),
}
"""Status of a job → status and stage of its source."""


async def bring_in(
    runtime: Runtime, principal: Principal, lease: Lease, source_id: UUID, password: SecretStr | None = None
) -> None:
    """Fetch, read, embed and store a source; ends the job when all went well.

    Raises
    ------
    Cancelled
        The lease has ended; nothing more was stored.
    SbfError
        Why it could not be brought in.
    """
    await _Processing(runtime, principal, lease, source_id).run(password)


async def publish(runtime: Runtime, principal: Principal, source_id: UUID) -> Source | None:
    """Tell watchers how a source stands now. Returns it, or None when it was deleted."""
    async with runtime.db.transaction(principal) as connection:
        found = await sources.get_many(connection, principal.user_id, [source_id])
    if not found:
        return None
    runtime.tasks.publish(source_id, found[0])
    return found[0]


class _Processing:
    """The steps for one source."""

    def __init__(self, runtime: Runtime, principal: Principal, lease: Lease, source_id: UUID) -> None:
        self.runtime, self.principal, self.lease, self.source_id = runtime, principal, lease, source_id
        self._reported = 0.0

    async def run(self, password: SecretStr | None) -> None:
        item = await self._begin()
        if item is None or item["status"] == "ready":
            async with self.runtime.db.transaction(self.principal) as connection:
                await jobs.settle(connection, self.lease, Outcome("done"))
            await publish(self.runtime, self.principal, self.source_id)
            return
        content = await self._obtain(item)
        if content.sha256 == _bytes(item["version_sha256"]):
            await self._unchanged()
            return
        secret = password.get_secret_value() if password else None
        prepared = await self.runtime.sandbox.call(
            str(self.runtime.blobs.path(content.sha256)),
            content.name,
            content.media_type,
            secret,
            item["language_hint"],
        )
        if bytes(prepared["text_sha256"]) == _bytes(item["text_sha256"]):
            await self._unchanged()
            return
        vectors = await self._embed({bytes(c["content_hash"]): _input(prepared["text"], c) for c in prepared["chunks"]})
        await self.runtime.writer.store(self.principal, self._version(prepared, content.sha256, vectors))
        await publish(self.runtime, self.principal, self.source_id)

    async def _begin(self) -> Mapping[Any, Any] | None:
        user_id = self.principal.user_id
        async with self.runtime.db.change(self.principal) as connection:
            item = await sources.work_item(connection, user_id, self.source_id)
            if item is not None and item["status"] != "ready":
                await sources.set_stage(connection, user_id, self.source_id, "fetching" if item["url"] else "reading")
                await jobs.progress(connection, self.lease)
        return item

    async def _obtain(self, item: Mapping[Any, Any]) -> Content:
        """Return the raw bytes' hash, name and type; a URL is fetched first."""
        if not item["url"]:
            return Content(bytes(item["sha256"]), item["name"], item["media_type"])
        content = await download(self.runtime.blobs, item["url"], item["name"])
        async with self.runtime.db.change(self.principal) as connection:
            await sources.set_content(
                connection,
                self.principal.user_id,
                self.source_id,
                content.sha256,
                content.media_type,
                content.title if item["name"] == item["url"] else None,
            )
            await sources.set_stage(connection, self.principal.user_id, self.source_id, "reading")
            await jobs.progress(connection, self.lease)
        return content

    async def _unchanged(self) -> None:
        """Keep the version; chunks that the present embedder has not seen get their vectors."""
        user_id, fresh = self.principal.user_id, await self._missing_vectors()
        async with self.runtime.db.change(self.principal) as connection:
            if fresh and self.runtime.embedder is not None:
                await sources.lock_for_index(connection, user_id, [self.source_id])
                await embeddings.add(connection, user_id, self.source_id, self.runtime.embedder.id, fresh)
            await sources.set_outcome(connection, user_id, self.source_id, status="ready", stage="unchanged")
            await jobs.settle(connection, self.lease, Outcome("done"))
        await publish(self.runtime, self.principal, self.source_id)

    async def _missing_vectors(self) -> list[tuple[UUID, bytes, Vector]]:
        embedder = self.runtime.embedder
        if embedder is None:
            return []
        async with self.runtime.db.transaction(self.principal) as connection:
            chunks = await embeddings.missing(connection, self.principal.user_id, self.source_id, embedder.id)
        inputs = {chunk_id: embedded_text(context, passage) for chunk_id, context, passage in chunks}
        digests = {chunk_id: content_hash(whole) for chunk_id, whole in inputs.items()}
        vectors = await self._embed({digests[chunk_id]: whole for chunk_id, whole in inputs.items()})
        return [(chunk_id, digest, vectors[digest]) for chunk_id, digest in digests.items()]

    async def _embed(self, inputs: dict[bytes, str]) -> dict[bytes, Vector]:
        """Return vectors by content hash: known ones from the store, the others computed."""
        embedder, user_id = self.runtime.embedder, self.principal.user_id
        if embedder is None or not inputs:
            return {}
        async with self.runtime.db.transaction(self.principal) as connection:
            vectors = await embeddings.known(connection, user_id, embedder.id, list(inputs))
        missing = [digest for digest in inputs if digest not in vectors]
        for start in range(0, len(missing), EMBED_GROUP):
            group = missing[start : start + EMBED_GROUP]
            fresh = dict(zip(group, await embedder.embed_passages([inputs[digest] for digest in group]), strict=True))
            vectors |= fresh
            if len(missing) > EMBED_GROUP:
                async with self.runtime.db.transaction(self.principal) as connection:
                    await embeddings.keep(connection, user_id, self.source_id, embedder.id, fresh)
                    await jobs.progress(connection, self.lease, len(vectors), len(inputs))
                await self._report("embedding", len(vectors), len(inputs))
        return vectors

    async def _report(self, stage: str, done: int, total: int) -> None:
        if time.monotonic() - self._reported >= REPORT_SECONDS:
            self._reported = time.monotonic()
            async with self.runtime.db.change(self.principal) as connection:
                await sources.set_stage(connection, self.principal.user_id, self.source_id, stage, done, total)
                await jobs.progress(connection, self.lease, done, total)
            await publish(self.runtime, self.principal, self.source_id)

    def _version(self, prepared: dict[str, Any], sha256: bytes, vectors: dict[bytes, Vector]) -> NewVersion:
        text, embedder = prepared["text"], self.runtime.embedder
        chunks = [
            NewChunk(
                start=c["start"],
                end=c["end"],
                text=text[c["start"] : c["end"]],
                context=c["context"],
                place=c["place"],
                terms=dict(c["terms"]),
                content_hash=bytes(c["content_hash"]),
                embedding=vectors.get(bytes(c["content_hash"])),
            )
            for c in prepared["chunks"]
        ]
        return NewVersion(
            self.source_id,
            sha256,
            bytes(prepared["text_sha256"]),
            text,
            prepared["title"],
            prepared["media_type"],
            prepared["language"],
            prepared["pages"],
            prepared["reader"],
            embedder.id if embedder else "",
            chunks,
            prepared["metadata"],
            self.lease,
        )


def _bytes(value: Any) -> bytes | None:
    return None if value is None else bytes(value)


def _input(text: str, chunk: dict[str, Any]) -> str:
    return embedded_text(chunk["context"], text[chunk["start"] : chunk["end"]])
