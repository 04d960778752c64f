"""Carries out operations for the one who asks: as themselves, else as a guest in a notebook that was shared with them.

Most operations are about one's own things, so that is tried first and costs
nothing more. Only when an object is not found there, one query looks for a
share that covers it, and the same handler runs once more under the identity of
the owner's guest. What a guest may see is up to row-level security: the role of
the database, not this module, keeps a viewer from writing.

What no share covers stays the NotFound of the first try: somebody else's,
deleted and invented ids cannot be told apart.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sbf_kernel import operations as op
from sbf_kernel.accounts.permissions import require
from sbf_kernel.errors import Forbidden, InvalidInput, NotFound
from sbf_kernel.handlers import handler_of
from sbf_kernel.storage import sharing

if TYPE_CHECKING:
    from sbf_kernel.records import Principal
    from sbf_kernel.runtime import Runtime

DECISIVE: dict[str, sharing.Shared] = {
    "notebook_id": "notebook",
    "notebook_ids": "notebook",
    "source_id": "source",
    "answer_id": "answer",
    "chat_id": "chat",
    "note_id": "note",
    "source_ids": "source",
}
"""Fields that tell which share is meant; of several, the first decides, and the others must be inside that notebook."""
TOLERANT = (op.WatchSources, op.CancelSources, op.ListAnswers)
"""They leave out what they do not find instead of failing, so it must be known before whose guest one is."""
_RANK = {"viewer": 0, "editor": 1, "owner": 2}


@dataclass(frozen=True)
class Outcome:
    """What an operation gave, and as whom it was carried out."""

    result: Any
    principal: Principal | None
    """The one who asked, or the guest they were; None when it is about the things of several tenants."""


async def call(runtime: Runtime, principal: Principal, operation: op.Operation) -> Any:
    """Carry out an operation and return its record; see :func:`resolve`."""
    return (await resolve(runtime, principal, operation)).result


async def resolve(runtime: Runtime, principal: Principal, operation: op.Operation) -> Outcome:
    """Carry out an operation that gives one record.

    Raises
    ------
    NotFound
        Unknown, or not visible to the one who asks.
    Forbidden
        Visible, but the role in the shared notebook does not allow it; or nothing the one who asks may do at all.
    """
    require(principal, operation)
    handler = handler_of(operation)
    if _needs_look_ahead(operation) and (guest := await _guest(runtime, principal, operation)):
        return Outcome(await handler(runtime, guest, _within(guest, operation)), guest)
    try:
        result = await handler(runtime, principal, operation)
        return Outcome(result, None if isinstance(operation, op.ListNotebooks) and operation.shared else principal)
    except NotFound:
        guest = await _guest(runtime, principal, operation)
        if guest is None:
            raise
    return Outcome(await handler(runtime, guest, _within(guest, operation)), guest)


async def stream(runtime: Runtime, principal: Principal, operation: op.Operation) -> AsyncGenerator[Any]:
    """Carry out a streaming operation and yield its records. Raises as :func:`resolve`, before the first record."""
    require(principal, operation)
    handler, guest, begun = handler_of(operation), None, False
    if _needs_look_ahead(operation):
        guest = await _guest(runtime, principal, operation)
    if guest is None:
        try:
            async with aclosing(handler(runtime, principal, operation)) as records:
                async for record in records:
                    begun = True
                    yield record
            return
        except NotFound:
            guest = None if begun else await _guest(runtime, principal, operation)
            if guest is None:
                raise
    async with aclosing(handler(runtime, guest, _within(guest, operation))) as records:
        async for record in records:
            yield record


def _needs_look_ahead(operation: op.Operation) -> bool:
    """Tell whether what is missing would go unnoticed."""
    return isinstance(operation, TOLERANT) or (isinstance(operation, op.Scope) and not operation.notebook_ids)


async def _guest(runtime: Runtime, principal: Principal, operation: op.Operation) -> Principal | None:
    """Return as whose guest the principal may do this; None when no share covers what it is about."""
    kind, ids = decisive_ids(operation)
    if not ids or principal.guest is not None:
        return None
    async with runtime.db.transaction(principal) as connection:
        found = await sharing.guest_for(connection, principal, kind, ids)
        if found is None and len(ids) > 1 and await sharing.scattered(connection, principal, kind, ids):
            raise InvalidInput(
                f"these {kind}s belong to several people or shared notebooks",
                hint="one shared notebook at a time, and your own apart",
            )
    if found is not None and found.guest is not None and _RANK[found.guest.role] < _RANK[operation.access]:
        raise Forbidden(
            f"{type(operation).__name__} needs the role {operation.access}; you are {found.guest.role} of this notebook",
            hint="ask the notebook's owner",
        )
    return found


def decisive_ids(operation: op.Operation) -> tuple[sharing.Shared, tuple[UUID, ...]]:
    """Return the ids that tell which share is meant, and what they name; no ids when nothing shareable is named."""
    for name, kind in DECISIVE.items():
        if value := getattr(operation, name, None):
            return kind, tuple(value) if isinstance(value, tuple) else (value,)
    return "notebook", ()


def _within(guest: Principal, operation: op.Operation) -> op.Operation:
    """Return the operation for a guest: what they search and ask is the notebook."""
    if isinstance(operation, op.Scope) and guest.guest is not None:
        return operation.model_copy(update={"notebook_ids": (guest.guest.notebook_id,)})
    return operation
