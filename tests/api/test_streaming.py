"""Streams over HTTP: token by token, alive while silent, ended on both sides when either goes."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from sbf_kernel.errors import ModelError, NotFound, NotSignedIn, TooManyRequests
from sbf_kernel.records import Message, MessageDelta
from sbf_kernel.storage import accounts
from tests.conftest import until
from tests.integration.model_server import Provider, begin, event, refuse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.server import BaseHTTPRequestHandler

    from sbf_kernel.backends.loop import LoopThread
    from sbf_kernel.records import Principal
    from sbf_kernel.runtime import Runtime
    from sbf_kernel.workspace import NotebookHandle, Workspace
    from tests.api.conftest import Client
    from tests.serving import Serving

pytest.importorskip("pydantic_ai")
MODEL = "openai:fake-1"
QUESTION = "How do whales breathe?"


class Slow:
    """A provider that writes a word only when it is told to."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.turn = threading.Semaphore(0)
        self.written = 0
        provider.script = self._write

    def _write(self, h: BaseHTTPRequestHandler, number: int) -> None:
        begin(h)
        for word in ("Whales ", "breathe ", "air ", "[1]."):
            while not self.turn.acquire(timeout=0.05):
                h.wfile.write(b": waiting\n\n")  # notices when the other side has gone
                h.wfile.flush()
            event(h, delta={"role": "assistant", "content": word})
            self.written += 1
        event(h, finish_reason="stop")
        h.wfile.write(b"data: [DONE]\n\n")


@pytest.fixture
def provider(runtime: Runtime) -> Iterator[Provider]:
    running, before = Provider(), runtime.settings
    runtime.settings = before.model_copy(update={"model_base_url": running.url})
    yield running
    runtime.settings = before
    running.close()


@pytest.fixture
def slow(provider: Provider) -> Slow:
    return Slow(provider)


@pytest.fixture
def library(remote: Workspace) -> NotebookHandle:
    notebook = remote.notebooks.create("Sea")
    notebook.add_text("Whales are mammals. Whales breathe air through a blowhole.", "whales")
    return notebook


def test_an_answer_arrives_word_by_word_while_the_model_still_writes(library: NotebookHandle, slow: Slow) -> None:
    """Fails when anything on the way buffers: the model writes the next word only after the last one has arrived."""
    stream = library.ask_stream(QUESTION, model=MODEL)
    text = ""
    for expected in ("Whales", "breathe", "air"):
        slow.turn.release()
        while not text.rstrip().endswith(expected):
            piece = next(stream)
            text += piece.text
        assert slow.written <= len(text.split())
    slow.turn.release()
    *_, answer = stream
    assert answer.text == "Whales breathe air [1]."
    assert [c.status for c in answer.citations] == ["verified"]


def test_a_chat_message_arrives_word_by_word(library: NotebookHandle, slow: Slow) -> None:
    stream = library.chat(model=MODEL).stream(QUESTION)
    for _ in range(2):
        slow.turn.release()
    pieces: list[Any] = []
    while "breathe" not in "".join(piece.text for piece in pieces):
        pieces.append(next(stream))
    assert slow.written == 2
    for _ in range(2):
        slow.turn.release()
    *_, message = stream
    assert isinstance(message, Message)
    assert message.status == "done"


def test_the_model_is_let_go_when_the_client_goes(library: NotebookHandle, slow: Slow, remote: Workspace) -> None:
    stream = library.ask_stream(QUESTION, model=MODEL)
    slow.turn.release()
    next(stream)
    assert slow.provider.open == 1
    stream.close()  # type: ignore[attr-defined]
    left = time.monotonic()
    until(lambda: slow.provider.open == 0, 10)
    assert slow.provider.closed_early.is_set()
    assert time.monotonic() - left < 5
    assert remote.answers.list().total == 0


def test_who_is_suspended_reads_no_further(
    library: NotebookHandle, slow: Slow, runtime: Runtime, loop: LoopThread, principal: Principal
) -> None:
    async def suspend() -> None:
        async with runtime.db.accounts() as connection:
            await accounts.change(connection, UUID(principal.user_id), status="suspended")

    stream = library.ask_stream(QUESTION, model=MODEL)
    slow.turn.release()
    next(stream)
    loop.run(suspend())
    began = time.monotonic()
    with pytest.raises(NotSignedIn):
        list(stream)
    assert time.monotonic() - began < 5
    until(lambda: slow.provider.open == 0, 10)


def test_a_message_goes_on_from_where_it_was_lost(library: NotebookHandle, slow: Slow) -> None:
    chat = library.chat(model=MODEL)
    for _ in range(4):
        slow.turn.release()
    whole = chat.send(QUESTION)
    for after in range(len(whole.text) + 1):
        pieces = list(chat.follow(whole, after))
        assert "".join(p.text for p in pieces if isinstance(p, MessageDelta)) == whole.text[after:]
        assert isinstance(pieces[-1], Message)


def test_last_event_id_says_where_to_go_on(library: NotebookHandle, slow: Slow, call: Client) -> None:
    chat = library.chat(model=MODEL)
    for _ in range(4):
        slow.turn.release()
    whole = chat.send(QUESTION)
    found = call("GET", f"/chats/{chat.id}/messages/{whole.id}/events", Last_Event_ID=f"{whole.id}:7")
    assert found.status == 200
    first = found.body.decode().partition("\n\n")[0]
    assert '"start":7' in first
    assert f"id: {whole.id}:{len(whole.text)}" in found.body.decode()


def test_the_same_key_says_it_once(library: NotebookHandle, slow: Slow, call: Client) -> None:
    chat = library.chat(model=MODEL)
    slow.turn.release(4)
    first, second = (
        call("POST", f"/chats/{chat.id}/messages", {"text": QUESTION}, Idempotency_Key="once") for _ in range(2)
    )
    assert (first.status, second.status) == (200, 200)
    assert first.body.decode().partition("event: Message\n")[2] == second.body.decode().partition("event: Message\n")[2]
    assert chat.messages().total == 2
    assert len(slow.provider.requests) == 1
    other = call("POST", f"/chats/{chat.id}/messages", {"text": "Another?"}, Idempotency_Key="once")
    assert (other.status, other.json["code"]) == (409, "conflict")


def test_the_same_key_says_it_once_also_before_the_first_word(
    library: NotebookHandle, slow: Slow, call: Client
) -> None:
    chat = library.chat(model=MODEL)

    def said() -> Any:
        return call("POST", f"/chats/{chat.id}/messages", {"text": QUESTION}, Idempotency_Key="early")

    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(said) for _ in range(4)]
        until(lambda: len(slow.provider.requests) == 1)
        slow.turn.release(4)
        replies = [each.result() for each in waiting]
    assert {reply.status for reply in replies} == {200}
    assert len({reply.body.decode().partition("event: Message\n")[2] for reply in replies}) == 1
    assert (chat.messages().total, len(slow.provider.requests)) == (2, 1)


def test_what_fails_at_once_is_a_status_and_what_fails_later_an_event(
    library: NotebookHandle, provider: Provider, call: Client, remote: Workspace
) -> None:
    missing = call("POST", "/ask", {"question": "x?", "notebook_ids": ["0d1c5a1e-93b1-4f0a-8f43-6c3b8a6f2e01"]})
    assert (missing.status, missing.json["code"]) == (404, "not_found")
    with pytest.raises(NotFound):
        list(remote.ask_stream("x?", notebook_ids=("0d1c5a1e-93b1-4f0a-8f43-6c3b8a6f2e01",)))

    def half(h: BaseHTTPRequestHandler, number: int) -> None:
        begin(h)
        event(h, delta={"role": "assistant", "content": "Whales breathe "})
        time.sleep(1.5)
        h.wfile.write(b"data: {broken\n\n")

    provider.script = half
    seen: list[Any] = []
    with pytest.raises(ModelError) as caught:
        seen.extend(library.ask_stream(QUESTION, model=MODEL))
    assert caught.value.details["partial"].startswith("Whales")
    provider.script = lambda h, n: refuse(h, 400)
    with pytest.raises(ModelError):
        list(library.ask_stream(QUESTION, model=MODEL))


def test_a_silent_stream_shows_that_it_lives(
    library: NotebookHandle, slow: Slow, call: Client, service_settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(service_settings.__dict__, "heartbeat_seconds", 0.05)
    threading.Timer(2.0, lambda: [slow.turn.release() for _ in range(4)]).start()
    found = call("POST", "/ask", {"question": QUESTION, "model": MODEL, "notebook_ids": [str(library.id)]})
    lines = found.body.decode().split("\n\n")
    assert lines.count(": still here") >= 3
    assert lines[-2].startswith("event: end")
    assert found.headers["content-type"].startswith("text/event-stream")


def test_streams_at_once_are_counted_and_a_stream_that_ended_makes_room(
    serving: Serving, library: NotebookHandle, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def write(h: BaseHTTPRequestHandler, number: int) -> None:
        begin(h)
        event(h, delta={"role": "assistant", "content": "Whales "})
        go_on.wait(10)
        event(h, finish_reason="stop")
        h.wfile.write(b"data: [DONE]\n\n")

    provider.script = write
    streams = serving.app.state.service.streams
    monkeypatch.setattr(streams, "_limit", 2)
    open_ones = [library.ask_stream(QUESTION, model=MODEL) for _ in range(2)]
    for stream in open_ones:
        next(stream)
    with pytest.raises(TooManyRequests, match="streams"):
        next(library.ask_stream(QUESTION, model=MODEL))
    go_on.set()
    assert all(list(stream) for stream in open_ones)
    until(lambda: streams.count == 0, 10)
    assert list(library.ask_stream(QUESTION, model=MODEL))


def test_a_client_that_breaks_off_in_the_middle_of_a_request_leaves_nothing_behind(
    service: str, remote: Workspace
) -> None:
    place = urlsplit(service)
    for cut in (b"POST /ask HTT", b'POST /notebooks HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{"na'):
        with socket.create_connection((place.hostname, place.port)) as connection:
            connection.sendall(cut)
    assert remote.notebooks.list().total == 0
