"""What a process keeps in mind to know who comes in: keys, hashing threads, credentials it looked up lately."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Hashable
from functools import cached_property
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from sbf_kernel.accounts.keys import Keys, keys_of
from sbf_kernel.accounts.passwords import Passwords
from sbf_kernel.runtime import Runtime
from sbf_kernel.settings import Settings
from sbf_kernel.storage.credentials import Credential
from sbf_kernel.storage.database import Database

CREDENTIAL_SECONDS = 3.0
"""How long a credential is believed without a look at the database. Promised: what is revoked ends within 5 s."""
HUB_SECONDS = 60.0
"""How long a JupyterHub's word on a token is believed."""
_REMEMBERED = 10_000

Known = TypeVar("Known")


class Memory(Generic[Known]):
    """Remembers what was found, for a while, and the newest only.

    Parameters
    ----------
    seconds
        Counted from before it was looked up, so that nothing is believed for longer.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._found: dict[Hashable, tuple[float, Known]] = {}

    async def get(self, key: Hashable, look_up: Callable[[], Awaitable[Known | None]]) -> Known | None:
        """Return what is remembered, else what ``look_up`` finds. That there is nothing is not remembered."""
        began = time.monotonic()
        until, known = self._found.get(key, (0.0, None))
        if known is not None and began < until:
            return known
        found = await look_up()
        self._found.pop(key, None)
        if found is not None:
            self._found[key] = (began + self._seconds, found)
            if len(self._found) > _REMEMBERED:
                del self._found[next(iter(self._found))]
        return found

    def forget(self) -> None:
        """Look everything up again."""
        self._found.clear()


class Gate:
    """Belongs to one runtime; get it with :func:`gate_of`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.passwords = Passwords()
        self.credentials: Memory[Credential] = Memory(CREDENTIAL_SECONDS)
        self.hub_names: Memory[str] = Memory(HUB_SECONDS)

    @cached_property
    def _keys(self) -> Callable[[], Keys]:
        return keys_of(self._settings)

    @property
    def keys(self) -> Keys:
        """The signing keys as they are now."""
        return self._keys()


_gates: WeakKeyDictionary[Database, Gate] = WeakKeyDictionary()


def gate_of(runtime: Runtime) -> Gate:
    """Return the gate of a runtime, made when first asked for."""
    if runtime.db not in _gates:
        _gates[runtime.db] = Gate(runtime.settings)
    return _gates[runtime.db]
