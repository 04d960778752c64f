"""Notebooks and who may use them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from sbf_kernel import display
from sbf_kernel.records.record import Listing, Record

Role = Literal["owner", "editor", "viewer"]


class Notebook(Record):
    """A research container of sources (not a Jupyter notebook file)."""

    id: UUID
    name: str
    description: str = ""
    role: Role = "owner"
    """What the one who asks may do in it."""
    owner: str = ""
    """Name of the user it belongs to, when that is somebody else."""
    created_at: datetime
    updated_at: datetime
    source_count: int = 0
    chunk_count: int = 0


class NotebookList(Listing[Notebook]):
    """A page of notebooks."""

    def _view(self) -> display.View:
        rows = [(n.name, n.source_count, n.chunk_count, n.description, n.updated_at) for n in self.items]
        return display.table(
            f"{self.total} notebook" + "s" * (self.total != 1),
            ("notebook", "sources", "chunks", "description", "updated"),
            rows,
        )


class Member(Record):
    """A user who may use a notebook of somebody else."""

    name: str
    role: Literal["viewer", "editor"]
    created_at: datetime


class MemberList(Listing[Member]):
    """A page of members."""

    def _view(self) -> display.View:
        rows = [(m.name, m.role, m.created_at) for m in self.items]
        return display.table(f"{self.total} member" + "s" * (self.total != 1), ("user", "role", "since"), rows)
