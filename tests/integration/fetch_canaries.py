"""Run by test_fetch_ssrf.py inside an empty network namespace: a small internet with an inside and an outside.

Every address lives on the loopback device. Listeners on all addresses count
each accepted connection; only PUBLIC is a place the fetcher may go. Prints
one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import cycle

from sbf_kernel.errors import FetchError, FetchRefused
from sbf_kernel.readers.fetch import Fetcher, FetchLimits
from sbf_kernel.readers.fetch_guard import Guard

PUBLIC = "93.184.216.34"
INSIDE = [
    "10.1.2.3",
    "172.16.0.9",
    "192.168.1.1",
    "100.64.0.7",
    "100.100.100.200",
    "169.254.169.254",
    "192.0.0.192",
    "168.63.129.16",
    "198.18.0.1",
    "192.88.99.1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "fec0::1",
    "64:ff9b::7f00:1",
    "64:ff9b::a01:203",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::1",
    "2001:0:7f00:1::1",
    "2001:db8::1",
]
PORTS = (22, 80, 443, 6379, 8080)


class Names(Guard):
    """The production guard with names that resolve without a DNS server."""

    def __init__(self, answers: Iterator[list[str]]) -> None:
        super().__init__()
        self._answers = answers

    async def lookup(self, host: str, port: int) -> list[str]:
        return [PUBLIC] if host == "public.example.com" else next(self._answers)


async def listen(accepted: Counter[str], redirect: list[str]) -> list[asyncio.Server]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        where = writer.get_extra_info("sockname")
        accepted[f"{where[0]} {where[1]}"] += 1
        if redirect and await reader.readline():
            writer.write(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + redirect[-1].encode() + b"\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret")
        writer.close()

    servers = [await asyncio.start_server(serve, "0.0.0.0", port) for port in PORTS]
    for port in PORTS:
        inside = socket.socket(socket.AF_INET6)
        inside.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        inside.bind(("::", port))
        servers.append(await asyncio.start_server(serve, sock=inside))
    return servers


def literals() -> list[str]:
    hosts = [f"[{address}]" if ":" in address else address for address in INSIDE]
    hosts += [
        "127.0.0.1",
        "127.1",
        "0",
        "0.0.0.0",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:a01:203]",
        "[fe80::1%25lo]",
        "localhost",
        "localhost.",
        "a.localhost",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "①②⑦.⓪.⓪.①",
        "x@127.0.0.1",
        "x:80@127.0.0.1",
    ]
    urls = [f"{scheme}://{host}/" for host in hosts for scheme in ("http", "https")]
    return urls + [f"http://{host}:{port}/" for host in (PUBLIC, "public.example.com") for port in (22, 6379, 8080)]


async def attempt(outcomes: Counter[str], guard: Guard, url: str) -> None:
    try:
        await Fetcher(guard, FetchLimits(seconds=5)).get(url)
        outcomes["fetched " + url] += 1
    except FetchRefused:
        outcomes["refused"] += 1
    except FetchError as error:
        outcomes[f"failed {url} {error}"] += 1


def furnish() -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in (PUBLIC, *INSIDE):
        length = 128 if ":" in address else 32
        subprocess.run(["ip", "addr", "add", f"{address}/{length}", "dev", "lo"], check=True, capture_output=True)


async def main() -> None:
    accepted: Counter[str] = Counter()
    redirect: list[str] = []
    outcomes: Counter[str] = Counter()
    servers = await listen(accepted, redirect)
    for address in ("127.0.0.1", "::1", *INSIDE):  # the canaries sing: each can be reached by who does not ask
        if not address.startswith("fe80"):
            socket.create_connection((address, 80), timeout=2).close()
    await asyncio.sleep(0.2)
    singing, _ = len(accepted), accepted.clear()
    control = (await Fetcher(Names(iter(()))).get("http://public.example.com/")).content
    for url in literals():
        await attempt(outcomes, Names(iter(())), url)
    for url in literals():
        redirect[:] = [url]
        await attempt(outcomes, Names(iter(())), "http://public.example.com/")
    redirect.clear()
    for address in INSIDE:  # mixed records, in both orders
        for answers in ([PUBLIC, address], [address, PUBLIC]):
            await attempt(outcomes, Names(iter([answers])), "http://mixed.example.com/")
    before = sum(accepted.values())
    for address in INSIDE:  # rebinding: the answer changes between the first request and its redirect
        redirect[:] = ["http://rebind.example.com/again"]
        await attempt(outcomes, Names(cycle([[PUBLIC], [address]])), "http://rebind.example.com/")
    await asyncio.sleep(0.2)
    for server in servers:
        server.close()
    json.dump(
        {
            "singing": singing,
            "control": control.decode(),
            "accepted": accepted,
            "outcomes": outcomes,
            "tried": sum(outcomes.values()),
            "rebound": sum(accepted.values()) - before,
        },
        sys.stdout,
    )


furnish()
asyncio.run(main())
