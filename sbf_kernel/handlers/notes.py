"""Notes."""

from __future__ import annotations

from sbf_kernel import operations as op
from sbf_kernel.records import Note, NoteList, Principal
from sbf_kernel.runtime import Runtime
from sbf_kernel.storage import answers, notebooks, notes


async def create_note(runtime: Runtime, principal: Principal, o: op.CreateNote) -> Note:
    """Write a note in a notebook; the citations of the answer it was taken from come along."""
    async with runtime.db.change(principal) as connection:
        await notebooks.require(connection, principal.user_id, (o.notebook_id,))
        answer = await answers.get(connection, principal, o.answer_id) if o.answer_id else None
        return await notes.create(
            connection, principal, notebook_id=o.notebook_id, title=o.title, words=o.text, answer=answer
        )


async def list_notes(runtime: Runtime, principal: Principal, o: op.ListNotes) -> NoteList:
    """List one's own notes."""
    async with runtime.db.transaction(principal) as connection:
        await notebooks.require(connection, principal.user_id, (o.notebook_id,) if o.notebook_id else ())
        return await notes.find(
            connection,
            principal,
            notebook_id=o.notebook_id,
            search=o.search,
            sort=o.sort,
            limit=o.limit,
            offset=o.offset,
        )


async def get_note(runtime: Runtime, principal: Principal, o: op.GetNote) -> Note:
    """Return one note."""
    async with runtime.db.transaction(principal) as connection:
        return await notes.get(connection, principal, o.note_id)


async def update_note(runtime: Runtime, principal: Principal, o: op.UpdateNote) -> Note:
    """Change title or text."""
    async with runtime.db.change(principal) as connection:
        return await notes.update(connection, principal, o.note_id, o.title, o.text)


async def delete_note(runtime: Runtime, principal: Principal, o: op.DeleteNote) -> None:
    """Delete a note."""
    async with runtime.db.change(principal) as connection:
        await notes.delete(connection, principal, o.note_id)
