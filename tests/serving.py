"""Runs the service for real: uvicorn on a port of this machine, on the event loop of a runtime that is open already."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, Self

import uvicorn

from sbf_api.app import create_app
from sbf_api.connections import Protocol

if TYPE_CHECKING:
    from sbf_api.settings import ServiceSettings
    from sbf_kernel.backends.loop import LoopThread
    from sbf_kernel.runtime import Runtime


class _Quiet(uvicorn.Server):
    """Leaves the signals of the process alone."""

    def install_signal_handlers(self) -> None:
        """Do nothing."""


class Serving:
    """A running service; ``url`` says where. ``port`` 0 is any that is free."""

    def __init__(self, settings: ServiceSettings, runtime: Runtime, loop: LoopThread, port: int = 0) -> None:
        self.app: Any = create_app(settings, runtime)
        self._loop = loop
        self._socket = socket.create_server(("127.0.0.1", port))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            self.app, http=Protocol, log_config=None, access_log=False, server_header=False, lifespan="on"
        )
        self._server = _Quiet(config)

    def __enter__(self) -> Self:
        self._loop.run(self._start())
        return self

    async def _start(self) -> None:
        self._task = asyncio.create_task(self._server.serve([self._socket]))
        while not self._server.started:
            assert not self._task.done(), "the service did not start"
            await asyncio.sleep(0.01)

    def __exit__(self, *exc: object) -> None:
        self._server.should_exit = True
        self._loop.run(self._end())

    async def _end(self) -> None:
        await self._task
