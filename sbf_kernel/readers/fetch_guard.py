"""Where a fetch may go: rules for URLs and for addresses. Opens nothing itself."""

from __future__ import annotations

import asyncio
import re
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, NoReturn

from yarl import URL

from sbf_kernel.errors import FetchRefused

Address = IPv4Address | IPv6Address

_PORTS = frozenset({80, 443})
# Closed whatever the standard library says: its lists differ between versions (3.11 calls 192.0.0.192, where
# Oracle's metadata service lives, global). After them 6to4 relays (RFC 7526), Azure's wire server (a registered
# address that serves credentials), and metadata services inside ranges that allow_private opens: Alibaba, AWS, Google.
_NEVER = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",
            "169.254.0.0/16",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/3",
            "192.88.99.0/24",
            "168.63.129.16/32",
            "100.100.100.200/32",
            "fd00:ec2::/32",
            "fd20:ce::/32",
        ),
    )
)
_PRIVATE = tuple(
    map(
        ip_network,
        (
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "127.0.0.0/8",
            "100.64.0.0/10",
            "::1/128",
            "fc00::/7",
        ),
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
# Of IPv6, only global unicast is assigned to the public (RFC 4291), less what IANA took out of it: protocol
# assignments with Teredo, documentation, 6to4. 64:ff9b:1::/48 (local NAT64) and the rest lie outside.
_UNICAST = IPv6Network("2000::/3")
_NOT_UNICAST = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))

_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})+\.?")
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")
_LOCAL_NAMES = ("localhost", "local", "internal", "intranet", "lan", "home.arpa", "localdomain")
"""Names that are never public; the address check would stop them too, after asking the network."""


def is_public(address: Address) -> bool:
    """Tell whether an address belongs to the public internet."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or (IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None)
        if inner is not None:
            return is_public(inner)
        if address not in _UNICAST or any(address in network for network in _NOT_UNICAST):
            return False
    # is_global alone says True to multicast.
    closed = address.is_multicast or address.is_reserved or address.is_private or address.is_link_local
    return address.is_global and not closed and not _within(address, _NEVER + _PRIVATE)


def _within(address: Address, networks: tuple[Any, ...]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


class Guard:
    """Decides where a fetch may go. Tests subclass it; nothing else does."""

    def __init__(self, *, allow_private: bool = False) -> None:
        self._allow_private = allow_private
        self._ports = _PORTS

    def permits(self, address: Address, port: int) -> bool:
        """Decide on the address and port a socket is about to connect to."""
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or address
        if self._allow_private and _within(address, _PRIVATE):
            return not _within(address, _NEVER)
        return port in self._ports and is_public(address)

    async def lookup(self, host: str, port: int) -> list[str]:
        """Return the addresses of a name."""
        answers = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(answer[4][0]) for answer in answers))

    def check(self, address: str, port: int, host: str) -> None:
        """Raise FetchRefused unless the address is permitted."""
        try:
            permitted = "%" not in address and self.permits(ip_address(address), port)
        except ValueError:
            permitted = False
        if not permitted:
            # The address is not told: it would let anybody map the private network by adding URLs.
            raise FetchRefused(f"{host!r} is in a private or reserved network", reason="address", host=host)

    def check_url(self, url: URL) -> None:
        """Raise FetchRefused for a URL that is wrong before any name is resolved."""
        if url.scheme not in ("http", "https"):
            refuse(url, "only http and https are fetched", "scheme")
        if url.raw_user is not None or url.raw_password is not None or "@" in url.raw_authority:
            refuse(url, "it contains a user name or password", "userinfo")
        host, port = (url.raw_host or "").lower(), url.port
        try:
            literal = ip_address(host)
        except ValueError:
            self._check_name(url, host)
            if not self._allow_private and port not in self._ports:
                refuse(url, "only ports 80 and 443 are fetched", "port")
        else:
            if port is None or "%" in host or not self.permits(literal, port):
                refuse(url, "it points to a private or reserved network, or to a port other than 80 and 443", "address")

    def _check_name(self, url: URL, host: str) -> None:
        bare = host.rstrip(".")
        if _NUMBER.fullmatch(bare.rpartition(".")[2]):
            refuse(url, "its host is a number in an unusual notation", "host")
        local = "." not in bare or any(bare == name or bare.endswith("." + name) for name in _LOCAL_NAMES)
        if local and self._allow_private and re.fullmatch(r"[a-z0-9_.-]+", bare):
            return
        if local or len(host) > 254 or not _NAME.fullmatch(host):
            refuse(url, "its host is not a public name", "host")


def parse(url: str) -> URL:
    """Return the one reading of a URL that everything after this uses."""
    url = url.strip(" \t\r\n")
    # Where parsers disagree there is no right reading, so there is none. Brackets without a colon are an
    # "IPvFuture" literal, which yarl hands on as a name.
    if len(url) > 8_000 or "\\" in url or re.search(r"[\x00-\x1f\x7f]|^[^/?#]*//[^/?#]*\[[^:/?#]*\]", url):
        raise FetchRefused(
            "the address contains control characters, backslashes or odd brackets, or is too long", reason="syntax"
        )
    try:
        return URL(url)
    except ValueError as error:
        raise FetchRefused(f"{shown(url)} is not a valid address", reason="syntax") from error


def refuse(url: URL, why: str, reason: str) -> NoReturn:
    """Raise FetchRefused in the usual words."""
    raise FetchRefused(f"{shown(url)} is not fetched: {why}", reason=reason)


def shown(url: URL | str) -> str:
    """Return a URL for messages: no password, and no query, which may hold a token."""
    text = re.split(r"[?#]", str(url), maxsplit=1)[0]
    return printable(re.sub(r"//[^/]*@", "//", text))[:200]


def printable(text: str) -> str:
    """Return a text that any terminal, log and JSON encoder can bear."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)
