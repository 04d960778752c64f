"""Read what is said in a YouTube video: its captions, each line with its time.

Only captions are fetched, never audio or video. The way is the one of
``youtube-transcript-api`` (MIT), in three requests: the page of the video
gives the key of the player interface, the player interface lists the caption
tracks, a track is a small file. That package is not used itself, because it
brings a second HTTP client; here every request goes through
:mod:`sbf_kernel.readers.fetch`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from html import unescape
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit, urlunsplit
from xml.etree import ElementTree as ET

from sbf_kernel.errors import FetchError, InvalidInput, SourceHasNoText
from sbf_kernel.readers.fetch import Fetcher, fetch_json
from sbf_kernel.readers.reading import Reading, ReadingBuilder

_ORIGIN = "https://www.youtube.com"
_HOSTS = frozenset(
    {
        "youtube.com",
        "www.youtube.com",
        "m.youtube.com",
        "music.youtube.com",
        "gaming.youtube.com",
        "youtube-nocookie.com",
        "www.youtube-nocookie.com",
        "m.youtube-nocookie.com",
    }
)
_SHORT_HOSTS = frozenset({"youtu.be", "www.youtu.be"})
_FOLDERS = frozenset({"watch", "shorts", "live", "embed", "v", "e"})
_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_NOT_VIDEOS = frozenset({"videoseries", "live_stream"})  # /embed/ pages whose names have the length of an id
_KEY = re.compile(r"[\"']INNERTUBE_API_KEY[\"']\s*:\s*[\"']([A-Za-z0-9_-]{10,100})[\"']")

# The Android client's caption addresses need no proof-of-origin token; the web page's own do.
_CLIENT = {"client": {"clientName": "ANDROID", "clientVersion": "20.10.38", "hl": "en"}}
_CONSENT = {"Cookie": "SOCS=CAI"}  # "reject all": else Europe gets a consent form instead of the page

_NO_CAPTIONS = "it has no captions: add a transcript as .srt, .vtt or .txt instead"
_UNPLAYABLE = {
    "bot": "YouTube does not answer this network at the moment: try later, or add a transcript file",
    "age": "it is restricted by age: add a transcript as .srt, .vtt or .txt instead",
    "private": "it is private: ask its owner for a transcript file",
    "": "check that it plays in a private window of a browser",
}


def video_id(url: str) -> str | None:
    """Return the id of the video a URL names, or None if it names none.

    Knows watch, short, live, embed, music and no-cookie addresses and
    ``youtu.be``, with any further parameters; ``https://`` may be missing.
    """
    url = url.strip()
    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
        host, port = (parts.hostname or "").removesuffix("."), parts.port
    except ValueError:
        return None
    if parts.scheme.lower() not in ("http", "https") or port is not None or "@" in parts.netloc:
        return None
    steps = [step for step in parts.path.split("/") if step]
    found = ""
    if host in _SHORT_HOSTS and steps:
        found = steps[0]
    elif host in _HOSTS and steps == ["watch"]:
        found = parse_qs(parts.query, max_num_fields=100).get("v", [""])[0]
    elif host in _HOSTS and len(steps) >= 2 and steps[0] in _FOLDERS:
        found = steps[1]
    return found if _ID.fullmatch(found) and found not in _NOT_VIDEOS else None


async def fetch_transcript(url: str, *, languages: Sequence[str] = ("en",), fetcher: Fetcher | None = None) -> Reading:
    """Return the captions of a video, one block per line, with seconds.

    Parameters
    ----------
    url
        Any address :func:`video_id` knows.
    languages
        Wanted languages, best first; ``"en"`` also means ``en-GB``. Captions
        made by people in one of them come first, then automatic ones in one
        of them, then whatever there is, in its own language: retrieval and
        citations need the words that were said, not a machine translation.
    fetcher
        For tests.

    Raises
    ------
    InvalidInput
        The URL names no YouTube video.
    SourceHasNoText
        The video has no captions.
    FetchError
        The video cannot be seen, or YouTube did not answer as expected.
    """
    video = video_id(url)
    if video is None:
        raise InvalidInput(
            f"{url[:200]!r} is not the address of a YouTube video",
            hint="use an address such as https://www.youtube.com/watch?v=…",
        )
    fetcher = fetcher or Fetcher()
    player = await _player(video, fetcher)
    _check_playable(player.get("playabilityStatus"), video)
    track = _choose(_tracks(player, video), languages)
    builder = ReadingBuilder()
    for seconds, text in await _cues(track, video, fetcher):
        builder.add(text, "cue", seconds=seconds)
    details = player.get("videoDetails")
    facts = details if isinstance(details, dict) else {}
    reading = builder.build(
        title=_text(facts.get("title")) or f"YouTube {video}",
        media_type="video/x-youtube",
        metadata=_metadata(facts, track, video),
    )
    if not reading.blocks:
        raise SourceHasNoText(f"the captions of YouTube video {video} are empty", hint=_NO_CAPTIONS)
    return reading


async def _player(video: str, fetcher: Fetcher) -> dict[str, Any]:
    page = await fetcher.get(f"{_ORIGIN}/watch?v={video}&hl=en", headers=_CONSENT)
    text = page.content.decode(errors="replace")
    key = _KEY.search(text)
    if key is None:
        blocked = "g-recaptcha" in text or "consent.youtube.com" in text
        raise FetchError(
            f"YouTube did not show the page of video {video}",
            hint=_UNPLAYABLE["bot"] if blocked else "YouTube may have changed: look for a newer version",
        )
    player = await fetch_json(
        f"{_ORIGIN}/youtubei/v1/player?key={key[1]}", fetcher=fetcher, body={"context": _CLIENT, "videoId": video}
    )
    if not isinstance(player, dict):
        raise _unexpected(video)
    return player


def _check_playable(status: object, video: str) -> None:
    facts = status if isinstance(status, dict) else {}
    code, reason = _text(facts.get("status")) or "OK", _text(facts.get("reason"))
    if code == "OK":
        return
    said = reason.lower()
    kind = (
        "bot"
        if "bot" in said
        else "private"
        if "private" in said
        else "age"
        if "age" in code.lower().split("_") or "inappropriate" in said or "your age" in said
        else ""
    )
    raise FetchError(f"YouTube does not show video {video}: {reason or code}", hint=_UNPLAYABLE[kind], reason=code)


def _tracks(player: dict[str, Any], video: str) -> list[dict[str, Any]]:
    try:
        listed = player["captions"]["playerCaptionsTracklistRenderer"]["captionTracks"]
    except (KeyError, TypeError):
        listed = None
    candidates = listed if isinstance(listed, list) else []
    tracks = [track for track in candidates if isinstance(track, dict) and _text(track.get("baseUrl"))]
    if not tracks:
        raise SourceHasNoText(f"YouTube video {video} has no captions", hint=_NO_CAPTIONS)
    return tracks


def _choose(tracks: list[dict[str, Any]], languages: Sequence[str]) -> dict[str, Any]:
    """Return the best track: made by people and wanted, automatic and wanted, made by people, automatic."""

    def rank(track: dict[str, Any]) -> tuple[bool, bool, int]:
        code = _text(track.get("languageCode")).lower()
        wanted = [
            place
            for place, language in enumerate(languages)
            if code == language.lower() or code.split("-")[0] == language.lower()
        ]
        return not wanted, _automatic(track), min(wanted, default=0)

    return min(tracks, key=rank)


def _automatic(track: dict[str, Any]) -> bool:
    return track.get("kind") == "asr"


async def _cues(track: dict[str, Any], video: str, fetcher: Fetcher) -> list[tuple[float, str]]:
    try:
        parts = urlsplit(_text(track["baseUrl"]))
    except ValueError as error:
        raise _unexpected(video) from error
    if f"{parts.scheme}://{parts.netloc}" != _ORIGIN and (parts.scheme != "https" or parts.netloc not in _HOSTS):
        raise _unexpected(video)
    query = [(name, value) for name, value in parse_qsl(parts.query) if name != "fmt"] + [("fmt", "json3")]
    answer = await fetcher.get(urlunsplit(parts._replace(query=urlencode(query), fragment="")))
    body = answer.content.decode(errors="replace").strip()
    if not body:  # how YouTube refuses: 200 and nothing
        raise FetchError(f"YouTube did not hand out the captions of video {video}", hint=_UNPLAYABLE["bot"])
    try:
        found = list(_from_xml(body) if body.startswith("<") else _from_json(body))
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError, ET.ParseError) as error:
        raise _unexpected(video) from error
    return [(seconds, " ".join(text.split())) for seconds, text in found if text.strip() and math.isfinite(seconds)]


def _from_json(body: str) -> Iterator[tuple[float, str]]:
    for event in json.loads(body).get("events", ()):
        yield event.get("tStartMs", 0) / 1000, "".join(part.get("utf8", "") for part in event.get("segs", ()))


def _from_xml(body: str) -> Iterator[tuple[float, str]]:
    """Read the older forms, seconds in ``<text start=…>`` or milliseconds in ``<p t=…>``."""
    if "<!DOCTYPE" in body or "<!ENTITY" in body:  # never in captions; entities are how XML bombs are built
        raise ValueError("a document type in captions")
    root = ET.fromstring(body)  # noqa: S314 - no entities can be declared, see above
    for element in (*root.findall("text"), *root.findall("body/p")):
        start = float(element.attrib["start"]) if element.tag == "text" else int(element.attrib["t"]) / 1000
        yield start, re.sub(r"<[^>]*>", "", unescape("".join(element.itertext())))


def _metadata(facts: dict[str, Any], track: dict[str, Any], video: str) -> dict[str, str]:
    found = {
        "url": f"https://www.youtube.com/watch?v={video}",
        "video_id": video,
        "author": _text(facts.get("author")),
        "duration_seconds": _text(facts.get("lengthSeconds")),
        "language": _text(track.get("languageCode")),
        "captions": "automatic" if _automatic(track) else "manual",
    }
    return {name: value for name, value in found.items() if value}


def _text(value: object) -> str:
    """Return a printable string of bounded length; anything else is no text."""
    return "".join(sign for sign in value[:4_000] if sign.isprintable()) if isinstance(value, str) else ""


def _unexpected(video: str) -> FetchError:
    return FetchError(
        f"YouTube answered something unexpected for video {video}",
        hint="it may have changed: look for a newer version, or add a transcript file",
    )
