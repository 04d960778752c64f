"""How often somebody may do something: a moving window of one minute, shared by all processes.

The package ``limits`` has such a window too, but takes the time from each
client's clock, needs a second question for what is left, and knows no breaker;
the script below does all of it in one question, by the clock of Redis. A
refused call leaves no trace, so whoever keeps asking is served again as soon
as a call leaves the window.

While Redis is away each process grants its share of every allowance, so that
the service is neither open nor closed: in any minute at most twice the
allowance, once by Redis and once by the processes alone.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import Counter, OrderedDict, deque
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from sbf_api.shared_memory import AWAY
from sbf_kernel.errors import TooManyRequests

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from sbf_api.settings import ServiceSettings
    from sbf_api.shared_memory import SharedMemory
    from sbf_kernel.operations import Rate

    Kind = Rate | Literal["sign_in", "bad_tokens"]

WINDOW_SECONDS: Final = 60.0
"""Allowances are per minute."""
STREAM_RETRY_SECONDS: Final = 5
"""When to try again after one stream too many; only the user's own closing of one helps."""

_TAKE: Final = """
local time, limit, window = redis.call('TIME'), tonumber(ARGV[1]), tonumber(ARGV[2])
local now = time[1] * 1000000 + time[2]
local oldest = tonumber(redis.call('LINDEX', KEYS[1], -1) or now)
while oldest <= now - window or oldest > now + window do
  redis.call('RPOP', KEYS[1])
  oldest = tonumber(redis.call('LINDEX', KEYS[1], -1) or now)
end
local taken = redis.call('LLEN', KEYS[1])
if taken >= limit then
  return {0, 0, tonumber(redis.call('LINDEX', KEYS[1], limit - 1)) + window - now}
end
redis.call('LPUSH', KEYS[1], now)
redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000))
return {1, limit - taken - 1, oldest + window - now}
"""
"""A list of the times of granted calls, newest first, in µs. Granted or not, how many are left, µs until one more.

Times further ahead than a window are from before the clock was set back: forgotten, or they would lock somebody out.
Sent as a whole each time: a restarted Redis knows no script by its hash, and hashing 800 bytes costs it a microsecond.
"""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left after a call."""

    limit: int
    """Calls per minute."""
    remaining: int
    """Calls left now."""
    reset_seconds: int
    """Seconds until one more than ``remaining`` are left."""
    retry_after: int | None
    """Seconds to wait when this call is refused; None when it is granted."""


class Limiter:
    """Grants and refuses calls.

    Parameters
    ----------
    settings
        The allowances, and how many processes share them.
    shared
        Where all processes count.
    window
        Length of the moving window in seconds.
    """

    def __init__(self, settings: ServiceSettings, shared: SharedMemory, window: float = WINDOW_SECONDS) -> None:
        self._limits: dict[Kind, int] = {
            "default": settings.rate_default,
            "chat": settings.rate_chat,
            "transformations": settings.rate_transformations,
            "search": settings.rate_search,
            "ingestion": settings.rate_ingestion,
            "sign_in": settings.rate_sign_in,
            "bad_tokens": settings.rate_bad_tokens,
        }
        self._processes = settings.processes
        self._shared = shared
        self._window = window
        self._own = OwnWindow(window)

    async def take(self, kind: Kind, key: str) -> Allowance:
        """Count a call, unless the allowance is used up.

        Parameters
        ----------
        kind
            Which allowance.
        key
            Whose: a user, an account, or an address.

        Returns
        -------
        Allowance
            Whether it is granted, and what is left.
        """
        limit = self._limits[kind]
        name = f"sbf:limit:{kind}:{hashlib.sha256(key.encode(errors='surrogatepass')).hexdigest()[:32]}"
        # A Redis that was away may have lost its memory: for one window, what it granted before still counts.
        # So in no window is more granted than one allowance by Redis and one by the processes alone.
        if self._shared.breaker.last_opened + self._window <= time.monotonic():
            answer = await self._shared.run("EVAL", _TAKE, 1, name, limit, round(self._window * 1e6))
            if answer is not AWAY:
                granted, remaining, wait = answer
                return _allowance(limit, bool(granted), remaining, wait / 1e6)
        return self._own.take(name, max(1, limit // self._processes))


class OwnWindow:
    """Counts calls in a moving window, in the memory of this process. Belongs to one event loop.

    Parameters
    ----------
    window
        Its length in seconds.
    clock
        Seconds that never go back.
    """

    def __init__(self, window: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._window, self._clock = window, clock
        self._granted: OrderedDict[str, deque[float]] = OrderedDict()
        """When the calls of each key were granted; whoever was granted one last comes last."""

    def __len__(self) -> int:
        """Return how many keys are remembered: those granted something within the window."""
        return len(self._granted)

    def take(self, key: str, limit: int) -> Allowance:
        """Count a call of ``key``, unless ``limit`` calls were granted within the window."""
        now = self._clock()
        self._forget(now - self._window)
        times = self._granted.setdefault(key, deque())
        while times and times[0] <= now - self._window:
            times.popleft()
        if len(times) >= limit:
            return _allowance(limit, False, 0, times[-limit] + self._window - now)
        times.append(now)
        self._granted.move_to_end(key)
        return _allowance(limit, True, limit - len(times), times[0] + self._window - now)

    def _forget(self, until: float) -> None:
        """Drop the keys that were granted nothing since: addresses come and go, memory must not grow with them."""
        while self._granted:
            key = next(iter(self._granted))
            if self._granted[key][-1] > until:
                return
            del self._granted[key]


def _allowance(limit: int, granted: bool, remaining: int, wait: float) -> Allowance:
    seconds = max(1, math.ceil(wait))
    return Allowance(limit, remaining, seconds, None if granted else seconds)


class Streams:
    """How many streams each user has open in this process.

    Parameters
    ----------
    limit
        Streams one user may have open at once.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """Streams open now, of all users; a metric."""
        return self._open.total()

    @asynccontextmanager
    async def open(self, user_id: str) -> AsyncGenerator[None]:
        """Count a stream while the block runs.

        Raises
        ------
        TooManyRequests
            The user has as many open as allowed.
        """
        if self._open[user_id] >= self._limit:
            raise TooManyRequests(
                f"{self._limit} streams are open already",
                hint="close one of them first",
                retry_after=STREAM_RETRY_SECONDS,
            )
        self._open[user_id] += 1
        try:
            yield
        finally:
            self._open[user_id] -= 1
            if not self._open[user_id]:
                del self._open[user_id]
