"""``sbf serve`` as a process: alone on a machine it does all the work, and goes on with it after a crash."""

from __future__ import annotations

import http.client
import json
import signal
import time
import urllib.request
from base64 import b64encode
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from benchmarks.live import live
from tests.conftest import until

if TYPE_CHECKING:
    from benchmarks.live import Live

SOURCES = 40


def ask(target: Live, path: str, body: dict[str, Any] | None = None) -> Any:
    request = urllib.request.Request(
        target.url + path,
        None if body is None else json.dumps(body).encode(),
        {**target.headers, "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def test_a_service_that_was_killed_goes_on_with_all_it_had_taken_in() -> None:
    with live(embedder="none") as target:
        notebook = ask(target, "/notebooks", {"name": "Stones"})["id"]
        for number in range(SOURCES):
            content = b64encode(f"Stone {number} is made of granite. ".encode() * 50).decode()
            source = {"name": f"s{number}", "origin": f"text:{number}", "content": content}
            ask(target, f"/notebooks/{notebook}/sources", source)
        target.process.send_signal(signal.SIGKILL)
        target.process.wait()
        target.start()
        until(lambda: ask(target, "/sources?status=ready&limit=1")["total"] == SOURCES, 60)
        found = ask(target, "/search", {"query": "granite", "limit": 100})
        assert found["searched_chunks"] > 0
        assert ask(target, "/jobs?status=dead")["total"] == 0


def watch(target: Live, ids: list[str]) -> http.client.HTTPResponse:
    """Open a stream, and read its first line."""
    connection = http.client.HTTPConnection(urlsplit(target.url).netloc, timeout=40)
    headers = {
        **target.headers,
        "Content-Type": "application/json",
        "Connection": "close",
    }  # the response has the socket
    connection.request("POST", "/sources/events", json.dumps({"source_ids": ids}), headers)
    response = connection.getresponse()
    assert response.readline() == b"event: Source\n"
    return response


@pytest.mark.parametrize("workers", [1, 2])
def test_a_service_that_is_told_to_stop_ends_its_streams_and_begins_no_more_work(workers: int) -> None:
    words = " ".join(f"word{number % 997}" for number in range(200))
    with live("--workers", str(workers), embedder="none") as target:
        notebook = ask(target, "/notebooks", {"name": "Stones"})["id"]
        ids = []
        for number in range(12):
            content = b64encode("\n\n".join(f"{number} {part} {words}" for part in range(600)).encode()).decode()
            source = {"name": f"s{number}", "origin": f"text:{number}", "content": content}
            ids.append(ask(target, f"/notebooks/{notebook}/sources", source)["id"])
        streams = [watch(target, ids) for _ in range(3)]
        began = time.monotonic()
        target.process.send_signal(signal.SIGTERM)
        target.process.wait(30)
        assert time.monotonic() - began < 15
        for stream in streams:
            *_, last = stream.read().decode().strip().split("\n\n")
            assert last.startswith("event: error\nretry: 2000\n")
        log = (target.home / "serve.log").read_text(encoding="utf-8")
        assert "Traceback" not in log
        assert "Exception in ASGI" not in log
        events = [json.loads(line)["event"] for line in log.splitlines() if line.startswith("{")]
        told = events.index("Shutting down")
        assert [event for event in events[:told] if event.endswith("begins")], "no work was under way"
        assert len([event for event in events[told:] if event.endswith("begins")]) <= 1  # was being taken just then
