"""``ws.notes``, and with a notebook ``nb.notes``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sbf_kernel import operations as op
from sbf_kernel.errors import InvalidInput
from sbf_kernel.operations import build
from sbf_kernel.records import Answer, Message, Note, NoteList
from sbf_kernel.workspace.references import Ref, all_pages

if TYPE_CHECKING:
    from sbf_kernel.workspace.workspace import Workspace


class Notes:
    """``ws.notes``, and with a notebook ``nb.notes``."""

    def __init__(self, workspace: Workspace, notebook_id: UUID | None = None) -> None:
        self._ws, self._notebook_id = workspace, notebook_id

    def create(self, title: str, text: str = "", *, answer: Answer | Message | Ref | None = None) -> Note:
        """Write a note in this notebook.

        Parameters
        ----------
        text
            Markdown; with an answer and no text, the text of the answer.
        answer
            What it is taken from: its citations come along.

        Raises
        ------
        InvalidInput
            There is no notebook to write in, or the message has no answer.
        """
        if self._notebook_id is None:
            raise InvalidInput("a note needs a notebook", hint="use nb.notes")
        found = answer.answer if isinstance(answer, Message) else answer
        if answer is not None and found is None:
            raise InvalidInput("this message has no answer", hint="take the assistant's, when it is done")
        words = text or (found.text if isinstance(found, Answer) else "")
        answer_id = found.id if isinstance(found, Answer) else found
        note: Note = self._ws.call(
            build(op.CreateNote, notebook_id=self._notebook_id, title=title, text=words, answer_id=answer_id)
        )
        return note

    def list(self, search: str = "", *, sort: str = "updated", limit: int = 20, offset: int = 0) -> NoteList:
        """Return a page of notes; ``search`` matches part of title or text, ``sort`` is ``updated``, ``created`` or ``title``."""
        found: NoteList = self._ws.call(
            build(op.ListNotes, notebook_id=self._notebook_id, search=search, sort=sort, limit=limit, offset=offset)
        )
        return found

    def all(self, search: str = "", **filters: Any) -> Iterator[Note]:
        """Yield all notes lazily; filters as in :meth:`list`."""
        return all_pages(self.list, search=search, **filters)

    def get(self, ref: Ref) -> Note:
        """Return a note by id."""
        found: Note = self._ws.call(build(op.GetNote, note_id=ref))
        return found

    def update(self, ref: Note | Ref, *, title: str | None = None, text: str | None = None) -> Note:
        """Change title or text."""
        found: Note = self._ws.call(build(op.UpdateNote, note_id=_id(ref), title=title, text=text))
        return found

    def delete(self, ref: Note | Ref) -> None:
        """Delete a note."""
        self._ws.call(build(op.DeleteNote, note_id=_id(ref)))


def _id(ref: Note | Ref) -> Any:
    return ref.id if isinstance(ref, Note) else ref
