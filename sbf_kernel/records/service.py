"""The deployment: what works, which models there are, what was used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from sbf_kernel import display
from sbf_kernel.records.record import Record, Records

if TYPE_CHECKING:
    pass


class Health(Record):
    """What works, for ``sbf doctor`` and ``GET /health``."""

    ok: bool
    version: str
    checks: dict[str, str]

    def _view(self) -> display.View:
        rows = [(part, display.Status(state)) for part, state in self.checks.items()]
        return display.table("SBF " + self.version, ("part", "state"), rows)


class Model(Record):
    """An AI model that is used here."""

    id: str
    """``provider:name``."""
    kind: Literal["embedding", "language", "reranking"]
    default: bool = False
    available: bool = True
    detail: str = ""


class ModelList(Records[Model]):
    """All models."""

    def _view(self) -> display.View:
        rows = [
            (
                m.id,
                m.kind,
                "default" if m.default else "",
                display.Status("ready" if m.available else "missing"),
                m.detail,
            )
            for m in self.items
        ]
        return display.table(f"{len(self.items)} models", ("model", "kind", "", "state", "detail"), rows)


class UsageSum(Record):
    """What the calls of one day, model or operation consumed."""

    key: str
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None = None
    """None when a price is unknown."""


class UsageReport(Records[UsageSum]):
    """What was used, summed up."""

    by: Literal["day", "model", "operation"]

    def _view(self) -> display.View:
        rows = [(u.key, u.calls, u.input_tokens, u.output_tokens, u.cost_usd) for u in self.items]
        return display.table("usage", (self.by, "calls", "input tokens", "output tokens", "USD"), rows)
