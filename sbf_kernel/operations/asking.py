"""Searching and asking."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from sbf_kernel import records
from sbf_kernel.operations.operation import (
    IN_BODY,
    Flag,
    Limit,
    ModelId,
    Moment,
    Offset,
    Operation,
    Question,
    Tags,
    Words,
)

Ids = Annotated[tuple[UUID, ...], Field(max_length=10_000)]
Kinds = Annotated[tuple[Annotated[str, StringConstraints(max_length=200)], ...], Field(max_length=100)]


class Scope(Operation):
    """What to look through; the parts are combined with *and*, empty parts do not restrict."""

    notebook_ids: Ids = ()
    source_ids: Ids = ()
    media_types: Kinds = ()
    """Media types or their beginnings: ``text/``, ``application/pdf``."""
    languages: Kinds = ()
    tags: Tags = ()
    """Sources that carry any of them."""
    added_after: Moment | None = None
    added_before: Moment | None = None


class Search(Scope):
    """Rank chunks by words and meaning."""

    method, path, result = "POST", "/search", records.Hits
    access = "viewer"
    reads = True
    rate = "search"
    cached = True
    query: Question
    limit: Annotated[int, Field(ge=1, le=100), IN_BODY] = 10
    arm: Literal["hybrid", "lexical", "dense"] = "hybrid"
    fusion: Literal["minmax", "rrf"] = "minmax"
    per_source: Flag = False
    """Only the best chunk of each source."""


class Ask(Scope):
    """Answer a question from the sources; streams :class:`records.AnswerDelta`, then one :class:`records.Answer`."""

    method, path, result, streams = "POST", "/ask", records.Answer, True
    access = "viewer"
    reads = True
    rate = "chat"
    question: Question
    model: ModelId | None = None
    """Model id; default from the settings, else extractive."""
    passages: Annotated[int, Field(ge=1, le=50), IN_BODY] = 12
    """How many passages to consider at most."""


class GetAnswer(Operation):
    """Return a stored answer."""

    method, path, result = "GET", "/answers/{answer_id}", records.Answer
    access = "viewer"
    cached = True
    answer_id: UUID


class ListAnswers(Operation):
    """List stored answers, newest first."""

    method, path, result = "GET", "/answers", records.AnswerList
    access = "viewer"
    cached = True
    notebook_id: UUID | None = None
    search: Words = ""
    limit: Limit = 20
    offset: Offset = 0


class RecheckAnswer(Operation):
    """Check each citation of a stored answer against the stored text again."""

    method, path, result = "POST", "/answers/{answer_id}/recheck", records.Recheck
    access = "viewer"
    reads = True
    answer_id: UUID
