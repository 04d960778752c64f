"""Sources as files: ``multipart/form-data`` instead of base64 in JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Annotated
from uuid import UUID

from fastapi import FastAPI, File, Form, UploadFile
from pydantic import SecretStr, StringConstraints
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from sbf_api.problems import wrong_field
from sbf_api.routing import add, assemble, carry_out
from sbf_kernel import operations as op
from sbf_kernel.operations.operation import one_form

Tag = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
FIELDS = frozenset({"file", "name", "origin", "language", "tags", "password"})
ABOUT = """Bring one file into a notebook.

The name of the file is that of the source unless ``name`` says otherwise. Without ``origin`` the source is known by
its name in this notebook: the same name again is a new version of it."""


def install(app: FastAPI) -> None:
    """Add the route that takes a file."""
    add(
        app,
        op.AddSource,
        upload,
        operation_id="UploadSource",
        name="UploadSource",
        summary="Bring one file into a notebook",
        description=ABOUT,
        path="/notebooks/{notebook_id}/sources/upload",
    )


async def upload(
    request: Request,
    notebook_id: UUID,
    file: Annotated[UploadFile, File(description="The file.")],
    name: Annotated[str, Form(max_length=300)] = "",
    origin: Annotated[str, Form(max_length=4_000)] = "",
    language: Annotated[str, Form(max_length=12)] = "",
    tags: Annotated[list[Tag] | None, Form(max_length=100)] = None,
    password: Annotated[SecretStr | None, Form()] = None,
) -> Response:
    """Take a file as a source."""
    _refuse_unknown(request.query_params.keys(), await request.form())
    named = name or file.filename or "upload"
    operation = assemble(
        op.AddSource,
        {
            "notebook_id": notebook_id,
            "name": named,
            # As the name itself is kept: systems write the same one in different forms, and it stays the same source.
            "origin": origin or f"upload:{notebook_id}/{one_form(named)}",
            "content": await file.read(),
            "media_type": file.content_type or "",
            "language": language,
            "tags": tuple(tags or ()),
            "password": password,
        },
    )
    return await carry_out(request, operation)


def _refuse_unknown(query: Iterable[str], form: FormData) -> None:
    """Refuse what would be passed over: a client that sends it believes that it has an effect.

    Raises
    ------
    InvalidInput
        Which field is not known, comes more than once, or stands in the query.
    """
    for name in query:
        raise wrong_field(name, "belongs into the form, not into the query")
    for name, times in Counter(name for name, _ in form.multi_items()).items():
        if name not in FIELDS:
            raise wrong_field(name, "there is no such field")
        if times > 1 and name != "tags":
            raise wrong_field(name, "may be given only once")
