"""Hits made by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID, uuid5

import pytest

from sbf_kernel.records import Hit, Location

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SPACE = UUID("12345678-1234-5678-1234-567812345678")


@pytest.fixture(scope="session")
def hit() -> Callable[..., Hit]:
    """Make a hit whose text stands at ``start`` of its version."""

    def make(text: str, *, source: str = "a.txt", start: int = 0, rank: int = 1, score: float = 0.9) -> Hit:
        return Hit(
            rank=rank,
            score=score,
            source_id=uuid5(SPACE, source),
            source=source,
            version_id=uuid5(SPACE, source + "/1"),
            version=1,
            chunk_id=uuid5(SPACE, f"{source}/{start}"),
            start=start,
            end=start + len(text),
            text=text,
            location=Location(page=1),
        )

    return make


@pytest.fixture(scope="session")
def versions() -> Callable[[Sequence[Hit]], dict[UUID, str]]:
    """Make the stored texts that fit hits: gaps are filled with dots."""

    def make(hits: Sequence[Hit]) -> dict[UUID, str]:
        texts: dict[UUID, str] = {}
        for one in sorted(hits, key=lambda h: h.start):
            text = texts.get(one.version_id, "").ljust(one.start, ".")
            texts[one.version_id] = text[: one.start] + one.text + text[one.end :]
        return texts

    return make
