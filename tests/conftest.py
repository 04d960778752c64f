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

    from sbf_api.settings import ServiceSettings
    from sbf_kernel.backends.loop import LoopThread
    from sbf_kernel.models import Embedder, Vector
    from sbf_kernel.records import UserRole
    from sbf_kernel.runtime import Runtime
    from sbf_kernel.settings import Settings
    from sbf_kernel.workspace import NotebookHandle, Workspace
    from tests.serving import Serving

for _name in [name for name in os.environ if name.startswith("SBF_") and name != "SBF_STATIC"]:
    del os.environ[_name]  # what a developer has set must not reach the tests

# A shell that starts the tests in the background makes them deaf to Ctrl-C, which some of them press.
signal.signal(signal.SIGINT, signal.default_int_handler)

BACKENDS = ("local", "remote")
"""Every contract test runs once on each: in this process, and through the service over HTTP."""


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
def principal(new_user: Callable[[], Principal]) -> Principal:
    """A tenant nobody else has."""
    return new_user()


@pytest.fixture(scope="session")
def new_user(runtime: Runtime, loop: LoopThread) -> Callable[..., Principal]:
    """Make a user of the deployment, without a password: hashing one takes a fifth of a second."""
    from sbf_kernel.storage import accounts

    async def make(name: str, role: UserRole) -> Principal:
        async with runtime.db.accounts() as connection:
            user = await accounts.create(connection, name, None, role)
        return Principal(user_id=str(user.id), roles=(role,))

    return lambda name="", role="member": loop.run(make(name or f"user-{uuid4()}", role))


@pytest.fixture(scope="session")
def new_token(runtime: Runtime, loop: LoopThread) -> Callable[[Principal], str]:
    """Make an API token that may do all its user may."""
    from sbf_kernel.accounts import users

    def make(principal: Principal) -> str:
        scopes = ("read", "write", "admin") if "admin" in principal.roles else ("read", "write")
        made = loop.run(users.create_api_token(runtime, principal, "tests", scopes, None))
        return made.secret

    return make


@pytest.fixture(scope="session")
def service_settings(home: Path) -> ServiceSettings:
    """No allowance is ever used up, and nothing is too slow: those have tests of their own."""
    from sbf_api.settings import ServiceSettings

    rates = {
        f"rate_{kind}": 1_000_000
        for kind in ("default", "chat", "transformations", "search", "ingestion", "sign_in", "bad_tokens")
    }
    return ServiceSettings(home=home, threads=2, static=True, request_seconds=60, streams_per_user=1_000, **rates)


@pytest.fixture(scope="session")
def serving(runtime: Runtime, loop: LoopThread, service_settings: ServiceSettings) -> Iterator[Serving]:
    """The service over HTTP, on the session's runtime."""
    from tests.serving import Serving

    with Serving(service_settings, runtime, loop) as running:
        yield running


@pytest.fixture(scope="session")
def service(serving: Serving) -> str:
    """The address of the service."""
    return serving.url


@pytest.fixture
def open_workspace(
    request: pytest.FixtureRequest, runtime: Runtime, loop: LoopThread, settings: Settings
) -> Callable[[str, Principal], Workspace]:
    """Make the workspace of a principal on a backend, by the backend's name."""
    from sbf_kernel.backends.local import LocalBackend
    from sbf_kernel.backends.remote import RemoteBackend
    from sbf_kernel.workspace import Workspace

    def remote(principal: Principal) -> RemoteBackend:
        backend = RemoteBackend(request.getfixturevalue("service"), request.getfixturevalue("new_token")(principal))
        request.addfinalizer(lambda: loop.run(backend.close()))
        return backend

    makers: dict[str, Callable[[Principal], Any]] = {
        "local": lambda principal: LocalBackend(runtime, principal),
        "remote": remote,
    }

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
def stranger(
    open_workspace: Callable[[str, Principal], Workspace], backend_name: str, new_user: Callable[[], Principal]
) -> Workspace:
    """Another tenant of the same deployment."""
    return open_workspace(backend_name, new_user())


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
