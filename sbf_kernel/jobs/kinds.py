"""What kinds of work there are: one table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from sbf_kernel.ingest import pipeline
from sbf_kernel.ingest import sources as ingest
from sbf_kernel.records import Principal
from sbf_kernel.reports import making
from sbf_kernel.storage.jobs import Lease, Outcome

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from sbf_kernel.runtime import Runtime


@dataclass(frozen=True)
class Kind:
    """How one kind of work is done, shown, begun again and stopped."""

    work: Callable[[Runtime, Principal, Lease, UUID], Awaitable[None]]
    """Does it on behalf of a tenant, for a subject, and ends the job in the transaction that stores the result."""
    mirror: Callable[[AsyncConnection, str, UUID, Outcome], Awaitable[None]]
    """Lets the subject show an outcome that is no success."""
    retry: Callable[[Runtime, Principal, UUID, None], Awaitable[object]]
    cancel: Callable[[Runtime, Principal, tuple[UUID, ...]], Awaitable[None]]


KINDS = {
    pipeline.KIND: Kind(pipeline.bring_in, pipeline.mirror, ingest.retry, ingest.cancel),
    making.KIND: Kind(making.make, making.mirror, making.retry, making.cancel),
}
"""Name of a kind, as it stands in the job, → how it is done."""
