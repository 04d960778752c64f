"""What a caller may name a thing by, and walking through the pages of a list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

Ref = UUID | str
"""An id."""


def as_id(ref: Any) -> UUID | None:
    """Return ``ref`` as an id, or None when it is none: then it is a name."""
    try:
        return ref if isinstance(ref, UUID) else UUID(str(ref))
    except ValueError:
        return None


def all_pages(fetch: Callable[..., Any], **filters: Any) -> Iterator[Any]:
    """Yield the items of a list lazily, page by page."""
    offset, total = 0, 1
    while offset < total:
        page = fetch(limit=100, offset=offset, **filters)
        yield from page
        offset, total = offset + 100, page.total
