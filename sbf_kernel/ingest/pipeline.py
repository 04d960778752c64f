"""One source's way from raw bytes to searchable: fetch → read → embed → store.

Steps are safe to repeat: raw bytes and finished vectors are kept, the version
appears in one transaction. A process that dies leaves a source ``pending`` or
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

from sbf_kernel.errors import SbfError, StoreUnavailable
from sbf_kernel.ingest.web import Content, download
from sbf_kernel.records import Principal, Source
from sbf_kernel.storage import sources, versions
from sbf_kernel.storage.versions import NewChunk, NewVersion

if TYPE_CHECKING:
    from sbf_kernel.models import Vector
    from sbf_kernel.runtime import Runtime

EMBED_GROUP = 64
"""Chunks between two reports of progress; what is embedded is saved at the same rhythm."""
REPORT_SECONDS = 1.0
"""Least time between two progress reports of one source in the database."""


async def process(runtime: Runtime, principal: Principal, source_id: UUID, password: SecretStr | None = None) -> None:
    """Bring one registered source to ``ready`` or ``failed``. Never raises but for cancellation.

    If another process works on it already, nothing is done: its lock in the
    database tells. Without a database the source stays as it is, for
    :func:`sbf_kernel.ingest.sources.resume`.
    """
    with suppress(StoreUnavailable):
        async with runtime.db.locks.hold(source_id) as mine:
            if mine:
                await _process(runtime, principal, source_id, password)
            else:
                await _await_other(runtime, principal, source_id, password)


async def _process(runtime: Runtime, principal: Principal, source_id: UUID, password: SecretStr | None) -> None:
    work = _Processing(runtime, principal, source_id)
    try:
        await work.run(password)
    except asyncio.CancelledError:
        await _finish(runtime, principal, source_id, status="pending", stage="cancelled")
        raise
    except StoreUnavailable as error:  # nothing is wrong with the source
        await _finish(runtime, principal, source_id, status="pending", stage="interrupted", message=str(error))
    except SbfError as error:
        await work.fail(error.code, str(error))
    except Exception as error:  # noqa: BLE001 - a bug of ours must not take the other sources down
        await work.fail("error", f"unexpected {type(error).__name__}: {error} → please report this")


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


async def _finish(runtime: Runtime, principal: Principal, source_id: UUID, **outcome: Any) -> None:
    async with runtime.db.change(principal) as connection:
        await sources.set_outcome(connection, principal.user_id, source_id, **outcome)
    await publish(runtime, principal, source_id)


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

    def __init__(self, runtime: Runtime, principal: Principal, source_id: UUID) -> None:
        self.runtime, self.principal, self.source_id = runtime, principal, source_id
        self._sha256: bytes | None = None
        self._reported = 0.0

    async def run(self, password: SecretStr | None) -> None:
        item = await self._begin()
        if item is None or item["status"] == "ready":
            await publish(self.runtime, self.principal, self.source_id)
            return
        self._sha256 = _bytes(item["sha256"])
        content = await self._obtain(item)
        self._sha256 = content.sha256
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
        vectors = await self._embed(prepared)
        await self.runtime.writer.store(self.principal, self._version(prepared, content.sha256, vectors))
        await publish(self.runtime, self.principal, self.source_id)

    async def _begin(self) -> Mapping[Any, Any] | None:
        user_id = self.principal.user_id
        async with self.runtime.db.change(self.principal) as connection:
            item = await sources.work_item(connection, user_id, self.source_id)
            if item is not None and item["status"] != "ready":
                await sources.set_stage(connection, user_id, self.source_id, "fetching" if item["url"] else "reading")
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
        return content

    async def _unchanged(self) -> None:
        await self._end(status="ready", stage="unchanged")

    async def fail(self, reason: str, message: str) -> None:
        """Record why it could not be brought in."""
        await self._end(status="failed", stage="failed", reason=reason, message=message)

    async def _end(self, **outcome: str) -> None:
        await _finish(self.runtime, self.principal, self.source_id, sha256=self._sha256, **outcome)

    async def _embed(self, prepared: dict[str, Any]) -> dict[bytes, Vector]:
        """Return vectors by content hash: known ones from the store, the others computed."""
        embedder, user_id = self.runtime.embedder, self.principal.user_id
        if embedder is None:
            return {}
        inputs = {bytes(c["content_hash"]): _input(prepared["text"], c) for c in prepared["chunks"]}
        async with self.runtime.db.transaction(self.principal) as connection:
            vectors = await versions.known_embeddings(connection, user_id, embedder.id, list(inputs))
        missing = [digest for digest in inputs if digest not in vectors]
        for start in range(0, len(missing), EMBED_GROUP):
            group = missing[start : start + EMBED_GROUP]
            fresh = dict(zip(group, await embedder.embed_passages([inputs[digest] for digest in group]), strict=True))
            vectors |= fresh
            if len(missing) > EMBED_GROUP:
                async with self.runtime.db.transaction(self.principal) as connection:
                    await versions.keep_embeddings(connection, user_id, self.source_id, embedder.id, fresh)
                await self._report("embedding", len(vectors), len(inputs))
        return vectors

    async def _report(self, stage: str, done: int, total: int) -> None:
        if time.monotonic() - self._reported >= REPORT_SECONDS:
            self._reported = time.monotonic()
            async with self.runtime.db.change(self.principal) as connection:
                await sources.set_stage(connection, self.principal.user_id, self.source_id, stage, done, total)
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
        )


def _bytes(value: Any) -> bytes | None:
    return None if value is None else bytes(value)


def _input(text: str, chunk: dict[str, Any]) -> str:
    """Return what is embedded for a chunk: its context, then its text."""
    passage = text[chunk["start"] : chunk["end"]]
    return f"{chunk['context']}\n{passage}" if chunk["context"] else passage
