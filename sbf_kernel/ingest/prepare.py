"""What a reader process does with one source: read, cut, weigh words. Never runs in the main process."""

from __future__ import annotations

import functools
import hashlib
import re
from bisect import bisect_right
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

from sbf_kernel.errors import SourceEmpty
from sbf_kernel.ingest.chunking import CHUNKER_ID, TITLE_CHARS, ChunkSpan, TokenOffsets, chunk, token_offsets
from sbf_kernel.ingest.language import detect_language
from sbf_kernel.models import content_hash, embedded_text
from sbf_kernel.models.sparse import encode_passage
from sbf_kernel.readers import read
from sbf_kernel.readers.reading import Place, Reading

_FILE_ENDING = re.compile(r"\.\w{1,8}$")


def prepare(path: str, name: str, media_type: str, password: str | None, language: str) -> dict[str, Any]:
    """Read the file at ``path`` and return everything that can be stored about it, except vectors.

    Parameters
    ----------
    path
        Where the raw bytes lie.
    name
        Name of the source; its ending is a hint, and it stands in for a missing title.
    media_type
        A hint, may be empty.
    language
        ISO 639-1 code, or empty to detect it.

    Returns
    -------
    Builtins only: ``text``, ``title``, ``language``, ``chunks`` and so on.

    Raises
    ------
    SourceError
        Why it cannot be read.
    """
    content = Path(path).read_bytes()
    if not content.strip(b"\x00 \t\r\n"):
        raise SourceEmpty(f"{name} is empty")
    reading = read(content, name=name, media_type=media_type or None, password=password)
    return describe(reading, name, language)


def describe(reading: Reading, name: str, language: str = "") -> dict[str, Any]:
    """Return the storable form of a reading: its text, and each chunk with context, place, terms and hash."""
    language = language or detect_language(reading.text)
    title = reading.title or _FILE_ENDING.sub("", name)
    reading = replace(reading, title=title)  # the chunker leaves room for it
    return {
        "text": reading.text,
        "text_sha256": hashlib.sha256(reading.text.encode()).digest(),
        "title": title,
        "media_type": reading.media_type,
        "language": language,
        "pages": reading.pages,
        "metadata": dict(reading.metadata),
        "reader": CHUNKER_ID,
        "chunks": [_chunk(reading, span, title, language) for span in chunk(reading, _tokens())],
    }


@functools.cache
def _tokens() -> TokenOffsets:
    return token_offsets()


def _chunk(reading: Reading, span: ChunkSpan, title: str, language: str) -> dict[str, Any]:
    passage = reading.text[span.start : span.end]
    context = with_title(title, span.context, passage)
    whole = embedded_text(context, passage)
    return {
        "start": span.start,
        "end": span.end,
        "context": context,
        "place": {**_known(span.place), "marks": _marks(reading, span)},
        "terms": list(encode_passage(whole, language).items()),
        "content_hash": content_hash(whole),
    }


def _known(place: Place) -> dict[str, Any]:
    return {key: value for key, value in asdict(place).items() if value not in (None, ())}


def _marks(reading: Reading, span: ChunkSpan) -> list[list[Any]]:
    """Return ``[offset, place]`` wherever the place changes inside a chunk: a second page, the next row.

    A citation is shown with the place of its own first character.
    """
    marks: list[list[Any]] = []
    latest = _known(span.place)
    first = bisect_right(reading.blocks, span.start, key=lambda block: block.start)
    for block in islice(reading.blocks, max(0, first - 1), None):
        if block.start >= span.end:
            break
        place = _known(block.place)
        if place != latest:
            marks.append([max(block.start, span.start), place])
            latest = place
    return marks


def with_title(title: str, context: str, passage: str) -> str:
    """Return the context of a chunk with the source's title in front, unless it stands there already."""
    title = title[:TITLE_CHARS]
    if not title or (context or passage).lstrip("# ").startswith(title):
        return context
    return f"{title}\n{context}" if context else title
