"""The deployment itself: what works, which models there are, what was used."""

from __future__ import annotations

from typing import Literal

from sbf_kernel import records
from sbf_kernel.operations.operation import Moment, Operation


class GetHealth(Operation):
    """Tell what works."""

    method, path, result = "GET", "/health", records.Health
    public = True


class ListModels(Operation):
    """List the models that answer, embed and judge here."""

    method, path, result = "GET", "/models", records.ModelList
    access = "viewer"


class GetUsage(Operation):
    """Sum up what one's own calls of models consumed, by day, model or operation."""

    method, path, result = "GET", "/usage", records.UsageReport
    by: Literal["day", "model", "operation"] = "day"
    after: Moment | None = None
    before: Moment | None = None
