"""A service to call: who asks it, by a real client over a real socket."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sbf_kernel.records import Principal
    from sbf_kernel.workspace import Workspace


class Answered:
    """A response, read whole."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Sends what it is told to, byte for byte, with the token of one user."""

    def __init__(self, url: str, token: str | None) -> None:
        self.url, self.token = url, token

    def __call__(
        self, method: str, path: str, body: Any = None, *, raw: bytes | None = None, **headers: str
    ) -> Answered:
        """Send a request; ``body`` as JSON, or ``raw`` as it is."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token is not None:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        if body is not None:
            raw = json.dumps(body).encode()
        if raw is not None:
            sent.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        try:
            connection.request(method, path, body=raw, headers=sent)
            return Answered(connection.getresponse())
        finally:
            connection.close()


@pytest.fixture
def call(service: str, new_token: Callable[[Principal], str], principal: Principal) -> Client:
    """Call the service as ``principal``."""
    return Client(service, new_token(principal))


@pytest.fixture
def anonymous(service: str) -> Client:
    """Call the service without a token."""
    return Client(service, None)


@pytest.fixture
def remote(open_workspace: Callable[[str, Principal], Workspace], principal: Principal) -> Iterator[Workspace]:
    """The workspace of ``principal`` over HTTP."""
    return open_workspace("remote", principal)
