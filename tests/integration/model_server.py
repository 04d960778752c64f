"""A real HTTP server that speaks the protocol of OpenAI's chat completions, well and badly, as a script says."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Provider:
    """A scripted endpoint; ``script`` writes the response of request number n."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.closed_early = threading.Event()
        self.open = 0
        """Requests that are being answered."""
        self.script: Callable[[BaseHTTPRequestHandler, int], None] = lambda h, n: say(h, "Hello", " world")
        self._lock = threading.Lock()
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                provider.requests.append(json.loads(body) | {"path": self.path})
                provider.headers.append(dict(self.headers))
                self.close_connection = True
                provider.count(1)
                try:
                    provider.script(self, len(provider.requests))
                except (BrokenPipeError, ConnectionResetError):
                    provider.closed_early.set()
                finally:
                    provider.count(-1)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"

    def count(self, step: int) -> None:
        with self._lock:
            self.open += step

    def prompts(self, number: int = -1) -> tuple[str, str]:
        """The system prompt and the prompt of one request."""
        system, prompt = (message["content"] for message in self.requests[number]["messages"])
        return system, prompt

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def begin(h: BaseHTTPRequestHandler) -> None:
    h.send_response(200)
    h.send_header("Content-Type", "text/event-stream")
    h.send_header("Connection", "close")
    h.end_headers()


def event(h: BaseHTTPRequestHandler, **delta: Any) -> None:
    choice = {"index": 0, "delta": delta.pop("delta", {}), "finish_reason": delta.pop("finish_reason", None)}
    data = {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "fake-1",
        "choices": delta.pop("choices", [choice]),
        **delta,
    }
    h.wfile.write(f"data: {json.dumps(data)}\n\n".encode())
    h.wfile.flush()


def say(h: BaseHTTPRequestHandler, *words: str, pause: float = 0.0, finish: str | None = "stop") -> None:
    begin(h)
    for word in words:
        event(h, delta={"role": "assistant", "content": word})
        time.sleep(pause)
    if finish:
        event(h, finish_reason=finish)
        event(h, choices=[], usage={"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14})
        h.wfile.write(b"data: [DONE]\n\n")


def refuse(h: BaseHTTPRequestHandler, status: int, message: str = "no", **headers: str) -> None:
    body = json.dumps({"error": {"message": message, "type": "x", "code": "y"}}).encode()
    h.send_response(status)
    h.send_header("Content-Type", "application/json")
    h.send_header("Content-Length", str(len(body)))
    for name, value in headers.items():
        h.send_header(name.replace("_", "-"), value)
    h.end_headers()
    h.wfile.write(body)
