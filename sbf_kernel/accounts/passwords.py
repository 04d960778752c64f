"""Passwords: Argon2id, two at a time, and as slow for a name nobody has."""

from __future__ import annotations

import asyncio
import functools
import secrets
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from sbf_kernel.errors import MissingExtra

if TYPE_CHECKING:
    from pwdlib import PasswordHash

AT_ONCE = 2
"""Hashes a process computes at the same time: each takes 64 MiB and about 0.1 s of a core."""


@functools.cache
def _pool() -> ThreadPoolExecutor:
    # Threads of their own, not a semaphore: a request that is given up frees no place while its hash goes on.
    return ThreadPoolExecutor(AT_ONCE, thread_name_prefix="sbf-password")


def argon2id() -> PasswordHash:
    """Return the hasher: Argon2id with the second recommended parameters of RFC 9106 (3 passes, 64 MiB, 4 lanes).

    Raises
    ------
    MissingExtra
        pwdlib or argon2-cffi is not installed.
    """
    try:
        from pwdlib import PasswordHash
        from pwdlib.hashers.argon2 import Argon2Hasher
    except ImportError as error:
        raise MissingExtra("pwdlib[argon2] is not installed", hint="pip install 'sbf-kernel[server]'") from error
    return PasswordHash((Argon2Hasher(time_cost=3, memory_cost=64 * 1024, parallelism=4),))


class Passwords:
    """Makes and checks hashes off the event loop.

    Parameters
    ----------
    hasher
        :func:`argon2id` when None, made when it is first needed.
    """

    def __init__(self, hasher: PasswordHash | None = None) -> None:
        self._given = hasher

    @functools.cached_property
    def _hasher(self) -> PasswordHash:
        return self._given or argon2id()

    @functools.cached_property
    def _nobodys(self) -> str:
        return self._hasher.hash(secrets.token_urlsafe(32))

    async def hash(self, password: str) -> str:
        """Return a new hash."""
        return await asyncio.get_running_loop().run_in_executor(_pool(), self._hash, password)

    async def verify(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        """Check a password; it takes as long when there is none to compare with.

        Parameters
        ----------
        stored
            The hash; None when there is no such user, or one without a password.

        Returns
        -------
        Whether it is right, and a new hash to store when the parameters have changed since.
        """
        return await asyncio.get_running_loop().run_in_executor(_pool(), self._verify, password, stored)

    def _hash(self, password: str) -> str:
        return self._hasher.hash(_normal(password))

    def _verify(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        nobodys = self._nobodys  # made for the first who comes, known or not
        right, renewed = self._hasher.verify_and_update(_normal(password), stored or nobodys)
        return (right, renewed) if stored else (False, None)


def _normal(password: str) -> str:
    """Return one form for what different keyboards send for the same letters (RFC 8265)."""
    return unicodedata.normalize("NFC", password)
