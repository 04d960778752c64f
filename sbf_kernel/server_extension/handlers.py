"""What every route has: the signed-in user, the workspace, problems as JSON, streams of records as lines."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

from jupyter_server.base.handlers import APIHandler
from tornado.iostream import StreamClosedError

from sbf_kernel.errors import BadRequest, NotSignedIn, SbfError

if TYPE_CHECKING:
    from sbf_kernel.server_extension.workspaces import Workspaces
    from sbf_kernel.workspace import Workspace

PROBLEM = "application/problem+json"
LINES = "application/x-ndjson"
BEAT_SECONDS = 15.0
"""A silent stream sends an empty line this often: proxies cut what looks dead."""
SERVICE_HEADER = "X-SBF-Service"
"""Names the service of the user's settings."""
SIGN_IN_HINT = (
    "set SBF_URL and SBF_TOKEN where the Jupyter server is started, and restart it; the browser holds no token"
)
"""Whoever looks at a page cannot sign in to a service: the Jupyter server does."""


class Handler(APIHandler):
    """Base of all routes. Errors are told as ``application/problem+json``: code, message, hint, details."""

    auth_resource = "sbf"

    def initialize(self, workspaces: Workspaces) -> None:
        """Take what all routes share."""
        self._workspaces = workspaces
        self._sending: asyncio.Task[None] | None = None

    async def workspace(self) -> Workspace:
        """Return the workspace this request is for, opened if need be."""
        return await self._workspaces.open(self.request.headers.get(SERVICE_HEADER, "").strip())

    def tell(self, error: SbfError) -> None:
        """Answer with an error."""
        self.set_status(error.status)
        self.finish(json.dumps(_told(error), default=str), set_content_type=PROBLEM)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with what nobody foresaw (the log has it whole), or what Jupyter itself refused."""
        reason = getattr((kwargs.get("exc_info") or (None, None))[1], "log_message", None)
        if status_code >= 500:
            error = SbfError("something unexpected went wrong", hint="the log of the Jupyter server has the details")
        else:
            error = BadRequest(reason or self._reason, hint="reload the page, which also signs you in again")
        self.finish(json.dumps({**error.as_dict(), "code": error.code}), set_content_type=PROBLEM)

    async def send(self, lines: AsyncIterator[bytes]) -> None:
        """Answer with lines as they come, each at once; stops their maker when the browser goes."""
        self._sending = asyncio.ensure_future(self._send(lines))
        await asyncio.wait([self._sending])
        if not self._sending.cancelled():
            self._sending.result()

    def on_connection_close(self) -> None:
        """Stop what is being sent to a browser that went."""
        if self._sending is not None:
            self._sending.cancel()

    async def _send(self, lines: AsyncIterator[bytes]) -> None:
        beating: asyncio.Task[None] | None = None
        try:
            async with aclosing(lines):  # type: ignore[type-var]
                async for line in lines:
                    if beating is None:  # what fails before the first line is answered with a status of its own
                        self.set_header("Content-Type", LINES)
                        self.set_header("Cache-Control", "no-store")
                        self.set_header("X-Accel-Buffering", "no")
                        beating = asyncio.ensure_future(self._beat())
                    self.write(line)
                    await self.flush()
            self.finish(b'{"end":true}\n', set_content_type=LINES)
        except SbfError as error:
            if beating is None:
                self.tell(error)
            else:
                self.finish(error_line(error), set_content_type=LINES)
        except StreamClosedError:
            pass  # nobody is there to be told
        finally:
            if beating is not None:
                beating.cancel()

    async def _beat(self) -> None:
        with suppress(StreamClosedError):
            while True:
                await asyncio.sleep(BEAT_SECONDS)
                self.write(b"\n")
                await self.flush()


def record_line(record: Any, **more: str) -> bytes:
    """Return a record as a line: its kind, its fields, and what else belongs to it."""
    head = json.dumps({"record": type(record).__name__, **more})
    return f'{head[:-1]}, "value": {record.model_dump_json()}}}\n'.encode()


def error_line(error: SbfError, **more: str) -> bytes:
    """Return an error as a line."""
    return (json.dumps({"error": _told(error), **more}, default=str) + "\n").encode()


def _told(error: SbfError) -> dict[str, Any]:
    return error.as_dict() | ({"hint": SIGN_IN_HINT} if isinstance(error, NotSignedIn) else {})
