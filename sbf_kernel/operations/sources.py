"""Sources: bring in, follow, read, arrange."""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field, PlainSerializer, SecretStr, StringConstraints, WithJsonSchema

from sbf_kernel import records
from sbf_kernel.operations.operation import Limit, Name, Offset, Operation, Tags, Words


def _from_base64(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError(f"is no base64: {error}") from None


Content = Annotated[
    bytes, BeforeValidator(_from_base64), WithJsonSchema({"type": "string", "contentEncoding": "base64"})
]
Password = Annotated[
    SecretStr, PlainSerializer(lambda secret: secret.get_secret_value(), return_type=str, when_used="json-unless-none")
]
"""Hidden wherever it is shown or logged; as it is only on the wire."""
SourceIds = Annotated[tuple[UUID, ...], Field(max_length=100_000)]


class AddSource(Operation):
    """Bring one source into a notebook: either ``content`` or ``url``.

    Returns as soon as the bytes are safe; :class:`WatchSources` tells the rest.
    """

    method, path, result = "POST", "/notebooks/{notebook_id}/sources", records.Source
    creates = True
    access = "editor"
    rate = "ingestion"
    notebook_id: UUID
    name: Name
    origin: Annotated[str, StringConstraints(min_length=1, max_length=4_000)]
    """Identity of the source: the same origin again is a new version of it."""
    content: Content | None = None
    """Raw bytes; base64 in JSON."""
    url: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4_000)] | None = None
    media_type: Annotated[str, StringConstraints(max_length=200)] = ""
    """A hint; the content decides."""
    language: Annotated[str, StringConstraints(max_length=12)] = ""
    """ISO 639-1; detected when empty."""
    tags: Tags = ()
    password: Password | None = None
    """For encrypted files. Used once, never stored."""


class WatchSources(Operation):
    """Stream each change of these sources until all are ready or failed."""

    method, path, result, streams = "POST", "/sources/events", records.Source, True
    access = "viewer"
    reads = True
    source_ids: SourceIds


class CancelSources(Operation):
    """Stop the processing of these sources; what is stored stays."""

    method, path, result = "POST", "/sources/cancel", None
    access = "editor"
    source_ids: SourceIds


class RetrySource(Operation):
    """Process a source again, for example with a password."""

    method, path, result = "POST", "/sources/{source_id}/retry", records.Source
    access = "editor"
    rate = "ingestion"
    source_id: UUID
    password: Password | None = None


class ResumeSources(Operation):
    """Go on with every source whose processing a crash or cancel interrupted."""

    method, path, result = "POST", "/sources/resume", records.SourceList
    rate = "ingestion"


class ListSources(Operation):
    """List sources of a notebook, or all; ``removed`` lists what was removed and can be restored."""

    method, path, result = "GET", "/sources", records.SourceList
    access = "viewer"
    cached = True
    notebook_id: UUID | None = None
    status: records.SourceStatus | None = None
    tag: Words | None = None
    search: Words = ""
    removed: bool = False
    sort: Literal["added", "newest", "name", "updated"] = "added"
    """``added`` begins with the oldest, ``newest`` with the one added last."""
    limit: Limit = 20
    offset: Offset = 0


class GetSource(Operation):
    """Return one source."""

    method, path, result = "GET", "/sources/{source_id}", records.Source
    access = "viewer"
    cached = True
    source_id: UUID


class UpdateSource(Operation):
    """Rename or tag a source; what is absent stays."""

    method, path, result = "PATCH", "/sources/{source_id}", records.Source
    access = "editor"
    source_id: UUID
    name: Name | None = None
    tags: Tags | None = None


class GetSourceText(Operation):
    """Return the stored text of a version, by default the newest."""

    method, path, result = "GET", "/sources/{source_id}/text", records.SourceText
    access = "viewer"
    cached = True
    source_id: UUID
    version_id: UUID | None = None


class GetSourcePage(Operation):
    """Return a picture of one page of a version, by default the newest. PDFs have pages."""

    method, path, result = "GET", "/sources/{source_id}/pages/{page}", records.SourcePage
    access = "viewer"
    cached = True
    source_id: UUID
    page: Annotated[int, Field(ge=1, le=100_000)]
    """Counted from 1."""
    version_id: UUID | None = None
    """With a version the reply never changes, and may be kept for a year."""
    width: Annotated[int, Field(ge=100, le=2_000)] = 900
    """Of the picture, in pixels."""


class LinkSource(Operation):
    """Put an existing source into a further notebook, or restore a removed one."""

    method, path, result = "PUT", "/notebooks/{notebook_id}/sources/{source_id}", records.Source
    access = "editor"
    notebook_id: UUID
    source_id: UUID


class RemoveSource(Operation):
    """Take a source out of a notebook. It can be restored with :class:`LinkSource`."""

    method, path, result = "DELETE", "/notebooks/{notebook_id}/sources/{source_id}", None
    access = "editor"
    notebook_id: UUID
    source_id: UUID


class DeleteSource(Operation):
    """Delete a source with all its versions, for good."""

    method, path, result = "DELETE", "/sources/{source_id}", None
    source_id: UUID
