"""A service of its own to measure or to break: ``sbf serve`` in a process, a user with a token, and who asks it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from benchmarks.measuring import home

if TYPE_CHECKING:
    from sbf_kernel.records import UserRole

READY_SECONDS = 60
UNLIMITED = {
    f"SBF_RATE_{kind}": "1000000" for kind in ("DEFAULT", "CHAT", "TRANSFORMATIONS", "SEARCH", "INGESTION", "SIGN_IN")
}


@dataclass
class Live:
    """A running service."""

    url: str
    home: Path
    environment: dict[str, str]
    command: list[str]
    token: str = ""
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def headers(self) -> dict[str, str]:
        """What says who asks."""
        return {"Authorization": f"Bearer {self.token}"}

    @property
    def postgres(self) -> list[psutil.Process]:
        """The database server and its children."""
        pid = int((self.home / "postgres" / "data" / "postmaster.pid").read_text(encoding="utf-8").split()[0])
        server = psutil.Process(pid)
        return [server, *server.children(recursive=True)]

    def start(self) -> None:
        """Start the process, again after it ended, and wait until it is ready."""
        with (self.home / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(self.command, env=self.environment, stdout=log, stderr=log)
        until = time.monotonic() + READY_SECONDS
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError((self.home / "serve.log").read_text(encoding="utf-8")[-4_000:])
            time.sleep(0.1)

    def ready(self) -> bool:
        """Tell whether it says that it is."""
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/health/ready", timeout=2) as response:
            return bool(response.status == 200)
        return False

    def new_token(self, name: str, role: UserRole = "member") -> str:
        """Make a user and return a token that may do all they may."""
        from sbf_kernel import connect
        from sbf_kernel.operations import CreateUser

        with connect(self.environment.get("SBF_DATABASE_URL"), home=self.home, embedder="none") as workspace:
            workspace.call(CreateUser(name=name, password="correct horse battery", role=role))
        time.sleep(5.5)  # no token is made so soon after a change of rights
        scopes = ("read", "write") if role == "member" else ("read", "write", "admin")
        command = [
            sys.executable,
            "-m",
            "sbf_kernel",
            "users",
            "token",
            name,
            *(f"--scope={scope}" for scope in scopes),
        ]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True)
        return done.stdout.strip()


@contextlib.contextmanager
def live(*options: str, **settings: str) -> Iterator[Live]:
    """Start a service; ``settings`` are environment variables without ``SBF_``, in lower case."""
    with home() as place:
        place.chmod(0o755)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        given = {f"SBF_{name.upper()}": value for name, value in settings.items()}
        environment = {**os.environ, **UNLIMITED, "SBF_HOME": str(place), **given}
        command = [sys.executable, "-m", "sbf_kernel", "serve", "--port", str(port), *options]
        running = Live(f"http://127.0.0.1:{port}", place, environment, command)
        try:
            running.start()
            running.token = running.new_token("ada")
            yield running
        finally:
            _end(running.process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
