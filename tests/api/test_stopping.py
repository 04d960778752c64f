"""A service that is told to stop: open streams end at once, whole, and go on where the next one starts."""

from __future__ import annotations

import http.client
import json
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from sbf_kernel.backends.remote import RemoteBackend
from sbf_kernel.errors import StoreBusy
from sbf_kernel.operations import AddSource, WatchSources
from sbf_kernel.records import Source
from tests.conftest import until
from tests.serving import Serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sbf_api.settings import ServiceSettings
    from sbf_kernel.backends.loop import LoopThread
    from sbf_kernel.records import Principal
    from sbf_kernel.runtime import Runtime
    from sbf_kernel.workspace import Workspace
    from tests.conftest import CountingEmbedder


@pytest.fixture
def waiting(
    open_workspace: Callable[[str, Principal], Workspace], principal: Principal, embedder: CountingEmbedder
) -> Iterator[Source]:
    """A source that is not ready until ``embedder`` may go on."""
    embedder.allowed = 0
    workspace = open_workspace("local", principal)
    notebook = workspace.notebooks.create("Sea")
    source = AddSource(notebook_id=notebook.id, name="whales", origin="whales", content=b"Whales breathe air.")
    yield workspace.call(source)
    embedder.allowed = float("inf")


@pytest.fixture
def serve(service_settings: ServiceSettings, runtime: Runtime, loop: LoopThread) -> Callable[..., Serving]:
    return lambda port=0: Serving(service_settings, runtime, loop, port)


@pytest.fixture
def token(new_token: Callable[[Principal], str], principal: Principal) -> str:
    return new_token(principal)


def test_an_open_stream_ends_at_once_and_says_when_to_come_again(
    serve: Callable[..., Serving], token: str, waiting: Source, caplog: pytest.LogCaptureFixture
) -> None:
    with serve() as stopping:
        connection = http.client.HTTPConnection(urlsplit(stopping.url).netloc, timeout=30)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request("POST", "/sources/events", json.dumps({"source_ids": [str(waiting.id)]}), headers)
        response = connection.getresponse()
        assert response.readline() == b"event: Source\n"
        began = time.monotonic()
    assert time.monotonic() - began < 3
    *_, last = response.read().decode().strip().split("\n\n")  # cut off, it would raise IncompleteRead
    connection.close()
    fields = dict(line.split(": ", 1) for line in last.split("\n"))
    assert (fields["event"], fields["retry"]) == ("error", "2000")
    problem = json.loads(fields["data"])
    assert (problem["status"], problem["code"]) == (503, "store_busy")
    assert "stopping" in problem["detail"]
    assert "Exception in ASGI" not in caplog.text


def test_a_client_that_watches_comes_again_and_one_that_asks_is_told(
    serve: Callable[..., Serving], loop: LoopThread, token: str, waiting: Source, embedder: CountingEmbedder
) -> None:
    with serve() as first:
        backend = RemoteBackend(first.url, token)
        seen: list[Any] = []

        async def watch() -> None:
            seen.extend([source async for source in backend.stream(WatchSources(source_ids=(waiting.id,)))])

        watching = threading.Thread(target=lambda: loop.run(watch()))
        watching.start()
        until(lambda: first.app.state.service.streams.count == 1, 10)
    with serve(urlsplit(first.url).port):
        embedder.allowed = float("inf")
        watching.join(20)
        loop.run(backend.close())
    assert seen
    assert seen[-1].status == "ready"


def test_a_stream_that_cannot_go_on_is_an_error_of_the_client(
    serve: Callable[..., Serving], loop: LoopThread, token: str, waiting: Source
) -> None:
    with serve() as only:
        backend = RemoteBackend(only.url, token)

        async def begin() -> Any:
            stream = backend._events(WatchSources(source_ids=(waiting.id,)))
            await anext(stream)
            return stream

        stream = loop.run(begin())
    with pytest.raises(StoreBusy, match="stopping"):
        loop.run(anext(stream))
    loop.run(backend.close())
