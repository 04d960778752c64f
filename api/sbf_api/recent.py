"""The values used last, in the memory of this process."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

ENTRY_BYTES: Final = 250
"""What an entry takes besides its value: key, number, tuple and place in the table."""


class Recent:
    """Bytes by key; the least recently used give way. Belongs to one event loop.

    Parameters
    ----------
    max_bytes
        Memory that all entries may take.
    seconds
        Time a value is kept.
    clock
        Seconds that never go back.
    """

    def __init__(self, max_bytes: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.size = 0
        """Bytes taken now."""
        self._max_bytes, self._seconds, self._clock = max_bytes, seconds, clock
        self._entries: OrderedDict[str, tuple[float, bytes]] = OrderedDict()

    def get(self, key: str) -> bytes | None:
        """Return the value of ``key``; None when there is none (any more)."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[0] <= self._clock():
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry[1]

    def put(self, key: str, value: bytes) -> None:
        """Keep a value, at the cost of the least recently used."""
        if key in self._entries:
            self._drop(key)
        self._entries[key] = (self._clock() + self._seconds, value)
        self.size += len(value) + ENTRY_BYTES
        while self.size > self._max_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: str) -> None:
        self.size -= len(self._entries.pop(key)[1]) + ENTRY_BYTES
