"""SQL of the ledger: what each call of a model consumed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal
from uuid import UUID, uuid4

from sqlalchemy import text

from sbf_kernel.records import Principal, Usage, UsageReport, UsageSum
from sbf_kernel.storage.answers import owner

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

By = Literal["day", "model", "operation"]
_KEYS: dict[By, str] = {
    "day": "to_char(created_at at time zone 'UTC', 'YYYY-MM-DD')",
    "model": "model",
    "operation": "operation",
}


async def record(
    connection: AsyncConnection,
    principal: Principal,
    *,
    operation: str,
    model: str,
    notebook_id: UUID | None,
    usage: Usage,
) -> None:
    """Add a call to the ledger."""
    await connection.execute(
        text("""insert into usage (user_id, author, id, notebook_id, operation, model, input_tokens, output_tokens, cost_usd)
                values (:user_id, :author, :id, :notebook_id, :operation, :model, :input_tokens, :output_tokens, :cost_usd)"""),
        {
            **owner(principal),
            **usage.model_dump(),
            "id": uuid4(),
            "notebook_id": notebook_id,
            "operation": operation,
            "model": model,
        },
    )


async def sums(
    connection: AsyncConnection, principal: Principal, *, by: By, after: datetime | None, before: datetime | None
) -> UsageReport:
    """Return the calls of the author from ``after`` to just before ``before``, summed up by day (UTC), model or operation.

    Those in notebooks that others share are among them. A cost is None when the price of any of its calls is unknown.
    """
    rows = await connection.execute(
        text(f"""select {_KEYS[by]} as key, count(*) as calls, sum(input_tokens) as input_tokens,
                   sum(output_tokens) as output_tokens,
                   case when count(cost_usd) = count(*) then sum(cost_usd) end as cost_usd
                 from (select created_at, operation, model, input_tokens, output_tokens, cost_usd from usage
                       where user_id = :user_id and author = :author
                       union all select * from usage_elsewhere()) calls
                 where created_at >= coalesce(cast(:after as timestamptz), '-infinity')
                   and created_at < coalesce(cast(:before as timestamptz), 'infinity') group by 1 order by 1"""),
        {**owner(principal), "after": after, "before": before},
    )
    return UsageReport(items=tuple(UsageSum(**row) for row in rows.mappings()), by=by)
