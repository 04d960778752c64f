"""``ws.answers``."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from sbf_kernel import operations as op
from sbf_kernel.operations import build
from sbf_kernel.records import Answer, AnswerList
from sbf_kernel.workspace.references import Ref

if TYPE_CHECKING:
    from sbf_kernel.workspace.workspace import Workspace


class Answers:
    """``ws.answers``."""

    def __init__(self, workspace: Workspace) -> None:
        self._ws = workspace

    def list(
        self, search: str = "", *, notebook_id: UUID | None = None, limit: int = 20, offset: int = 0
    ) -> AnswerList:
        """Return a page of stored answers, newest first."""
        found: AnswerList = self._ws.call(
            build(op.ListAnswers, search=search, notebook_id=notebook_id, limit=limit, offset=offset)
        )
        return found

    def get(self, ref: Ref) -> Answer:
        """Return a stored answer by id."""
        found: Answer = self._ws.call(build(op.GetAnswer, answer_id=ref))
        return found
