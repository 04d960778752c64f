"""A message that is being written, read from any place by any number of readers."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from sbf_kernel.chat.drafts import Draft
from sbf_kernel.records import Citation, Location, Message, MessageDelta

if TYPE_CHECKING:
    from collections.abc import Sequence


def draft() -> Draft:
    return Draft(
        Message(id=uuid4(), chat_id=uuid4(), role="assistant", text="", status="writing", created_at=datetime.now(UTC))
    )


def citation(marker: int) -> Citation:
    return Citation(
        marker=marker, status="verified", source_id=uuid4(), source="s", version_id=uuid4(), version=1, chunk_id=uuid4(),
        start=0, end=1, quote="q", location=Location(),
    )  # fmt: skip


def check(events: Sequence[MessageDelta], text: str, after: int, cited: Sequence[tuple[int, Citation]]) -> None:
    assert "".join(event.text for event in events) == text[after:]
    at = after
    for event in events:
        assert event.start == at
        at += len(event.text)
    assert [(event.start, event.citation) for event in events if event.citation] == [
        (place, one) for place, one in cited if place >= after
    ]


@settings(max_examples=150, deadline=None)
@given(
    pieces=st.lists(st.tuples(st.text(max_size=6), st.booleans()), max_size=12),
    readers=st.lists(st.tuples(st.integers(0, 12), st.floats(0, 1)), min_size=1, max_size=4),
)
def test_every_reader_gets_exactly_the_rest(pieces: list[tuple[str, bool]], readers: list[tuple[int, float]]) -> None:
    """Whenever a reader comes, from whatever character on, and however slow it is."""
    whole = "".join(piece for piece, _ in pieces)

    async def run() -> None:
        written, cited = draft(), list[tuple[int, Citation]]()

        async def write() -> None:
            for number, (piece, cites) in enumerate(pieces):
                written.write(piece)
                if cites:
                    cited.append((len(written.text), citation(number)))
                    written.cite([cited[-1][1]])
                await asyncio.sleep(0)

        async def read(after: int, late: int) -> list[MessageDelta]:
            for _ in range(late):
                await asyncio.sleep(0)
            events = []
            async for event in written.follow(after):
                events.append(event)
                for _ in range(late % 3):
                    await asyncio.sleep(0)
            return events

        places = [(min(after, len(whole)), round(late * 2 * len(pieces))) for after, late in readers]
        reading = [asyncio.create_task(read(*place)) for place in places]
        await written.start(write())
        for (after, _), events in zip(places, await asyncio.wait_for(asyncio.gather(*reading), 20), strict=True):
            check(events, whole, after, cited)

    asyncio.run(run())


async def test_stopping_interrupts_once_and_waits_for_what_is_to_be_stored() -> None:
    written, seen = draft(), list[Any]()

    async def write() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            written.sealed.set()
            await asyncio.sleep(0.05)
            seen.append("stored")

    await written.start(write())
    await asyncio.gather(written.stop(), written.stop(), written.stop())
    assert seen == ["stored"]
    assert [event async for event in written.follow(0)] == []


async def test_what_has_been_written_whole_is_not_interrupted() -> None:
    written, seen = draft(), list[Any]()

    async def write() -> None:
        written.sealed.set()
        await asyncio.sleep(0.05)
        seen.append("stored")

    await written.start(write())
    await written.stop()
    assert seen == ["stored"]
