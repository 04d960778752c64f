"""Web pages, files behind URLs and YouTube videos, as bytes in the blob store."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sbf_kernel.readers.reading import Reading

if TYPE_CHECKING:
    from sbf_kernel.storage.blobs import Blobs


@dataclass(frozen=True)
class Content:
    """Raw bytes that lie in the blob store."""

    sha256: bytes
    name: str
    """Its ending helps to choose the reader."""
    media_type: str
    title: str | None = None
    """A better name for the source, if the web gave one."""


async def download(blobs: Blobs, url: str, name: str) -> Content:
    """Fetch ``url`` through the guarded client and keep what came.

    A YouTube address gives its transcript, kept as WebVTT.

    Raises
    ------
    FetchError, SourceHasNoText
        Why there is nothing.
    """
    from sbf_kernel.readers import youtube

    if youtube.video_id(url):
        reading = await youtube.fetch_transcript(url)
        sha256 = await asyncio.to_thread(blobs.put, webvtt(reading).encode())
        return Content(sha256, "transcript.vtt", "text/vtt", reading.title or None)
    from sbf_kernel.readers.fetch import fetch

    fetched = await fetch(url)
    sha256 = await asyncio.to_thread(blobs.put, fetched.content)
    return Content(sha256, fetched.filename, fetched.media_type or "", None)


def webvtt(reading: Reading) -> str:
    """Return a transcript as WebVTT (W3C), one cue per block, so that it is stored like any other file."""
    cues = [block for block in reading.blocks if block.place.seconds is not None]
    ends = [cue.place.seconds for cue in cues[1:]] + [None]
    lines = ["WEBVTT", ""]
    for cue, end in zip(cues, ends, strict=True):
        start = cue.place.seconds or 0.0
        lines += [
            f"{_timestamp(start)} --> {_timestamp(end if end is not None else start + 5)}",
            reading.text[cue.start : cue.end].replace("-->", "→").replace("&", "&amp;").replace("<", "&lt;"),
            "",
        ]
    return "\n".join(lines)


def _timestamp(seconds: float) -> str:
    milliseconds = round(seconds * 1_000)
    return (
        f"{milliseconds // 3_600_000:02}:{milliseconds // 60_000 % 60:02}:"
        f"{milliseconds // 1_000 % 60:02}.{milliseconds % 1_000:03}"
    )
