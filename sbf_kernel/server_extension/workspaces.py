"""The workspaces of a Jupyter server, each opened when the first request for it comes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sbf_kernel.errors import InvalidInput, TooManyRequests

if TYPE_CHECKING:
    from sbf_kernel.workspace import Workspace

AT_ONCE = 4
"""Addresses in use at a time: whoever goes through many is not a person with settings."""


class Workspaces:
    """Opens a workspace per address and keeps it for as long as the server runs.

    A workspace nobody closed is closed when the process ends.
    """

    def __init__(self) -> None:
        self._opening: dict[str, asyncio.Future[Workspace]] = {}

    async def open(self, address: str) -> Workspace:
        """Return the workspace at an address; several requests at once wait for the same.

        Parameters
        ----------
        address
            ``https://…`` of an SBF service, or nothing for what the
            environment of the server says: its service or database, else the
            embedded one.

        Raises
        ------
        InvalidInput
            No address of a service.
        TooManyRequests
            More than :data:`AT_ONCE` addresses.
        SbfError
            It cannot be opened. The next request tries again.
        """
        opening = self._opening.get(address)
        if opening is None or (opening.done() and (opening.cancelled() or opening.exception() is not None)):
            if address and not address.startswith(("https://", "http://")):
                raise InvalidInput(
                    f"{address[:80]!r} is no address of a service", hint="use https://…, or leave the setting empty"
                )
            if opening is None and len(self._opening) >= AT_ONCE:
                raise TooManyRequests(
                    f"this server has {AT_ONCE} workspaces open", hint="restart JupyterLab", retry_after=60
                )
            opening = self._opening[address] = asyncio.ensure_future(asyncio.to_thread(_connect, address))
        return await asyncio.shield(opening)


def _connect(address: str) -> Workspace:
    """Connect. A token that belongs to ``SBF_URL`` goes nowhere else."""
    import sbf_kernel
    from sbf_kernel.settings import Settings

    if not address:
        return sbf_kernel.connect()
    own = Settings().url
    elsewhere = own is not None and own.rstrip("/") != address.rstrip("/")
    return sbf_kernel.connect(address, token="" if elsewhere else None)
