"""Notes: one's own text in a notebook, also taken over from answers."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from sbf_kernel import records
from sbf_kernel.operations.operation import Limit, LongText, Name, Offset, Operation, Words


class CreateNote(Operation):
    """Write a note in a notebook."""

    method, path, result = "POST", "/notebooks/{notebook_id}/notes", records.Note
    creates = True
    access = "viewer"
    notebook_id: UUID
    title: Name
    text: LongText = ""
    """Markdown."""
    answer_id: UUID | None = None
    """The answer it was taken from; its citations come along."""


class ListNotes(Operation):
    """List one's own notes; ``search`` matches part of title or text."""

    method, path, result = "GET", "/notes", records.NoteList
    access = "viewer"
    cached = True
    notebook_id: UUID | None = None
    search: Words = ""
    sort: Literal["updated", "created", "title"] = "updated"
    limit: Limit = 20
    offset: Offset = 0


class GetNote(Operation):
    """Return one note."""

    method, path, result = "GET", "/notes/{note_id}", records.Note
    access = "viewer"
    cached = True
    note_id: UUID


class UpdateNote(Operation):
    """Change title or text; what is absent stays."""

    method, path, result = "PATCH", "/notes/{note_id}", records.Note
    access = "viewer"
    note_id: UUID
    title: Name | None = None
    text: LongText | None = None


class DeleteNote(Operation):
    """Delete a note."""

    method, path, result = "DELETE", "/notes/{note_id}", None
    access = "viewer"
    note_id: UUID
