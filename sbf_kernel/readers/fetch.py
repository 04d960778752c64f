"""Fetch a source from the web: the only module of SBF that opens sockets to addresses users name.

Whoever adds a URL chooses where this process connects. So the decision is made
at the socket, on the address that is connected to, for every redirect: a
check made earlier, on text, is undone by the next redirect, the next DNS
answer or another parser (see ``docs/adr/0004-guarded-fetch.md``).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import ssl
import unicodedata
import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from email.message import Message
from functools import lru_cache
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from sbf_kernel.errors import FetchError, SourceTooLarge
from sbf_kernel.readers.fetch_guard import Guard, parse, printable, refuse, shown

_HEADERS = {
    "User-Agent": "Mozilla/5.0 (compatible; SecondBrainFoundation)",
    "Accept": "*/*",
    "Accept-Language": "en;q=0.8, *;q=0.5",
    "Accept-Encoding": "gzip, deflate",  # what zlib decodes with a bound on its output
}
_MEMBERS = 1_000  # gzip members decoded of one answer; a million empty ones are a bomb of CPU time
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What one fetch may cost, all redirects together."""

    seconds: float = 30
    wire_bytes: int = 20 << 20
    decoded_bytes: int = 50 << 20
    redirects: int = 5


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a URL answered."""

    url: str
    """Where it finally came from."""
    content: bytes
    media_type: str | None
    """``type/subtype`` in lower case, as the server said."""
    filename: str
    """A safe name: no directories, never empty."""
    etag: str | None = None
    last_modified: str | None = None
    charset: str | None = None


async def fetch(url: str, *, allow_private: bool = False, limits: FetchLimits | None = None) -> Fetched:
    """Return what ``url`` answers.

    Parameters
    ----------
    url
        ``http`` or ``https`` on port 80 or 443, without user name or password.
    allow_private
        Also go to private networks, this machine and any port there. Only for
        people who run SBF for themselves; metadata services stay closed.
    limits
        Time, bytes and redirects.

    Raises
    ------
    FetchRefused
        The URL, a redirect or an address of the host is not public.
    FetchError
        The network or the server failed; the message says how.
    SourceTooLarge
        More bytes than the limits allow, compressed or not.
    """
    return await Fetcher(Guard(allow_private=allow_private), limits).get(url)


async def fetch_json(
    url: str, *, body: Any = None, headers: Mapping[str, str] | None = None, fetcher: Fetcher | None = None
) -> Any:
    """GET, or POST ``body`` as, JSON and return the JSON answer, under the rules of :func:`fetch`."""
    answer = await (fetcher or Fetcher()).get(url, body=body, headers=headers)
    try:
        return json.loads(answer.content)
    except (ValueError, RecursionError) as error:
        raise FetchError(f"{shown(answer.url)} did not answer with JSON", hint="try again later") from error


class _Resolver(AbstractResolver):
    """Resolves once per connection and passes on only checked answers: one bad answer spoils all."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        addresses = await self._guard.lookup(host, port)
        for address in addresses:
            self._guard.check(address, port, host)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                proto=socket.IPPROTO_TCP,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing to close."""


class Fetcher:
    """A guard and limits, ready to fetch. :func:`fetch` is the usual way in."""

    def __init__(self, guard: Guard | None = None, limits: FetchLimits | None = None) -> None:
        self._guard = guard or Guard()
        self._limits = limits or FetchLimits()

    async def get(self, url: str, *, body: Any = None, headers: Mapping[str, str] | None = None) -> Fetched:
        """GET, or POST ``body`` as JSON when there is one. ``headers`` go to the first host only."""
        place = parse(url)
        try:
            async with asyncio.timeout(self._limits.seconds), self._session() as session:
                return await self._follow(session, place, body, dict(headers or {}))
        except TimeoutError:
            raise FetchError(
                f"{shown(url)} took longer than {self._limits.seconds:g} s",
                hint="try again later, or download the file and add it from disk",
            ) from None
        except (aiohttp.ClientError, OSError, ValueError, zlib.error) as error:
            raise _explained(url, error) from error

    def _session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            resolver=_Resolver(self._guard),
            socket_factory=self._socket,
            ssl=_tls(),
            use_dns_cache=False,
            force_close=True,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            headers=_HEADERS,
            timeout=aiohttp.ClientTimeout(total=self._limits.seconds),
        )

    def _socket(self, target: Any) -> socket.socket:
        """Create the socket for one address, after the last and decisive check."""
        family, kind, protocol, _, where = target
        self._guard.check(str(where[0]), int(where[1]), str(where[0]))
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made

    async def _follow(self, session: aiohttp.ClientSession, url: URL, body: Any, headers: dict[str, str]) -> Fetched:
        method, first = "GET" if body is None else "POST", None
        for _ in range(self._limits.redirects + 1):
            self._guard.check_url(url)
            first = first or url.origin()
            own = headers if url.origin() == first else {}
            async with session.request(method, url, json=body, headers=own, allow_redirects=False) as response:
                if response.status not in _REDIRECTS or "Location" not in response.headers:
                    return await self._read(response, url)
                if method == "POST":
                    raise FetchError(f"{shown(url)} redirected a request that may not be repeated", hint="")
                target = parse(response.headers["Location"])
                if target.scheme and not target.raw_host:  # joining would silently keep the old host
                    refuse(target, "it names no host", "host")
                url = url.join(target)
        raise FetchError(
            f"{shown(url)} redirects more than {self._limits.redirects} times",
            hint="open it in a browser and use the address it ends at",
        )

    async def _read(self, response: aiohttp.ClientResponse, url: URL) -> Fetched:
        if response.status >= 300:
            raise FetchError(
                f"{shown(url)} answered {response.status} {printable(response.reason or '')}".rstrip(),
                hint=_status_hint(response.status),
                status=response.status,
            )
        if (response.content_length or 0) > self._limits.wire_bytes:
            raise self._too_large(url)
        encoding = response.headers.get("Content-Encoding", "").strip().lower()
        content = bytearray()
        async for part in _decoded(self._wire(response, url), encoding, url):
            content += part
            if len(content) > self._limits.decoded_bytes:
                raise self._too_large(url)
        kind = _content_type(response.headers.get("Content-Type", ""))
        return Fetched(
            str(url),
            bytes(content),
            kind[0],
            _filename(url, response.headers.get("Content-Disposition", "")),
            _ascii(response.headers.get("ETag")),
            _ascii(response.headers.get("Last-Modified")),
            kind[1],
        )

    async def _wire(self, response: aiohttp.ClientResponse, url: URL) -> AsyncIterator[bytes]:
        received = 0
        async for chunk in response.content.iter_chunked(1 << 16):
            received += len(chunk)
            if received > self._limits.wire_bytes:
                raise self._too_large(url)
            yield chunk

    def _too_large(self, url: URL) -> SourceTooLarge:
        wire, decoded = self._limits.wire_bytes >> 20, self._limits.decoded_bytes >> 20
        return SourceTooLarge(
            f"{shown(url)} is larger than {wire} MB, or {decoded} MB unpacked",
            hint="download the file and add it from disk",
        )


async def _decoded(chunks: AsyncIterator[bytes], encoding: str, url: URL) -> AsyncIterator[bytes]:
    """Undo gzip or deflate, at most 1 MiB at a time, so that the caller can stop a bomb."""
    if encoding in ("", "identity"):
        async for chunk in chunks:
            yield chunk
        return
    if encoding not in ("gzip", "x-gzip", "deflate"):  # br, zstd, layers: not asked for
        raise FetchError(
            f"{shown(url)} sent the encoding {encoding[:40]!r}, which was not asked for",
            hint="download the file and add it from disk",
        )
    unpacker: Any = None
    members = 0
    async for chunk in chunks:
        while chunk:
            if unpacker is None:
                if members and (encoding == "deflate" or chunk[0] != 0x1F or members == _MEMBERS):
                    return  # padding after the end, ignored as gzip itself does
                # Some servers send "deflate" without the zlib header, whose first byte ends in 8.
                raw = encoding == "deflate" and chunk[0] & 0x0F != 8
                unpacker, members = zlib.decompressobj(-zlib.MAX_WBITS if raw else zlib.MAX_WBITS | 32), members + 1
            yield unpacker.decompress(chunk, 1 << 20)
            chunk = unpacker.unconsumed_tail
            if unpacker.eof:
                chunk, unpacker = unpacker.unused_data, None
    if unpacker is not None:
        raise FetchError(f"{shown(url)} sent an incomplete answer", hint="try again")


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Trust what the system trusts and, because some Pythons come without any, certifi's list."""
    context = ssl.create_default_context()
    with contextlib.suppress(ImportError):
        import certifi

        context.load_verify_locations(certifi.where())
    return context


def _status_hint(status: int) -> str:
    if status in (401, 402, 403, 407, 451):
        return "it needs a login or refuses programs: download the file and add it from disk"
    if status in (404, 410):
        return "check the address"
    return "wait a while and try again" if status == 429 or status >= 500 else "check the address and try again"


def _explained(url: str, error: Exception) -> FetchError:
    """Say in words what the network did."""
    place = shown(url)
    if isinstance(error, aiohttp.ClientConnectorDNSError | socket.gaierror):
        return FetchError(f"the host of {place} is not known", hint="check the address and your connection")
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError | ssl.SSLError):
        return FetchError(f"{place} has no valid TLS certificate", hint="open it in a browser to see why")
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ClientOSError | OSError):
        why = getattr(error, "strerror", None) or type(error).__name__
        return FetchError(f"{place} cannot be reached: {why}", hint="check the address and your connection")
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError | zlib.error):
        return FetchError(f"{place} sent an incomplete or damaged answer", hint="try again")
    return FetchError(f"{place} could not be fetched: {type(error).__name__}")


def _content_type(header: str) -> tuple[str | None, str | None]:
    kind, _, rest = header.partition(";")
    kind = kind.strip().lower()
    charset = re.search(r"charset\s*=\s*[\"']?([\w.:-]{1,40})", rest, re.IGNORECASE)
    valid = re.fullmatch(r"[\w.+-]{1,60}/[\w.+-]{1,100}", kind)
    return kind if valid else None, charset[1].lower() if charset else None


def _ascii(header: str | None) -> str | None:
    return header if header and header.isascii() and header.isprintable() else None


def _filename(url: URL, disposition: str) -> str:
    """Return the server's name for the file, else the last part of the path, else the host."""
    given = None
    if disposition:
        message = Message()
        with contextlib.suppress(ValueError, LookupError):
            message["Content-Disposition"] = re.sub(r"[\r\n]", " ", disposition)
            given = message.get_filename()
    for name in (given, url.name, url.host):
        name = unicodedata.normalize("NFC", re.split(r"[/\\]", name or "")[-1])
        name = "".join(sign for sign in name if unicodedata.category(sign)[0] != "C").strip(" .")
        if name:
            return name[-150:]
    return "source"
