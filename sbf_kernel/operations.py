"""The verbs: one class per thing SBF can do = its fields, HTTP method and path, and result type.

This is the one contract. A local backend calls the handler of an operation, a
remote backend sends it to the path it names, where the service calls the same
handler.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, ValidationError, field_validator

from sbf_kernel import records
from sbf_kernel.errors import InvalidInput

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]
Text = Annotated[str, StringConstraints(max_length=20_000)]
Question = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=10_000)]
Limit = Annotated[int, Field(ge=1, le=100)]
Offset = Annotated[int, Field(ge=0, le=1_000_000)]
Tags = tuple[Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)], ...]


class Operation(BaseModel):
    """A request value. ``streams`` operations yield several records, the others return one."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())

    method: ClassVar[str]
    path: ClassVar[str]
    result: ClassVar[Any]
    streams: ClassVar[bool] = False

    @field_validator("*")
    @classmethod
    def _storable(cls, value: Any) -> Any:
        """PostgreSQL's text holds any character but NUL."""
        if any(isinstance(part, str) and "\0" in part for part in (value if isinstance(value, tuple) else (value,))):
            raise ValueError("must not contain NUL characters")
        return value


class CreateNotebook(Operation):
    """Make a notebook. Names need not be unique."""

    method, path, result = "POST", "/notebooks", records.Notebook
    name: Name
    description: Text = ""


class ListNotebooks(Operation):
    """List notebooks; ``search`` matches part of name or description."""

    method, path, result = "GET", "/notebooks", records.NotebookList
    search: Text = ""
    sort: Literal["updated", "created", "name"] = "updated"
    limit: Limit = 20
    offset: Offset = 0


class GetNotebook(Operation):
    """Return one notebook with its counts."""

    method, path, result = "GET", "/notebooks/{notebook_id}", records.Notebook
    notebook_id: UUID


class UpdateNotebook(Operation):
    """Rename or describe a notebook; what is absent stays."""

    method, path, result = "PATCH", "/notebooks/{notebook_id}", records.Notebook
    notebook_id: UUID
    name: Name | None = None
    description: Text | None = None


class DeleteNotebook(Operation):
    """Delete a notebook. Its sources stay until they are deleted themselves."""

    method, path, result = "DELETE", "/notebooks/{notebook_id}", None
    notebook_id: UUID


class AddSource(Operation):
    """Bring one source into a notebook: either ``content`` or ``url``.

    Returns as soon as the bytes are safe; :class:`WatchSources` tells the rest.
    """

    method, path, result = "POST", "/notebooks/{notebook_id}/sources", records.Source
    notebook_id: UUID
    name: Name
    origin: Annotated[str, StringConstraints(min_length=1, max_length=4_000)]
    """Identity of the source: the same origin again is a new version of it."""
    content: bytes | None = None
    url: Annotated[str, StringConstraints(max_length=4_000)] | None = None
    media_type: Annotated[str, StringConstraints(max_length=200)] = ""
    """A hint; the content decides."""
    language: Annotated[str, StringConstraints(max_length=12)] = ""
    """ISO 639-1; detected when empty."""
    tags: Tags = ()
    password: SecretStr | None = None
    """For encrypted files. Used once, never stored."""


class WatchSources(Operation):
    """Stream each change of these sources until all are ready or failed."""

    method, path, result, streams = "POST", "/sources/events", records.Source, True
    source_ids: tuple[UUID, ...]


class CancelSources(Operation):
    """Stop the processing of these sources; what is stored stays."""

    method, path, result = "POST", "/sources/cancel", None
    source_ids: tuple[UUID, ...]


class RetrySource(Operation):
    """Process a source again, for example with a password."""

    method, path, result = "POST", "/sources/{source_id}/retry", records.Source
    source_id: UUID
    password: SecretStr | None = None


class ResumeSources(Operation):
    """Go on with every source whose processing a crash or cancel interrupted."""

    method, path, result = "POST", "/sources/resume", records.SourceList


class ListSources(Operation):
    """List sources of a notebook, or all; ``removed`` lists what was removed and can be restored."""

    method, path, result = "GET", "/sources", records.SourceList
    notebook_id: UUID | None = None
    status: records.SourceStatus | None = None
    tag: Text | None = None
    search: Text = ""
    removed: bool = False
    sort: Literal["added", "name", "updated"] = "added"
    limit: Limit = 20
    offset: Offset = 0


class GetSource(Operation):
    """Return one source."""

    method, path, result = "GET", "/sources/{source_id}", records.Source
    source_id: UUID


class UpdateSource(Operation):
    """Rename or tag a source; what is absent stays."""

    method, path, result = "PATCH", "/sources/{source_id}", records.Source
    source_id: UUID
    name: Name | None = None
    tags: Tags | None = None


class GetSourceText(Operation):
    """Return the stored text of a version, by default the newest."""

    method, path, result = "GET", "/sources/{source_id}/text", records.SourceText
    source_id: UUID
    version_id: UUID | None = None


class LinkSource(Operation):
    """Put an existing source into a further notebook, or restore a removed one."""

    method, path, result = "PUT", "/notebooks/{notebook_id}/sources/{source_id}", records.Source
    notebook_id: UUID
    source_id: UUID


class RemoveSource(Operation):
    """Take a source out of a notebook. It can be restored with :class:`LinkSource`."""

    method, path, result = "DELETE", "/notebooks/{notebook_id}/sources/{source_id}", None
    notebook_id: UUID
    source_id: UUID


class DeleteSource(Operation):
    """Delete a source with all its versions, for good."""

    method, path, result = "DELETE", "/sources/{source_id}", None
    source_id: UUID


class Scope(Operation):
    """What to look through; the parts are combined with *and*, empty parts do not restrict."""

    notebook_ids: tuple[UUID, ...] = ()
    source_ids: tuple[UUID, ...] = ()
    media_types: tuple[str, ...] = ()
    """Media types or their beginnings: ``text/``, ``application/pdf``."""
    languages: tuple[str, ...] = ()
    tags: Tags = ()
    """Sources that carry any of them."""
    added_after: datetime | None = None
    added_before: datetime | None = None


class Search(Scope):
    """Rank chunks by words and meaning."""

    method, path, result = "POST", "/search", records.Hits
    query: Question
    limit: Limit = 10
    arm: Literal["hybrid", "lexical", "dense"] = "hybrid"
    fusion: Literal["minmax", "rrf"] = "minmax"
    per_source: bool = False
    """Only the best chunk of each source."""


class Ask(Scope):
    """Answer a question from the sources; streams :class:`records.AnswerDelta`, then one :class:`records.Answer`."""

    method, path, result, streams = "POST", "/ask", records.Answer, True
    question: Question
    model: Annotated[str, StringConstraints(max_length=200)] | None = None
    """Model id; default from the settings, else extractive."""
    passages: Annotated[int, Field(ge=1, le=50)] = 12
    """How many passages to consider at most."""


class GetAnswer(Operation):
    """Return a stored answer."""

    method, path, result = "GET", "/answers/{answer_id}", records.Answer
    answer_id: UUID


class ListAnswers(Operation):
    """List stored answers, newest first."""

    method, path, result = "GET", "/answers", records.AnswerList
    notebook_id: UUID | None = None
    search: Text = ""
    limit: Limit = 20
    offset: Offset = 0


class RecheckAnswer(Operation):
    """Check each citation of a stored answer against the stored text again."""

    method, path, result = "POST", "/answers/{answer_id}/recheck", records.Recheck
    answer_id: UUID


class GetHealth(Operation):
    """Tell what works."""

    method, path, result = "GET", "/health", records.Health


def build(kind: type[Operation], **fields: Any) -> Any:
    """Build an operation, with a readable error for wrong values.

    Raises
    ------
    InvalidInput
        Which field is wrong, and why.
    """
    try:
        return kind(**fields)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise InvalidInput(
            f"{where}: {problem['msg']}", hint=f"see help(sbf_kernel.operations.{kind.__name__})"
        ) from error
