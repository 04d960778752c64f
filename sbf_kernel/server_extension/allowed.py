"""Which operations a page may ask for: what its panels do. Never accounts, tokens, sharing or deletion for good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sbf_kernel.errors import BadRequest, Forbidden, InvalidInput, RequestTooLarge

if TYPE_CHECKING:
    from sbf_kernel.operations import Operation

ALLOWED = frozenset({
    "AddSource", "Ask", "CancelJob", "CancelSources", "CreateChat", "CreateNote", "CreateNotebook", "DeleteChat",
    "DeleteNote", "DeleteNotebook", "FollowMessage", "GetAnswer", "GetChat", "GetHealth", "GetJob", "GetNote",
    "GetNotebook", "GetSource", "GetSourceText", "LinkSource", "ListAnswers", "ListChats", "ListJobs", "ListMessages",
    "ListModels", "ListNotebooks", "ListNotes", "ListSources", "RecheckAnswer", "RemoveSource", "ResumeSources",
    "RetryJob", "RetrySource", "Search", "SendMessage", "StopMessage", "UpdateChat", "UpdateNote", "UpdateNotebook",
    "UpdateSource", "WatchJobs", "WatchSources",
})  # fmt: skip

JSON_BYTES = 2 << 20
"""Largest body of an operation; files have a route of their own."""


def operation(name: str, body: bytes, *, streams: bool) -> Operation:
    """Return the operation that a request asks for.

    Parameters
    ----------
    name
        Name of its class.
    body
        Its fields as a JSON object; nothing for none.
    streams
        Whether the route streams records.

    Raises
    ------
    Forbidden
        Nothing of that name is for pages.
    RequestTooLarge
        More than :data:`JSON_BYTES`.
    BadRequest
        No JSON, or the other route is the right one.
    InvalidInput
        A field is missing, unknown or wrong.
    """
    if name not in ALLOWED:
        raise Forbidden(f"a page may not ask for {name}", hint="use a workspace in a kernel: sbf_kernel.connect()")
    if len(body) > JSON_BYTES:
        raise RequestTooLarge(f"{name} with more than {JSON_BYTES >> 20} MB", hint="upload files instead")
    from pydantic import ValidationError

    from sbf_kernel import operations

    kind: type[Operation] = getattr(operations, name)
    if kind.streams is not streams:
        raise BadRequest(
            f"{name} {'streams' if kind.streams else 'does not stream'}",
            hint=f"use the route {'stream' if kind.streams else 'call'}/{name}",
        )
    try:
        return kind.model_validate_json(body or b"{}", strict=True)
    except ValidationError as error:
        raise _invalid(error.errors(include_input=False, include_url=False)[0], kind) from None


def _invalid(problem: Any, kind: type[Operation]) -> InvalidInput:
    from sbf_kernel.operations.refusals import where, why

    if problem["type"] == "json_invalid":
        return BadRequest(f"the body is no JSON that SBF takes: {problem['msg']}", hint="send a JSON object in UTF-8")
    return InvalidInput(
        f"{where(problem['loc'])}: {why(problem)}", hint=f"see help(sbf_kernel.operations.{kind.__name__})"
    )
