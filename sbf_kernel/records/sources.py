"""Sources and their text."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Literal
from uuid import UUID

from sbf_kernel import display
from sbf_kernel.records.record import Listing, Record

SourceStatus = Literal["pending", "processing", "ready", "failed"]


class Source(Record):
    """One thing brought in, and how far it is."""

    id: UUID
    name: str
    origin: str
    """Where it came from: ``file:///…``, ``https://…``, ``text:…``."""
    media_type: str = ""
    status: SourceStatus
    stage: str = ""
    """What happens now, or happened last: queued, reading, embedding, stored, unchanged, duplicate …"""
    reason: str = ""
    """Wire name of the error when ``status`` is failed, for example ``source_encrypted``."""
    message: str = ""
    """The reason in words, with what to do next."""
    done: int = 0
    total: int = 0
    """Progress of the stage, in chunks."""
    language: str = ""
    tags: tuple[str, ...] = ()
    version: int = 0
    """Number of the current version; 0 while there is none."""
    version_id: UUID | None = None
    char_count: int = 0
    chunk_count: int = 0
    page_count: int | None = None
    sha256: str = ""
    """SHA-256 of the raw bytes, hex."""
    created_at: datetime
    updated_at: datetime

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen to it by itself."""
        return self.status in ("ready", "failed")


class SourceList(Listing[Source]):
    """A page of sources."""

    def _view(self) -> display.View:
        rows = [
            (
                s.name,
                display.Status(s.status),
                s.message or s.stage.replace("stored", ""),
                s.language,
                s.chunk_count,
                s.page_count,
            )
            for s in self.items
        ]
        counts = Counter(s.status for s in self.items)
        states = ", ".join(f"{n} {status}" for status, n in counts.items())
        title = f"{self.total} source" + "s" * (self.total != 1) + (f": {states}" if states else "")
        return display.table(title, ("source", "status", "detail", "language", "chunks", "pages"), rows)


class SourcePage(Record):
    """A picture of one page of a source version. It never changes."""

    source_id: UUID
    version_id: UUID
    page: int
    """Counted from 1."""
    pages: int
    width: int
    height: int
    media_type: str = "image/webp"
    image: str
    """The picture, base64."""

    def _view(self) -> display.View:
        return display.fields("SourcePage", self.model_dump(exclude={"image"}))


class SourceText(Record):
    """The immutable normalised text of one source version."""

    source_id: UUID
    version_id: UUID
    version: int
    name: str
    sha256: str
    """SHA-256 of ``text`` in UTF-8, hex."""
    text: str

    def _view(self) -> display.View:
        return display.quote(f"{self.name} · version {self.version}", self.text[:2_000])
