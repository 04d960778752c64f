"""Notes."""

from __future__ import annotations

from sbf_kernel import operations as op
from sbf_kernel.records import Note, NoteList, Principal
from sbf_kernel.runtime import Runtime


async def create_note(runtime: Runtime, principal: Principal, o: op.CreateNote) -> Note:
    """Write a note in a notebook."""
    raise NotImplementedError


async def list_notes(runtime: Runtime, principal: Principal, o: op.ListNotes) -> NoteList:
    """List one's own notes."""
    raise NotImplementedError


async def get_note(runtime: Runtime, principal: Principal, o: op.GetNote) -> Note:
    """Return one note."""
    raise NotImplementedError


async def update_note(runtime: Runtime, principal: Principal, o: op.UpdateNote) -> Note:
    """Change title or text."""
    raise NotImplementedError


async def delete_note(runtime: Runtime, principal: Principal, o: op.DeleteNote) -> None:
    """Delete a note."""
    raise NotImplementedError
