"""Which passages a chat may use: nothing of a source, what is found in it, or all of it as far as it fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sbf_kernel.errors import NotFound
from sbf_kernel.operations import Search
from sbf_kernel.records import Hit, Location
from sbf_kernel.search import search
from sbf_kernel.storage import chats, ranking

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncConnection

    from sbf_kernel.records import Chat, ContextLevel, Principal
    from sbf_kernel.runtime import Runtime

CHARACTERS_PER_TOKEN = 4
"""Rather too many: what does not fit is left out when the prompt is composed."""


async def require_sources(
    connection: AsyncConnection,
    principal: Principal,
    notebook_id: UUID,
    levels: Mapping[UUID, ContextLevel],
    known: Collection[UUID] = (),
) -> None:
    """Raise :class:`NotFound` unless all sources that get a level are in the notebook, or had one before (``known``)."""
    if not levels:
        return
    there = {*await chats.notebook_sources(connection, principal.user_id, notebook_id), *known}
    for source_id in levels:
        if source_id not in there:
            raise NotFound(
                f"there is no source {source_id} in the notebook",
                hint="nb.sources.list() shows all",
                source_id=str(source_id),
            )


async def passages(runtime: Runtime, principal: Principal, chat: Chat, question: str, limit: int) -> list[Hit]:
    """Return what the chat may use for a question: found chunks, best first, then the rest of sources that count in full."""
    off = {source_id for source_id, level in chat.levels.items() if level == "off"}
    full = {source_id for source_id, level in chat.levels.items() if level == "full"}
    fields = Search(query=question, limit=limit, notebook_ids=(chat.notebook_id,))
    there: set[UUID] = set()
    if off or full:
        async with runtime.db.transaction(principal) as connection:
            there = set(await chats.notebook_sources(connection, principal.user_id, chat.notebook_id))
    if off & there:
        if off >= there:
            return []
        # Past validation: a notebook may have more sources than a caller may name.
        fields = fields.model_copy(update={"source_ids": tuple(there - off)})
    found = list(await search(runtime, principal, fields))
    return found + await _rest(runtime, principal, full & there, found) if full & there else found


async def _rest(runtime: Runtime, principal: Principal, source_ids: Collection[UUID], found: list[Hit]) -> list[Hit]:
    """Return the chunks of whole sources that were not found, in reading order, the window shared out evenly."""
    room = runtime.settings.model_context_tokens * CHARACTERS_PER_TOKEN
    async with runtime.db.transaction(principal) as connection:
        rows = await chats.whole_texts(connection, principal.user_id, sorted(source_ids), room // len(source_ids))
    known = {hit.chunk_id for hit in found}
    new = [row for row in rows if row["chunk_id"] not in known]
    return [_hit(row, rank) for rank, row in enumerate(new, start=len(found) + 1)]


def _hit(row: Mapping[str, object], rank: int) -> Hit:
    place = Location(**ranking.place_of(row["place"]))
    return Hit.model_validate({**row, "rank": rank, "score": 0.0, "location": place})
