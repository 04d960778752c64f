"""Response headers that tell a browser to trust nothing, and which pages of other origins may call us.

Values follow the OWASP Secure Headers Project and ASVS 5.0, chapter 3.4.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.middleware.cors import CORSMiddleware

from sbf_kernel.errors import InvalidInput

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from sbf_api.settings import ServiceSettings

Header = tuple[bytes, bytes]

API_POLICY = b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'"
HSTS: Header = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")
FIXED: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-embedder-policy", b"require-corp"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
"""On every response, whatever a route says."""
NOT_KEPT: Header = (b"cache-control", b"private, no-store")
KEPT: Header = (b"cache-control", b"private, no-cache")
"""What has an ETag, the client may keep, and asks each time whether it is still good."""

_ORIGIN = re.compile(r"(https?)://(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(?::([0-9]{1,5}))?")
_OWN_PORTS = {("http", "80"), ("https", "443")}


class SecurityHeaders:
    """ASGI middleware: the headers above on all responses, also those of errors and streams. Goes outermost."""

    def __init__(self, app: ASGIApp, settings: ServiceSettings) -> None:
        self.app = app
        self._fixed = (*FIXED, HSTS) if settings.https else FIXED
        self._names = frozenset(name for name, _ in self._fixed)
        # A response depends on who asks, and for other origins on where they ask from.
        self._vary = ("Authorization", "Origin") if settings.cors_origins else ("Authorization",)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def adding(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = self._complete(message.get("headers", ()))
            await send(message)

        await self.app(scope, receive, adding)

    def _complete(self, given: list[Header]) -> list[Header]:
        kept: list[Header] = []
        names, vary = set(), list(self._vary)
        for name, value in given:
            lower = name.lower()
            names.add(lower)
            if lower == b"vary":
                vary += [
                    word for part in value.decode("latin-1").split(",") if (word := part.strip()) not in self._vary
                ]
            elif lower not in self._names:
                kept.append((name, value))
        kept += self._fixed
        if b"content-security-policy" not in names:
            kept.append((b"content-security-policy", API_POLICY))
        if b"cache-control" not in names:
            kept.append(KEPT if b"etag" in names else NOT_KEPT)
        kept.append((b"vary", ", ".join(vary).encode("latin-1")))
        return kept


class ExactCors:
    """ASGI middleware: pages of exactly the origins in ``settings.cors_origins`` may call the service.

    Origins are compared as whole strings, as browsers send them. Cookies are
    never asked for: the service knows bearer tokens only.

    Raises
    ------
    InvalidInput
        An origin is not of the form a browser sends (``*`` and ``null`` never are).
    """

    def __init__(self, app: ASGIApp, settings: ServiceSettings) -> None:
        for origin in settings.cors_origins:
            form = _ORIGIN.fullmatch(origin)
            if form is None or form.groups() in _OWN_PORTS:
                raise InvalidInput(
                    f"SBF_CORS_ORIGINS: {origin!r} is not an origin as browsers send it",
                    hint="write scheme://host[:port] in lower case, without path, end slash or the scheme's own port",
                )
        self.app = app
        if settings.cors_origins:
            self.app = CORSMiddleware(
                app,
                allow_origins=frozenset(settings.cors_origins),
                allow_methods=("GET", "POST", "PUT", "PATCH", "DELETE"),
                allow_headers=(
                    "Authorization", "If-None-Match", "Idempotency-Key", "Last-Event-ID", "X-Request-ID",
                ),
                expose_headers=(
                    "ETag", "Location", "Retry-After", "X-Cache", "X-Request-ID",
                    "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset",
                ),
                max_age=600,
            )  # fmt: skip

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        await self.app(scope, receive, send)
