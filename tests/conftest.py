"""One embedded server, one runtime, and a fresh tenant for each test."""

from __future__ import annotations

import asyncio
import atexit
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from sbf_kernel.records import Principal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sbf_kernel.backends.loop import LoopThread
    from sbf_kernel.models import Embedder, Vector
    from sbf_kernel.runtime import Runtime
    from sbf_kernel.settings import Settings
    from sbf_kernel.workspace import NotebookHandle, Workspace

for _name in [name for name in os.environ if name.startswith("SBF_") and name != "SBF_STATIC"]:
    del os.environ[_name]  # what a developer has set must not reach the tests

# A shell that starts the tests in the background makes them deaf to Ctrl-C, which some of them press.
signal.signal(signal.SIGINT, signal.default_int_handler)

BACKENDS = ("local",)
"""Every contract test runs once on each; a further backend adds its name here and its maker to ``open_workspace``."""


class CountingEmbedder:
    """The real embedder, and what it was asked to embed.

    ``allowed`` passages are embedded, then it waits: so a test can act while a
    source is being processed.
    """

    def __init__(self, real: Embedder) -> None:
        self.real = real
        self.id, self.dimensions, self.languages = real.id, real.dimensions, real.languages
        self.passages: list[str] = []
        self.queries: list[str] = []
        self.reset()

    def reset(self) -> None:
        self.passages.clear()
        self.queries.clear()
        self.allowed = float("inf")
        self.waiting = 0

    async def embed_query(self, text: str) -> Vector:
        self.queries.append(text)
        return await self.real.embed_query(text)

    async def embed_passages(self, texts: Sequence[str]) -> list[Vector]:
        self.waiting += 1
        try:
            while len(self.passages) >= self.allowed:
                await asyncio.sleep(0.01)
        finally:
            self.waiting -= 1
        self.passages.extend(texts)
        return await self.real.embed_passages(texts)

    def close(self) -> None:
        self.real.close()


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """A home the server's user can enter (pytest's own directories are for the present user only)."""
    path = Path(tempfile.mkdtemp(prefix="sbf-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def settings(home: Path) -> Settings:
    from sbf_kernel.settings import Settings

    return Settings(home=home, threads=2, static=True)


@pytest.fixture(scope="session")
def loop() -> Iterator[LoopThread]:
    from sbf_kernel.backends.loop import LoopThread

    thread = LoopThread()
    yield thread
    thread.close()


@pytest.fixture(scope="session")
def runtime(settings: Settings, loop: LoopThread) -> Iterator[Runtime]:
    from sbf_kernel.runtime import Runtime

    opened = loop.run(Runtime.open(settings))
    assert opened.embedder is not None
    opened.embedder = CountingEmbedder(opened.embedder)
    yield opened
    loop.run(opened.close())


@pytest.fixture
def principal() -> Principal:
    """A tenant nobody else has."""
    return Principal(user_id=f"test-{uuid4()}")


@pytest.fixture
def open_workspace(runtime: Runtime, loop: LoopThread, settings: Settings) -> Callable[[str, Principal], Workspace]:
    """Make the workspace of a principal on a backend, by the backend's name."""
    from sbf_kernel.backends.local import LocalBackend
    from sbf_kernel.workspace import Workspace

    makers: dict[str, Callable[[Principal], Any]] = {"local": lambda principal: LocalBackend(runtime, principal)}

    def make(name: str, principal: Principal) -> Workspace:
        workspace = Workspace(makers[name](principal), loop, settings)
        atexit.unregister(workspace.close)  # runtime and loop belong to the session
        return workspace

    return make


@pytest.fixture(params=BACKENDS)
def backend_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def workspace(
    open_workspace: Callable[[str, Principal], Workspace], backend_name: str, principal: Principal
) -> Workspace:
    return open_workspace(backend_name, principal)


@pytest.fixture
def stranger(open_workspace: Callable[[str, Principal], Workspace], backend_name: str) -> Workspace:
    """Another tenant of the same deployment."""
    return open_workspace(backend_name, Principal(user_id=f"stranger-{uuid4()}"))


@pytest.fixture
def notebook(workspace: Workspace) -> NotebookHandle:
    return workspace.notebooks.create("Notes")


@pytest.fixture
def embedder(runtime: Runtime) -> Iterator[CountingEmbedder]:
    """The session's embedder with empty counters."""
    assert isinstance(runtime.embedder, CountingEmbedder)
    runtime.embedder.reset()
    yield runtime.embedder
    runtime.embedder.allowed = float("inf")


def until(condition: Callable[[], Any], seconds: float = 60) -> None:
    """Wait for a condition that another thread or process will make true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)
