"""Cut connections, as ``make drill`` cuts them, only fewer."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.drills import cuts

FEW = 20


@pytest.mark.timeout(240)
def test_connections_cut_at_random_bytes_lose_nothing_and_double_nothing() -> None:
    figures = asyncio.run(cuts.drill(FEW, seed=3))
    assert cuts.verdict(figures, FEW) == []
    for place in ("client_to_service", "service_to_database"):
        assert figures[place]["acknowledged"] > 0, "nothing was at stake"


def test_a_call_that_is_done_twice_is_found() -> None:
    half = {"cuts": {"request": 1, "answer": 1}, "lost": [], "twice": ["cut-1"]}
    figures = {"faults": [], "client_to_service": half, "service_to_database": {**half, "twice": []}}
    assert cuts.verdict(figures, 2) == ["client_to_service: 1 twice"]
