"""The deployment itself."""

from __future__ import annotations

from sbf_kernel import operations as op
from sbf_kernel.records import Health, ModelList, Principal, UsageReport
from sbf_kernel.runtime import Runtime
from sbf_kernel.storage import health


async def list_models(runtime: Runtime, principal: Principal, o: op.ListModels) -> ModelList:
    """List the models that answer, embed and judge here."""
    raise NotImplementedError


async def get_usage(runtime: Runtime, principal: Principal, o: op.GetUsage) -> UsageReport:
    """Sum up what one's own calls of models consumed, by day, model or operation."""
    raise NotImplementedError


async def get_health(runtime: Runtime, principal: Principal, o: op.GetHealth) -> Health:
    """Tell what works."""
    return await health.check(
        runtime.db, runtime.embedder.id if runtime.embedder else "none (words only)", runtime.settings
    )
