"""A language model that says one time stamp after another, at a steady rate: ``python -m benchmarks.talking_model``.

Speaks OpenAI's chat completions, streamed, to any number at once. Prints its
URL. Each word is ``number:seconds;`` on the monotonic clock, which all
processes of a machine share.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def event(content: str | None = None, finish: str | None = None) -> bytes:
    """Return one piece of an answer."""
    delta = {"role": "assistant", "content": content} if content is not None else {}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    data = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "talking", "choices": [choice]}
    return f"data: {json.dumps(data)}\n\n".encode()


class Talking:
    """Answers every request with ``words`` words, ``rate`` of them per second."""

    def __init__(self, words: int, rate: float) -> None:
        self._words, self._rate = words, rate

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read a request and talk."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            await reader.readexactly(int(length[1]) if length else 0)
            writer.write(_HEAD)
            began = time.monotonic()
            for number in range(self._words):
                if writer.is_closing():
                    return
                await asyncio.sleep(began + number / self._rate - time.monotonic())
                writer.write(event(f" {number}:{time.monotonic():.4f};"))
            writer.write(event(finish="stop") + b"data: [DONE]\n\n")
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def main(words: str, rate: str) -> None:
    """Serve until killed."""
    server = await asyncio.start_server(Talking(int(words), float(rate)).answer, "127.0.0.1", 0, backlog=1_000)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
