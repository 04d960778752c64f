"""The guarded fetch: what it refuses, what it follows, and where it stops."""

from __future__ import annotations

import asyncio
import gzip
import resource
import sys
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbf_kernel.errors import FetchError, FetchRefused, SbfError, SourceTooLarge
from sbf_kernel.readers.fetch import Fetcher, FetchLimits, fetch, fetch_json
from sbf_kernel.readers.fetch_guard import Address, Guard, is_public

pytestmark = [pytest.mark.timeout(60), pytest.mark.asyncio]

_connected: list[tuple[str, int]] = []


def _audit(event: str, args: tuple[object, ...]) -> None:
    """Record every connection of this process, and stop those that leave the machine: a bug must not do harm."""
    if event == "socket.connect" and isinstance(args[1], tuple):
        _connected.append(args[1][:2])
        if args[1][0] not in ("127.0.0.1", "::1"):
            raise ConnectionAbortedError(f"the tests do not connect to {args[1][0]}")


sys.addaudithook(_audit)

_TYPED = """
http://127.0.0.1/ http://127.0.0.1:80/ http://127.1/ http://127.0.1/ http://0/ http://0.0.0.0/ http://127.255.255.254/
http://2130706433/ http://017700000001/ http://0x7f000001/ http://0x7f.0.0.1/ http://0x7F.1/ http://0177.0.0.1/
http://0177.0.0.01/ http://127.0.0.0x1/ http://00000127.0.0.1/ http://127.0.0.1./ http://3232235777/ http://0x/
http://10.0.0.1/ http://172.16.0.1/ http://172.31.255.255/ http://192.168.1.1/ http://100.64.0.1/ http://192.0.0.192/
http://169.254.169.254/latest/meta-data/ http://169.254.170.2/v2/credentials http://100.100.100.200/
http://168.63.129.16/ http://198.18.0.1/ http://192.0.2.1/ http://198.51.100.1/ http://203.0.113.1/ http://224.0.0.1/
http://239.255.255.250/ http://240.0.0.1/ http://255.255.255.255/ http://192.88.99.1/ http://2852039166/
http://[::1]/ http://[::]/ http://[0:0:0:0:0:0:0:1]/ http://[::ffff:127.0.0.1]/ http://[::ffff:7f00:1]/
http://[::ffff:169.254.169.254]/ http://[::127.0.0.1]/ http://[64:ff9b::7f00:1]/ http://[64:ff9b::10.0.0.1]/
http://[64:ff9b::a9fe:a9fe]/ http://[64:ff9b:1::7f00:1]/ http://[2002:7f00:1::]/ http://[2001::1]/
http://[2001:0:7f00:1::]/ http://[fe80::1]/ http://[fe80::1%25lo]/ http://[::1%25lo]/ http://[fc00::1]/
http://[fd00:ec2::254]/ http://[fd20:ce::254]/ http://[fec0::1]/ http://[ff02::1]/ http://[2001:db8::1]/
http://[3fff::1]/ http://[5f00::1]/ http://[100::1]/ http://[::ffff:0:127.0.0.1]/ http://[v1.x]/
http://localhost/ http://LOCALHOST/ http://localhost./ http://a.localhost/ http://localhost.localdomain/ http://intranet/
http://metadata/ http://metadata.google.internal/ http://instance-data.ec2.internal/ http://printer.local/
http://router.lan/ http://nas.home.arpa/ http://①②⑦.⓪.⓪.①/ http://127。0。0。1/ http://\uff11\uff12\uff17.0.0.1/ http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/
http://%31%32%37.0.0.1/ http://127.0.0.1%00.example.com/ http://user@example.com/ http://user:pass@example.com/
http://example.com@127.0.0.1/ http://example.com:80@127.0.0.1/ http://@127.0.0.1/ http://:@example.com/
http://127.0.0.1#@example.com/ http://example.com\\@127.0.0.1/ http:\\\\127.0.0.1/ http:/127.0.0.1/ http:127.0.0.1
//127.0.0.1/ http:///127.0.0.1/ http://example.com:22/ http://example.com:8080/ http://example.com:0/
http://example.com:65536/ http://example.com:6379/ http://example.com:x/ https://example.com:80443/
file:///etc/passwd file://localhost/etc/passwd gopher://127.0.0.1:6379/_INFO ftp://example.com/a dict://127.0.0.1:11211/
data:text/html,hi javascript:alert(1) jar:http://127.0.0.1!/ ldap://127.0.0.1/ ws://127.0.0.1/ unix:/run/x.sock
http+unix://%2Frun%2Fx.sock/ blob:http://127.0.0.1/ view-source:http://127.0.0.1/ mailto:a@example.com example.com
/etc/passwd http:// https:// http://. http://.. http://.example.com/ http://-example.com/ http://exa_mple/ http://*/ http://[
http://]/ http://[::1/ http://[]/ http://a..b.com/ http://example.com,127.0.0.1/ http://example.com;127.0.0.1/
"""
HOSTILE = [
    *_TYPED.split(),
    "",
    "   ",
    "http://127.0.0.1\t.example.com/",
    "http://exam\nple.com/",
    "http://exa mple.com/",
    "http://example.com\r\nHost: 127.0.0.1/",
    "http://\u202e127.0.0.1/",
    "http://example.com/\x00",
    "http://" + "a" * 300 + ".com/",
    "http://example.com/" + "a" * 9_000,
    "http://\ud800.com/",
]

PRIVATE_ANSWERS = [
    "127.0.0.1",
    "10.0.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "::1",
    "::ffff:127.0.0.1",
    "fe80::1",
    "fe80::1%2",
    "fd00:ec2::254",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "0.0.0.0",
    "224.0.0.1",
    "168.63.129.16",
    "not an address",
]


class LocalGuard(Guard):
    """Permits one port of 127.0.0.1, and lets names resolve as the test says."""

    def __init__(self, port: int, answers: Callable[[str], list[str]] = lambda host: ["127.0.0.1"]) -> None:
        super().__init__()
        self.port, self.answers = port, answers
        self._ports = self._ports | {port}

    def permits(self, address: Address, port: int) -> bool:
        return (str(address), port) == ("127.0.0.1", self.port) or super().permits(address, port)

    async def lookup(self, host: str, port: int) -> list[str]:
        return self.answers(host)


Handler = Callable[[str, dict[str, str], asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handle: Handler) -> AsyncIterator[tuple[int, list[str]]]:
    """Serve raw HTTP on 127.0.0.1; give the port and the list of request heads."""
    heads: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            heads.append(head)
            lines = head.split("\r\n")
            fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            await handle(lines[0].split()[1], fields, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], heads


def answer(writer: asyncio.StreamWriter, body: bytes = b"", status: str = "200 OK", **fields: str) -> None:
    fields.setdefault("Content_Length", str(len(body)))
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items()), "", ""]
    writer.write("\r\n".join(lines).encode("latin-1") + body)


def always(body: bytes = b"", **fields: str) -> Handler:
    async def handle(path: str, _: dict[str, str], writer: asyncio.StreamWriter) -> None:
        answer(writer, body, **fields)

    return handle


# --- refusals -------------------------------------------------------------------------------------


async def test_hostile_urls_are_refused_without_a_single_connection() -> None:
    assert len(HOSTILE) >= 130
    _connected.clear()
    for url in HOSTILE:
        with pytest.raises(FetchRefused) as caught:
            await fetch(url)
        assert caught.value.details["reason"] in ("syntax", "scheme", "userinfo", "host", "port", "address"), url
        assert str(caught.value).isprintable()
    assert _connected == []


@pytest.mark.parametrize("private", PRIVATE_ANSWERS)
@pytest.mark.parametrize("public_first", [True, False])
async def test_one_private_answer_spoils_all(private: str, public_first: bool) -> None:
    answers = ["93.184.216.34", private] if public_first else [private, "93.184.216.34"]
    _connected.clear()
    with pytest.raises(FetchRefused, match="private or reserved") as caught:
        await Fetcher(LocalGuard(1, lambda host: answers)).get("https://example.com/")
    assert private not in str(caught.value)
    assert _connected == []


async def test_a_name_that_changes_its_answer_never_reaches_the_second_one() -> None:
    """DNS rebinding: public when asked first, private when asked again."""
    asked = iter(["127.0.0.1", "127.0.0.2", "127.0.0.2"])
    async with serving(always(status="302 Found", Location="http://rebind.example.com/x")) as (port, heads):
        fetcher = Fetcher(LocalGuard(port, lambda host: [next(asked)]))
        _connected.clear()
        with pytest.raises(FetchRefused):
            await fetcher.get(f"http://rebind.example.com:{port}/")
    assert len(heads) == 1
    assert _connected == [("127.0.0.1", port)]


async def test_every_hostile_url_is_refused_as_a_redirect_too() -> None:
    targets = [url for url in HOSTILE if "://" in url and url.isprintable() and len(url) < 8_000]

    async def handle(path: str, _: dict[str, str], writer: asyncio.StreamWriter) -> None:
        target = targets[int(path[1:])].encode()
        writer.write(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + target + b"\r\n\r\n")

    async with serving(handle) as (port, heads):
        _connected.clear()
        for number, url in enumerate(targets):
            with pytest.raises(FetchError) as caught:
                await Fetcher(LocalGuard(port)).get(f"http://example.com:{port}/{number}")
            assert isinstance(caught.value, FetchRefused), url
    assert len(heads) == len(targets) > 100
    assert set(_connected) == {("127.0.0.1", port)}


async def test_the_socket_itself_checks_even_when_the_resolver_did_not() -> None:
    class Careless(LocalGuard):
        def check_url(self, url: object) -> None:
            pass

    _connected.clear()
    for host in ("127.0.0.1", "[::1]", "169.254.169.254", "10.0.0.1"):
        with pytest.raises(FetchRefused):
            await Fetcher(Careless(1)).get(f"http://{host}/")
    assert _connected == []


@given(st.ip_addresses(v=4))
async def test_every_disguise_of_an_ipv4_address_is_judged_as_that_address(address: Address) -> None:
    number = int(address)
    for disguise in (f"::ffff:{address}", str(ip_address((0x64FF9B << 96) + number))):
        assert is_public(ip_address(disguise)) == is_public(address)


@pytest.mark.parametrize(
    "address",
    ["93.184.216.34", "8.8.8.8", "1.1.1.1", "2606:4700::1111", "2a00:1450::1", "64:ff9b::808:808", "::ffff:8.8.8.8"],
)
async def test_public_addresses_are_public(address: str) -> None:
    assert is_public(ip_address(address))


async def test_allow_private_opens_private_networks_but_not_metadata() -> None:
    guard = Guard(allow_private=True)
    assert all(guard.permits(ip_address(a), 8080) for a in ("127.0.0.1", "10.1.2.3", "192.168.0.1", "::1", "fd12::1"))
    for closed in ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "fe80::1", "224.0.0.1", "0.0.0.0"):
        assert not guard.permits(ip_address(closed), 80)
    assert not guard.permits(ip_address("8.8.8.8"), 8080)
    async with serving(always(b"hello")) as (port, _):
        for host in ("127.0.0.1", "localhost"):
            assert (await fetch(f"http://{host}:{port}/a.txt", allow_private=True)).content == b"hello"
        with pytest.raises(FetchRefused):
            await fetch(f"http://127.0.0.1:{port}/a.txt")


# --- what comes back ------------------------------------------------------------------------------


async def get(handle: Handler, path: str = "/", limits: FetchLimits | None = None, **more: object) -> object:
    async with serving(handle) as (port, _):
        return await Fetcher(LocalGuard(port), limits).get(f"http://example.com:{port}{path}", **more)  # type: ignore[arg-type]


async def test_an_answer_has_content_type_name_and_validators() -> None:
    fetched = await get(
        always(
            b"<p>", Content_Type='Text/HTML; charset="UTF-8"', ETag='"1"', Last_Modified="Mon, 23 Nov 2026 10:00:00 GMT"
        ),
        "/a/b%20c.html?token=s#x",
    )
    assert (fetched.content, fetched.media_type, fetched.charset) == (b"<p>", "text/html", "utf-8")
    assert (fetched.filename, fetched.etag) == ("b c.html", '"1"')
    assert fetched.last_modified == "Mon, 23 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('attachment; filename="report.pdf"', "report.pdf"),
        ("attachment; filename*=UTF-8''na%C3%AFve%20%E2%82%AC.pdf", "naïve €.pdf"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ('attachment; filename="..\\\\..\\\\boot.ini"', "boot.ini"),
        ('attachment; filename="a\u202efdp.exe"'.encode().decode("latin-1"), "afdp.exe"),
        ('attachment; filename=".."', "page"),
        ("attachment; filename*=nope''x", "x"),
        ("attachment; filename*=UTF-8''%ff%00", "\ufffd"),
        ("\x01garbage;;=;", "page"),
        ("", "page"),
    ],
)
async def test_file_names_are_safe(header: str, name: str) -> None:
    fetched = await get(always(b"x", Content_Disposition=header), "/dir/page")
    assert fetched.filename == name


async def test_a_bare_host_gives_the_name() -> None:
    assert (await get(always(b"x"))).filename == "example.com"


@pytest.mark.parametrize(
    "encode",
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("identity", bytes),
        ("deflate", lambda data: zlib.compress(data, wbits=-15)),
        ("gzip", lambda data: gzip.compress(data[:7]) + gzip.compress(data[7:])),
        ("gzip", lambda data: gzip.compress(data) + b"\0" * 100),
    ],
    ids=["gzip", "x-gzip", "zlib", "identity", "raw deflate", "two members", "padding"],
)
async def test_encodings_are_undone(encode: tuple[str, Callable[[bytes], bytes]]) -> None:
    text = b"Attention is all you need. " * 5_000
    fetched = await get(always(encode[1](text), Content_Encoding=encode[0]))
    assert fetched.content == text


@pytest.mark.parametrize(
    ("encoding", "body", "words"),
    [
        ("br", b"x", "not asked for"),
        ("zstd", b"x", "not asked for"),
        ("gzip, gzip", b"x", "not asked for"),
        ("gzip", b"no gzip", "damaged"),
        ("gzip", gzip.compress(b"text" * 99)[:-20], "incomplete"),
    ],
)
async def test_other_and_damaged_encodings_are_errors(encoding: str, body: bytes, words: str) -> None:
    with pytest.raises(FetchError, match=words):
        await get(always(body, Content_Encoding=encoding))


# --- redirects ------------------------------------------------------------------------------------


async def test_redirects_are_followed_up_to_the_limit_without_secrets_of_the_first_host() -> None:
    async def handle(path: str, fields: dict[str, str], writer: asyncio.StreamWriter) -> None:
        count = int(path.rpartition("/")[2])
        host = fields["host"].replace("example.com", "example.org")
        answer(
            writer,
            b"end",
            *(() if count == 0 else ("302 Found",)),
            Set_Cookie="a=b",
            **({"Location": f"http://{host}/{count - 1}"} if count else {}),
        )

    async with serving(handle) as (port, heads):
        fetcher = Fetcher(LocalGuard(port))
        secrets = {"Authorization": "Bearer s", "Cookie": "c=d"}
        fetched = await fetcher.get(f"http://example.com:{port}/5", headers=secrets)
        assert (fetched.content, fetched.url) == (b"end", f"http://example.org:{port}/0")
        assert "Bearer s" in heads[0] and "c=d" in heads[0]
        assert not any("authorization" in head.lower() or "cookie" in head.lower() for head in heads[1:])
        with pytest.raises(FetchError, match="more than 5 times"):
            await fetcher.get(f"http://example.com:{port}/6")


async def test_a_redirect_to_itself_ends_and_relative_ones_work() -> None:
    with pytest.raises(FetchError, match="redirects more than"):
        await get(always(status="301 Moved", Location="/again"))

    async def relative(path: str, _: dict[str, str], writer: asyncio.StreamWriter) -> None:
        if path == "/a/b":
            answer(writer, b"", "307 Temporary", Location="../c d?x=1")
        else:
            answer(writer, path.encode())

    assert (await get(relative, "/a/b")).content == b"/c%20d?x=1"


async def test_a_post_is_not_repeated_elsewhere() -> None:
    with pytest.raises(FetchError, match="may not be repeated"):
        await get(always(status="307 Temporary", Location="/other"), body={"a": 1})


# --- limits ---------------------------------------------------------------------------------------


def bomb(gigabytes: int) -> bytes:
    """About one MB of gzip that unpacks to a GB: the same block again and again."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    head = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + block * (1024 * gigabytes - 1)


async def test_a_gzip_bomb_ends_early_and_cheaply() -> None:
    payload = bomb(1)
    assert len(payload) < 1_500_000
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(SourceTooLarge, match="50 MB unpacked"):
        await get(always(payload, Content_Encoding="gzip"))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 100 * (1024 if sys.platform != "darwin" else 1 << 20)
    assert time.process_time() - started < 3


async def test_a_million_empty_gzip_members_cost_little() -> None:
    started = time.process_time()
    assert (await get(always(gzip.compress(b"") * 500_000, Content_Encoding="gzip"))).content == b""
    assert time.process_time() - started < 3


async def test_an_announced_giant_is_not_read() -> None:
    with pytest.raises(SourceTooLarge):
        await get(always(b"x", Content_Length=str(10**15)))


async def test_an_unannounced_giant_is_cut_off() -> None:
    sent = 0

    async def endless(path: str, _: dict[str, str], writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while sent < 200 << 20:
            writer.write(bytes(1 << 16))
            await writer.drain()
            sent += 1 << 16

    with pytest.raises(SourceTooLarge, match="20 MB"):
        await get(endless)
    assert sent < 40 << 20


@pytest.mark.parametrize("where", ["head", "body", "redirects"])
async def test_a_slow_server_ends_at_the_deadline(where: str) -> None:
    async def drip(path: str, fields: dict[str, str], writer: asyncio.StreamWriter) -> None:
        if where == "redirects":
            await asyncio.sleep(0.3)
            answer(writer, b"", "302 Found", Location="/")
            return
        writer.write(b"HTTP/1.1 200 OK\r\n" + (b"\r\n" if where == "body" else b"X: "))
        for _ in range(100):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.1)

    started = time.monotonic()
    with pytest.raises(FetchError, match=r"longer than 0\.8 s"):
        await get(drip, limits=FetchLimits(seconds=0.8))
    assert time.monotonic() - started < 3


# --- failures say what happened -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        ("401 Unauthorized", "needs a login"),
        ("403 Forbidden", "needs a login"),
        ("404 Not Found", "check the address"),
        ("429 Too Many", "wait a while"),
        ("503 Unavailable", "wait a while"),
        ("304 Not Modified", "check"),
        ("418 I\xffm", "check"),
    ],
)
async def test_a_bad_status_names_the_url_and_a_way_on(status: str, hint: str) -> None:
    with pytest.raises(FetchError) as caught:
        await get(always(status=status), "/page?token=secret")
    assert "/page answered " + status[:3] in caught.value.message
    assert hint in caught.value.hint
    assert "secret" not in str(caught.value)
    assert str(caught.value).isprintable()


async def test_network_failures_are_explained() -> None:
    async with serving(always()) as (port, _):
        pass
    with pytest.raises(FetchError, match=r"http://example.com:\d+/ cannot be reached: Connect"):
        await Fetcher(LocalGuard(port)).get(f"http://example.com:{port}/")

    class Unknown(LocalGuard):
        async def lookup(self, host: str, port: int) -> list[str]:
            raise OSError(-2, "Name or service not known")

    with pytest.raises(FetchError, match=r"host of https://example\.com/x is not known"):
        await Fetcher(Unknown(1)).get("https://example.com/x")

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 this is not TLS\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(FetchError, match=f"https://example.com:{port}/ "):
            await Fetcher(LocalGuard(port)).get(f"https://example.com:{port}/")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00\xff" * 50,
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 banana\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 100_000,
        b"HTTP/1.1 302 Found\r\nLocation: http://\xff\xfe/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    ],
    ids=["nothing", "garbage", "cut", "bad status", "bad chunk", "many headers", "bad location", "long header"],
)
async def test_broken_servers_give_errors_of_ours(raw: bytes) -> None:
    async def handle(path: str, _: dict[str, str], writer: asyncio.StreamWriter) -> None:
        writer.write(raw)

    with pytest.raises(SbfError):
        await get(handle)


async def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/")
    assert (await get(always(b"direct"))).content == b"direct"


# --- JSON -----------------------------------------------------------------------------------------


async def test_json_goes_out_and_comes_back() -> None:
    async with serving(always(b'{"a": [1]}')) as (port, heads):
        url = f"http://example.com:{port}/"
        fetcher = Fetcher(LocalGuard(port))
        assert await fetch_json(url, body={"q": 1}, headers={"X-A": "b"}, fetcher=fetcher) == {"a": [1]}
        assert await fetch_json(url, fetcher=fetcher) == {"a": [1]}
    assert heads[0].startswith("POST ") and "application/json" in heads[0] and "X-A: b" in heads[0]
    assert heads[1].startswith("GET ")


@pytest.mark.parametrize("body", [b"<html>", b"", b"[" * 100_000])
async def test_what_is_not_json_is_an_error(body: bytes) -> None:
    async with serving(always(body)) as (port, _):
        with pytest.raises(FetchError, match="JSON"):
            await fetch_json(f"http://example.com:{port}/", fetcher=Fetcher(LocalGuard(port)))
