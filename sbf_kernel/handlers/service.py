"""The deployment itself."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from sbf_kernel import operations as op
from sbf_kernel.models import listing
from sbf_kernel.records import Health, ModelList, Principal, UsageReport
from sbf_kernel.runtime import Runtime
from sbf_kernel.storage import health, usage


async def list_models(runtime: Runtime, principal: Principal, o: op.ListModels) -> ModelList:
    """List the models that answer, embed and judge here."""
    embedder = runtime.embedder.id if runtime.embedder else ""
    return ModelList(items=await asyncio.to_thread(listing.models, runtime.settings, embedder))


async def get_usage(runtime: Runtime, principal: Principal, o: op.GetUsage) -> UsageReport:
    """Sum up what one's own calls of models consumed, by day, model or operation."""
    async with runtime.db.transaction(principal) as connection:
        return await usage.sums(connection, principal, by=o.by, after=_utc(o.after), before=_utc(o.before))


def _utc(moment: datetime | None) -> datetime | None:
    """Return a time without zone as UTC: days are summed up by UTC too."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


async def get_health(runtime: Runtime, principal: Principal, o: op.GetHealth) -> Health:
    """Tell what works: places to administrators, versions to users, and to others that it works."""
    found = await health.check(
        runtime.db, runtime.embedder.id if runtime.embedder else "none (words only)", runtime.settings
    )
    if {"owner", "admin"} & set(principal.roles):
        return found
    if principal.scopes:
        place = "embedded" if runtime.settings.database_url is None else "server"
        return found.model_copy(update={"checks": {**found.checks, "place": place}})
    return found.model_copy(update={"checks": dict.fromkeys(found.checks, "ok")})
