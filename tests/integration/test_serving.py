"""``sbf serve`` as a process: alone on a machine it does all the work, and goes on with it after a crash."""

from __future__ import annotations

import json
import signal
import urllib.request
from base64 import b64encode
from typing import TYPE_CHECKING, Any

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
