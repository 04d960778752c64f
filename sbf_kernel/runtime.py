"""The composition root: everything a handler needs, opened and closed in one place."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sbf_kernel.settings import Settings
from sbf_kernel.storage.blobs import Blobs
from sbf_kernel.storage.database import Database
from sbf_kernel.storage.news import News
from sbf_kernel.storage.writer import Writer
from sbf_kernel.tasks import TaskRunner

if TYPE_CHECKING:
    from uuid import UUID

    from sbf_kernel.chat.drafts import Draft
    from sbf_kernel.models import Embedder
    from sbf_kernel.readers.sandbox import Sandbox

PREPARE = "sbf_kernel.ingest.prepare:prepare"
"""What the reader processes run; named, not imported: it loads parsers."""
DRAW = "sbf_kernel.readers.page_images:page_image"
"""What the processes run that draw pages; they start with the first page."""
SOURCES_AT_ONCE = 12
"""Sources in flight: enough that the embedder always has work while others are read or stored."""


@dataclass
class Runtime:
    """What handlers work with. Belongs to the event loop that opened it."""

    settings: Settings
    db: Database
    blobs: Blobs
    writer: Writer
    tasks: TaskRunner
    sandbox: Sandbox
    pages: Sandbox
    embedder: Embedder | None
    news: News
    drafts: dict[UUID, Draft] = field(default_factory=dict)
    """Messages of chats that this process is writing."""

    @classmethod
    async def open(cls, settings: Settings) -> Runtime:
        """Open everything.

        Raises
        ------
        StoreError
            The database cannot be used.
        ModelError
            The configured embedder is not there.
        """
        opening = asyncio.create_task(Database.open(settings))
        await asyncio.sleep(0)  # the server starts while we import
        from sbf_kernel.models.builtin import load_embedder
        from sbf_kernel.readers.sandbox import Sandbox

        db = await opening
        try:
            embedder = load_embedder(settings)
        except BaseException:
            await db.close()
            raise
        sandbox = Sandbox(
            PREPARE,
            memory_mb=settings.read_memory_mb,
            cpu_seconds=settings.read_cpu_seconds,
            wall_seconds=settings.read_wall_seconds,
            workers=max(1, settings.threads // 2),
        )
        pages = Sandbox(DRAW, memory_mb=settings.read_memory_mb, cpu_seconds=15, wall_seconds=30)
        blobs, tasks = Blobs(settings.home / "blobs"), TaskRunner(SOURCES_AT_ONCE)
        return cls(settings, db, blobs, Writer(db), tasks, sandbox, pages, embedder, News(db.conninfo, tasks.tell))

    async def close(self) -> None:
        """Stop the background work and close everything, in the reverse order."""
        await asyncio.gather(*(draft.stop() for draft in list(self.drafts.values())))
        await self.news.close()
        await self.tasks.close()
        await self.writer.close()
        await self.sandbox.close()
        await self.pages.close()
        if self.embedder is not None:
            self.embedder.close()
        await self.db.close()
