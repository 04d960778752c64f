"""A circuit breaker: who does not answer is left alone for a while instead of being waited for.

::

    closed ──3 failures in a row──▶ open ──5 s──▶ half-open: one probe ──▶ closed, or open again

Nygard, *Release It!* (2007), chapter 5. It only keeps count; who uses it does the calling.
"""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

FAILURES: Final = 3
"""Failures in a row that open it: one may be chance, and each costs a whole time-out."""
OPEN_SECONDS: Final = 5.0
"""How long it stays open before somebody may look again."""

_log = logging.getLogger(__name__)


class Breaker:
    """Remembers whether something answers. Belongs to one event loop.

    Parameters
    ----------
    name
        What it guards, for the log.
    failures
        Failures in a row that open it.
    seconds
        Time it stays open before a probe is allowed.
    clock
        Seconds that never go back.
    """

    def __init__(
        self,
        name: str,
        failures: int = FAILURES,
        seconds: float = OPEN_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.state: Literal["closed", "open", "half-open"] = "closed"
        self._allowed_failures, self._seconds, self._clock = failures, seconds, clock
        self.last_opened = -math.inf
        """When it last went from closed to open, by its clock."""
        self._failures = 0
        self._looked = 0.0

    def allows(self) -> bool:
        """Tell whether calls may be made."""
        return self.state == "closed"

    def wants_probe(self) -> bool:
        """Tell whether it is time to look again; true for one caller, who then must report the outcome."""
        if self.state != "open" or self._clock() - self._looked < self._seconds:
            return False
        self.state = "half-open"
        return True

    def succeeded(self) -> None:
        """Count a call that was answered."""
        if self.state != "closed":
            _log.warning("%s answers again", self.name)
        self.state = "closed"
        self._failures = 0

    def failed(self) -> None:
        """Count a call that was not answered."""
        self._failures += 1
        now = self._clock()
        if self.state == "closed" and self._failures >= self._allowed_failures:
            _log.warning("%s does not answer: going on without it, looking again every %g s", self.name, self._seconds)
            self.last_opened = now
        elif self.state != "half-open":
            return
        self.state = "open"
        self._looked = now
