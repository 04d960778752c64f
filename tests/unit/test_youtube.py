"""YouTube addresses, and captions from a server that answers in YouTube's shapes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbf_kernel.errors import FetchError, FetchRefused, InvalidInput, SourceHasNoText
from sbf_kernel.readers import youtube
from sbf_kernel.readers.fetch import Fetcher
from sbf_kernel.readers.fetch_guard import Address, Guard
from sbf_kernel.readers.youtube import fetch_transcript, video_id

pytestmark = pytest.mark.timeout(60)
ID = "dQw4w9WgXcQ"
URL = f"https://www.youtube.com/watch?v={ID}"


# --- addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        URL,
        f"http://youtube.com/watch?v={ID}",
        f"https://m.youtube.com/watch?v={ID}&t=42s",
        f"  {URL}\n",
        f"https://www.youtube.com/watch?app=desktop&feature=share&v={ID}&list=PL123&index=2",
        f"{URL}#t=10",
        f"https://music.youtube.com/watch?v={ID}&list=RD",
        f"https://youtu.be/{ID}",
        f"https://youtu.be/{ID}?si=x&t=1",
        f"https://www.youtube.com/shorts/{ID}",
        f"https://youtube.com/shorts/{ID}?feature=share",
        f"https://www.youtube.com/live/{ID}?si=x",
        f"https://www.youtube.com/embed/{ID}?rel=0&start=3",
        f"https://www.youtube-nocookie.com/embed/{ID}",
        f"https://www.youtube.com/v/{ID}?version=3",
        f"https://www.youtube.com/e/{ID}",
        f"https://www.youtube.com/watch/{ID}",
        f"HTTPS://WWW.YOUTUBE.COM/watch?v={ID}",
        f"youtu.be/{ID}",
        f"www.youtube.com/watch?v={ID}",
        f"youtube.com/shorts/{ID}/",
        f"https://www.youtube.com./watch?v={ID}",
    ],
)
def test_every_form_of_address_gives_the_id(url: str) -> None:
    assert video_id(url) == ID


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://www.youtube.com/",
        "https://www.youtube.com/watch",
        "https://www.youtube.com/watch?v=",
        "https://www.youtube.com/watch?v=short",
        f"https://www.youtube.com/watch?v={ID}x",
        "https://youtu.be/",
        "https://www.youtube.com/@channel",
        "https://www.youtube.com/playlist?list=PLdQw4w9WgXc",
        "https://www.youtube.com/embed/videoseries?list=PL1",
        "https://www.youtube.com/embed/live_stream?channel=x",
        f"https://www.youtube.com/results?search_query={ID}",
        f"https://youtube.com.evil.org/watch?v={ID}",
        f"https://evil.org/watch?v={ID}",
        f"https://evilyoutube.com/watch?v={ID}",
        f"https://evil.org/youtu.be/{ID}",
        f"https://www.youtube.com@evil.org/watch?v={ID}",
        f"https://user@www.youtube.com/watch?v={ID}",
        f"https://www.youtube.com:8080/watch?v={ID}",
        f"ftp://youtube.com/watch?v={ID}",
        f"javascript://youtu.be/{ID}",
        "https://www.youtube.com/watch?v=../../../etc",
        "https://www.youtube.com/watch?v=dQw4w9WgXc%0a",
        ID,
        "https://[::1/watch",
        "https://www.youtube.com:port/watch",
        "https://youtu.be/dQw4w9WgXc;",
    ],
)
def test_everything_else_gives_none(url: str) -> None:
    assert video_id(url) is None


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    for url in (text, f"https://youtu.be/{text}", f"https://www.youtube.com/watch?v={text}"):
        found = video_id(url)
        assert found is None or (len(found) == 11 and found.isascii())


# --- a server in YouTube's shapes -----------------------------------------------------------------


class Tube:
    """Answers as YouTube does; tests change what it says."""

    def __init__(self) -> None:
        self.port = 0
        self.page = 'ytcfg.set({"INNERTUBE_API_KEY":"AIzaSyTestTestTest_-0"});'
        self.player: Any = {
            "playabilityStatus": {"status": "OK"},
            "videoDetails": {"title": "Attention, explained", "author": "A. Lecturer", "lengthSeconds": "99"},
        }
        self.files: dict[str, str] = {}
        self.status = "200 OK"
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []

    def track(self, code: str, text: str = "", *, automatic: bool = False, base: str | None = None) -> None:
        name = f"{code}{'-asr' if automatic else ''}"
        url = base or f"http://www.youtube.com:{self.port}/api/timedtext?v={ID}&lang={name}&fmt=srv3&sig=a%2Fb"
        track = {"baseUrl": url, "languageCode": code, "name": {"runs": [{"text": code}]}, "isTranslatable": True}
        renderer = self.player.setdefault("captions", {}).setdefault("playerCaptionsTracklistRenderer", {})
        renderer.setdefault("captionTracks", []).append(track | ({"kind": "asr"} if automatic else {}))
        self.files[name] = text or json.dumps(
            {
                "wireMagic": "pb3",
                "events": [
                    {"tStartMs": 0, "dDurationMs": 9000, "id": 1, "wpWinPosId": 1},
                    {
                        "tStartMs": 1200,
                        "dDurationMs": 3000,
                        "segs": [{"utf8": "Words in"}, {"utf8": f" {name}\n", "tOffsetMs": 5}],
                    },
                    {"tStartMs": 4200, "aAppend": 1, "segs": [{"utf8": "\n"}]},
                    {"tStartMs": 65500, "segs": [{"utf8": "second   line"}]},
                ],
            }
        )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = lines[0].split()
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        body = await reader.readexactly(int(fields.get("content-length", 0)))
        self.seen.append((method, path, fields, body))
        if path.startswith("/watch"):
            answer = self.page
        elif path.startswith("/youtubei/v1/player?key=AIzaSyTestTestTest_-0"):
            answer = self.player if isinstance(self.player, str) else json.dumps(self.player)
        else:
            answer = self.files[path.partition("lang=")[2].partition("&")[0]]
        data = answer.encode()
        writer.write(f"HTTP/1.1 {self.status}\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
        await writer.drain()
        writer.close()


class TubeGuard(Guard):
    """YouTube is on this machine; nothing else is anywhere."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port, self._ports = port, self._ports | {port}

    def permits(self, address: Address, port: int) -> bool:
        return (str(address), port) == ("127.0.0.1", self.port)

    async def lookup(self, host: str, port: int) -> list[str]:
        assert host == "www.youtube.com"
        return ["127.0.0.1"]


@asynccontextmanager
async def tube(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Tube, Fetcher]]:
    place = Tube()
    server = await asyncio.start_server(place.serve, "127.0.0.1", 0)
    async with server:
        place.port = server.sockets[0].getsockname()[1]
        monkeypatch.setattr(youtube, "_ORIGIN", f"http://www.youtube.com:{place.port}")
        yield place, Fetcher(TubeGuard(place.port))


# --- captions -------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_captions_become_cues_with_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    async with tube(monkeypatch) as (place, fetcher):
        place.track("en")
        reading = await fetch_transcript(f"https://youtu.be/{ID}?t=3", fetcher=fetcher)
    assert reading.title == "Attention, explained"
    assert [(block.kind, block.place.seconds, reading.text[block.start : block.end]) for block in reading.blocks] == [
        ("cue", 1.2, "Words in en"),
        ("cue", 65.5, "second line"),
    ]
    assert reading.metadata == {
        "url": URL,
        "video_id": ID,
        "author": "A. Lecturer",
        "duration_seconds": "99",
        "language": "en",
        "captions": "manual",
    }


@pytest.mark.asyncio
async def test_the_three_requests_are_those_that_youtube_expects(monkeypatch: pytest.MonkeyPatch) -> None:
    async with tube(monkeypatch) as (place, fetcher):
        place.track("en")
        await fetch_transcript(URL, fetcher=fetcher)
    (page, player, track) = place.seen
    assert page[:2] == ("GET", f"/watch?v={ID}&hl=en") and page[2]["cookie"] == "SOCS=CAI"
    assert player[0] == "POST" and json.loads(player[3])["videoId"] == ID
    assert json.loads(player[3])["context"]["client"]["clientName"] == "ANDROID"
    assert track[:2] == ("GET", f"/api/timedtext?v={ID}&lang=en&sig=a/b&fmt=json3") or "sig=a%2Fb&fmt=json3" in track[1]
    assert "cookie" not in player[2] and "cookie" not in track[2]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("tracks", "languages", "chosen"),
    [
        (["de", "en-asr", "en"], ("en",), "en"),
        (["de", "en-asr"], ("en",), "en-asr"),
        (["fr-asr", "de"], ("en",), "de"),
        (["ja-asr"], ("en",), "ja-asr"),
        (["en-asr", "en-GB"], ("en",), "en-GB"),
        (["en", "de"], ("de", "en"), "de"),
        (["en", "de-asr"], ("de", "en"), "en"),
        (["en-asr", "de-asr"], ("de", "en"), "de-asr"),
        (["de", "fr"], (), "de"),
        (["pt-BR", "pt-PT"], ("pt-PT",), "pt-PT"),
    ],
)
async def test_the_best_track_is_chosen(
    monkeypatch: pytest.MonkeyPatch, tracks: list[str], languages: tuple[str, ...], chosen: str
) -> None:
    async with tube(monkeypatch) as (place, fetcher):
        for name in tracks:
            place.track(name.removesuffix("-asr"), automatic=name.endswith("-asr"))
        reading = await fetch_transcript(URL, languages=languages, fetcher=fetcher)
    assert reading.text.startswith(f"Words in {chosen}\n")
    assert reading.metadata["language"] == chosen.removesuffix("-asr")
    assert reading.metadata["captions"] == ("automatic" if chosen.endswith("-asr") else "manual")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "xml",
    [
        (
            '<?xml version="1.0"?><transcript><text start="1.5" dur="2">it&amp;#39;s &lt;b&gt;fine&lt;/b&gt;</text>'
            '<text start="3"/></transcript>'
        ),
        (
            '<timedtext format="3"><head/><body><p t="1500" d="2"><s>it\'s</s><s t="9"> fine</s></p><p t="3000">\n</p>'
            "</body></timedtext>"
        ),
    ],
    ids=["classic", "srv3"],
)
async def test_older_forms_of_captions_are_read_too(monkeypatch: pytest.MonkeyPatch, xml: str) -> None:
    async with tube(monkeypatch) as (place, fetcher):
        place.track("en", xml)
        reading = await fetch_transcript(URL, fetcher=fetcher)
    assert reading.text == "it's fine"
    assert reading.blocks[0].place.seconds == 1.5


# --- what can go wrong ----------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "words", "hint"),
    [
        (
            {"status": "ERROR", "reason": "This video is unavailable"},
            "This video is unavailable",
            "check that it plays",
        ),
        (
            {"status": "LOGIN_REQUIRED", "reason": "This is a private video. Please sign in."},
            "private",
            "it is private",
        ),
        ({"status": "LOGIN_REQUIRED", "reason": "Sign in to confirm your age"}, "age", "restricted by age"),
        ({"status": "AGE_VERIFICATION_REQUIRED"}, "AGE_VERIFICATION_REQUIRED", "restricted by age"),
        (
            {"status": "LOGIN_REQUIRED", "reason": "This video may be inappropriate for some users."},
            "inappropriate",
            "age",
        ),
        ({"status": "LOGIN_REQUIRED", "reason": "Sign in to confirm you\u2019re not a bot"}, "bot", "this network"),
        (
            {"status": "UNPLAYABLE", "reason": "Join this channel to get access\n\x00"},
            "Join this channel",
            "check that",
        ),
        ({"status": "LIVE_STREAM_OFFLINE", "reason": "Premieres in 2 hours"}, "Premieres", "check that"),
    ],
)
async def test_a_video_that_cannot_be_seen_says_why(
    monkeypatch: pytest.MonkeyPatch, status: dict[str, str], words: str, hint: str
) -> None:
    async with tube(monkeypatch) as (place, fetcher):
        place.player["playabilityStatus"] = status
        with pytest.raises(FetchError, match=words) as caught:
            await fetch_transcript(URL, fetcher=fetcher)
    assert ID in caught.value.message
    assert hint in caught.value.hint
    assert str(caught.value).isprintable()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "captions",
    [
        None,
        {},
        {"playerCaptionsTracklistRenderer": {}},
        [],
        {"playerCaptionsTracklistRenderer": {"captionTracks": []}},
        {"playerCaptionsTracklistRenderer": {"captionTracks": 7}},
        {"playerCaptionsTracklistRenderer": {"captionTracks": [7, {"baseUrl": None}]}},
    ],
)
async def test_no_captions_is_no_text_with_a_way_on(monkeypatch: pytest.MonkeyPatch, captions: object) -> None:
    async with tube(monkeypatch) as (place, fetcher):
        place.player["captions"] = captions
        with pytest.raises(SourceHasNoText, match="no captions") as caught:
            await fetch_transcript(URL, fetcher=fetcher)
    assert ".srt" in caught.value.hint


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"events": [{"tStartMs": NaN, "segs": [{"utf8": "x"}]}]}', SourceHasNoText),
        ('{"events": [{"tStartMs": 1' + "0" * 400 + ', "segs": [{"utf8": "x"}]}]}', FetchError),
        ("<timedtext><body><p>x</p></body></timedtext>", FetchError),
        (" ", FetchError),
        ("<html>blocked", FetchError),
        ("{", FetchError),
        ("[1]", FetchError),
        ('{"events": [{"tStartMs": "x", "segs": []}]}', FetchError),
        ('{"events": 5}', FetchError),
        ('<!DOCTYPE a [<!ENTITY b "c">]><transcript><text start="1">&b;</text></transcript>', FetchError),
        ('<transcript><text start="soon">x</text></transcript>', FetchError),
        ('{"events": []}', SourceHasNoText),
        ("<transcript/>", SourceHasNoText),
        ("[" * 100_000, FetchError),
    ],
)
async def test_strange_captions_are_errors_of_ours(monkeypatch: pytest.MonkeyPatch, text: str, kind: type) -> None:
    async with tube(monkeypatch) as (place, fetcher):
        place.track("en", text)
        with pytest.raises(kind):
            await fetch_transcript(URL, fetcher=fetcher)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"page": '<div class="g-recaptcha">'}, "this network"),
        ({"page": "nothing"}, "newer version"),
        ({"player": "[]"}, "newer version"),
        ({"player": "<html>"}, "try again"),
        ({"status": "429 Too Many"}, "wait"),
    ],
)
async def test_youtube_refusing_or_changing_is_explained(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, str], hint: str
) -> None:
    async with tube(monkeypatch) as (place, fetcher):
        vars(place).update(change)
        with pytest.raises(FetchError) as caught:
            await fetch_transcript(URL, fetcher=fetcher)
    assert hint in caught.value.hint


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "base",
    [
        "http://127.0.0.1:6379/",
        "https://evil.org/timedtext",
        "file:///etc/passwd",
        "https://www.youtube.com@evil.org/",
        "/api/timedtext",
        "https://[",
        "http://www.youtube.com/x",
    ],
)
async def test_captions_come_from_youtube_only(monkeypatch: pytest.MonkeyPatch, base: str) -> None:
    async with tube(monkeypatch) as (place, fetcher):
        place.track("en", base=base)
        with pytest.raises(FetchError, match="unexpected"):
            await fetch_transcript(URL, fetcher=fetcher)
        assert len(place.seen) == 2


@pytest.mark.asyncio
async def test_the_production_guard_stands_before_youtube_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async with tube(monkeypatch) as (place, _):
        with pytest.raises(FetchRefused):
            await fetch_transcript(URL)
        assert place.seen == []


@pytest.mark.asyncio
async def test_what_is_no_video_is_told_before_anything_is_fetched() -> None:
    with pytest.raises(InvalidInput, match="not the address of a YouTube video"):
        await fetch_transcript("https://www.youtube.com/@channel")


@pytest.mark.asyncio
async def test_a_video_without_details_still_has_a_title(monkeypatch: pytest.MonkeyPatch) -> None:
    async with tube(monkeypatch) as (place, fetcher):
        place.track("en")
        place.player["videoDetails"] = ["odd"]
        del place.player["playabilityStatus"]
        assert (await fetch_transcript(URL, fetcher=fetcher)).title == f"YouTube {ID}"
