"""What becomes of a job that ended in an error, or whose worker died."""

from __future__ import annotations

import random

from sbf_kernel.errors import (
    FetchError,
    FetchRefused,
    MissingExtra,
    ModelCorrupt,
    SbfError,
    SourceCrashed,
    StoreError,
    StoreTooOld,
    StoreUnsupportedCpu,
    TooManyRequests,
)
from sbf_kernel.ingest.pipeline import verdict
from sbf_kernel.storage.jobs import Outcome

MOST_ERRORS = 5
"""After so many a job waits for somebody to look at it."""
CRASHES_TOGETHER = 3
"""A job over which so many workers died runs alone: it may be its fault, or a neighbour's, or nobody's."""
MOST_CRASHES = 10
"""After so many it waits for somebody to look at it. It ran alone when the last seven workers died, and longer and longer
after each other: hardly by chance. Fewer would bury healthy jobs when workers are killed every few seconds
(benchmarks/drills/kill_workers.py)."""
FIRST_WAIT, LONGEST_WAIT = 2.0, 300.0
"""Seconds."""

_LASTING = (FetchRefused, MissingExtra, ModelCorrupt, StoreTooOld, StoreUnsupportedCpu)
_HTTP_TIMEOUT, _HTTP_TOO_MANY, _HTTP_SERVER_ERROR = 408, 429, 500


def after_error(error: Exception, attempts: int) -> Outcome:
    """Return what becomes of a job.

    Parameters
    ----------
    attempts
        Errors it had before this one.
    """
    final = verdict(error)
    if final.status == "done" or not may_pass(error):
        return final
    if attempts + 1 >= MOST_ERRORS:
        return Outcome("dead", final.reason, f"{final.message} (tried {attempts + 1} times)", error=True)
    wait = backoff(attempts)
    message = f"{final.message} (tried again in {wait:.0f} s)"
    return Outcome("failed", final.reason, message, wait=wait, error=True)


def after_crash(crashes: int) -> Outcome:
    """Return what becomes of a job over which a worker died.

    Parameters
    ----------
    crashes
        Workers that died over it before.
    """
    died = crashes + 1
    if died >= MOST_CRASHES:
        message = f"{died} workers died over it → look at their logs, then run it again"
        return Outcome("dead", SourceCrashed.code, message)
    wait = backoff(died - CRASHES_TOGETHER) if died >= CRASHES_TOGETHER else None
    return Outcome("queued", SourceCrashed.code, f"{died} workers died over it", wait=wait)


def may_pass(error: Exception) -> bool:
    """Tell whether the same may work later.

    A bug of ours may be one that only shows under load, so it is tried again too.
    """
    if isinstance(error, _LASTING):
        return False
    if isinstance(error, FetchError):
        status = error.details.get("status")
        return status is None or status >= _HTTP_SERVER_ERROR or status in (_HTTP_TIMEOUT, _HTTP_TOO_MANY)
    return not isinstance(error, SbfError) or error.status >= 500 or isinstance(error, StoreError | TooManyRequests)


def backoff(before: int) -> float:
    """Return the seconds to wait after ``before`` earlier failures: four times as long each time, with jitter.

    Half of it is random, so that what failed together does not come back
    together ("equal jitter" in M. Brooker, Exponential Backoff And Jitter, AWS
    Architecture Blog, 2015).
    """
    longest: float = min(LONGEST_WAIT, FIRST_WAIT * 4.0**before)
    return longest / 2 + random.random() * longest / 2  # noqa: S311 - nothing secret
