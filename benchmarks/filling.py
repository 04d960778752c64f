"""Collections of any size for the benchmarks: text of installed packages, vectors in overlapping clusters.

Text is cut from the documents of installed packages, runs of ten to thirty
words at a time, mostly from few documents per source: word frequencies and
topics are those of real prose, and any size can be made.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
from pgvector import SparseVector

from sbf_kernel.models import sparse
from sbf_kernel.records import Principal
from sbf_kernel.storage import notebooks, sources, versions
from sbf_kernel.storage.versions import NewChunk, NewVersion

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sqlalchemy.ext.asyncio import AsyncConnection

    from sbf_kernel.runtime import Runtime

    Matrix = NDArray[np.float32]

WORDS = 115
"""Words per chunk: what the chunker's target of 160 tokens comes to."""
GROUP = 10
"""Sources stored in one transaction."""
_MOST_BYTES = 16_000_000


class Prose:
    """Endless text with the word statistics of real documents."""

    def __init__(self, seed: int = 7) -> None:
        self._random = np.random.default_rng(seed)
        self._documents = [words for words in _documents() if len(words) > 200]

    def topic(self) -> list[int]:
        """Return the documents a source is about."""
        return [int(i) for i in self._random.integers(len(self._documents), size=3)]

    def text(self, topic: Sequence[int], words: int = WORDS) -> str:
        """Return about ``words`` words, four fifths of them on the topic."""
        runs: list[str] = []
        while words > 0:
            own = self._random.random() < 0.8
            document = self._documents[
                topic[int(self._random.integers(len(topic)))]
                if own
                else int(self._random.integers(len(self._documents)))
            ]
            length = int(self._random.integers(10, 31))
            start = int(self._random.integers(max(1, len(document) - length)))
            runs.append(" ".join(document[start : start + length]))
            words -= length
        return " ".join(runs)

    def queries(self, count: int, shortest: int = 5, longest: int = 12) -> list[str]:
        """Return runs of words as people might ask for them, each out of one document."""
        return [self._run(int(self._random.integers(shortest, longest + 1))) for _ in range(count)]

    def _run(self, length: int) -> str:
        document = self._documents[int(self._random.integers(len(self._documents)))]
        start = int(self._random.integers(len(document) - length))
        return " ".join(document[start : start + length])


def _documents() -> Iterator[list[str]]:
    """Yield the words of text files in site-packages, and of the docstrings in modules, until there are enough."""
    place, seen, size = Path(sysconfig.get_path("purelib")), set[bytes](), 0
    files = sorted(path for pattern in ("*.rst", "*.md", "*.txt", "*.py") for path in place.rglob(pattern))
    for path in files:
        if size > _MOST_BYTES:
            return
        try:
            text = path.read_text(encoding="utf-8", errors="ignore")
        except OSError:
            continue
        if path.suffix == ".py":
            text = " ".join(text.split('"""')[1::2])
        digest = hashlib.sha256(text.encode()).digest()
        if len(text) > 1_500 and digest not in seen:
            seen.add(digest)
            size += len(text)
            yield text.split()


class Clusters:
    """Unit vectors in 1,000 overlapping Gaussian clusters: 48 latent dimensions and noise, as real embeddings spread.

    Parameters
    ----------
    clusters
        How many centres.
    latent
        Dimensions in which clusters differ.
    """

    def __init__(self, seed: int = 11, dimensions: int = 384, clusters: int = 1_000, latent: int = 48) -> None:
        self._random = np.random.default_rng(seed)
        basis, _ = np.linalg.qr(self._random.normal(size=(dimensions, latent)))
        self._basis = basis.T.astype(np.float32)
        self._latent_centres = self._random.normal(size=(clusters, latent)).astype(np.float32)
        self.count = clusters

    def near(self, clusters: Sequence[int] | NDArray[np.int64]) -> Matrix:
        """Return one unit vector for each cluster named."""
        latent = self._latent_centres[np.asarray(clusters)] + 0.6 * self._random.normal(
            size=(len(clusters), self._basis.shape[0])
        )
        vectors = latent.astype(np.float32) @ self._basis + 0.12 * self._random.normal(
            size=(len(clusters), self._basis.shape[1])
        )
        return _unit(vectors.astype(np.float32))


class Around:
    """Unit vectors scattered around given ones, so that real questions meet neighbours at realistic distances."""

    def __init__(self, centres: Matrix, seed: int = 13, spread: float = 0.55) -> None:
        self._random = np.random.default_rng(seed)
        self._centres, self._spread, self.count = centres, spread, len(centres)

    def near(self, clusters: Sequence[int] | NDArray[np.int64]) -> Matrix:
        """Return one unit vector for each centre named; noise lies along differences of other centres."""
        chosen = self._centres[np.asarray(clusters)]
        pairs = self._random.integers(self.count, size=(4, len(chosen)))
        drift = (self._centres[pairs[0]] - self._centres[pairs[1]]) + (
            self._centres[pairs[2]] - self._centres[pairs[3]]
        )
        return _unit((chosen + self._spread * drift / 2).astype(np.float32))


def _unit(vectors: Matrix) -> Matrix:
    unit: Matrix = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


class Filled:
    """What was stored, one row per chunk, so that results can be compared with exact ones."""

    def __init__(self) -> None:
        self.notebooks: dict[str, UUID] = {}
        self.row_of: dict[tuple[str, int], int] = {}
        """Row by name of the source and start of the chunk."""
        self.source_of: list[int] = []
        self._vectors: list[Matrix] = []
        self._terms: list[dict[int, float]] = []

    def keep(self, number: int, chunks: Sequence[tuple[int, dict[int, float]]], vectors: Matrix) -> None:
        """Remember chunks of one source: start and BM25 weights of each."""
        for start, terms in chunks:
            self.row_of[f"source {number}", start] = len(self.source_of)
            self.source_of.append(number)
            self._terms.append(terms)
        self._vectors.append(vectors)

    def rows(self, sources: range | None) -> NDArray[np.int64]:
        """Return the rows of some sources, or of all."""
        numbers = np.asarray(self.source_of)
        if sources is None:
            return np.arange(len(numbers))
        return np.flatnonzero(np.isin(numbers, np.asarray(sources)))

    def vectors(self) -> Matrix:
        """Return all vectors as they are stored: in half precision."""
        return np.concatenate(self._vectors).astype(np.float16).astype(np.float32)

    def postings(self) -> Postings:
        """Return the BM25 weights by term."""
        return Postings(self._terms)


class Postings:
    """An inverted index in memory, to compute exact BM25 with."""

    def __init__(self, terms: Sequence[dict[int, float]]) -> None:
        lengths = [len(weights) for weights in terms]
        ids = np.fromiter((term for weights in terms for term in weights), np.int64, sum(lengths))
        weights = np.fromiter((weight for weights in terms for weight in weights.values()), np.float32, sum(lengths))
        order = np.argsort(ids, kind="stable")
        self._ids, self._weights = ids[order], weights[order]
        self._rows = np.repeat(np.arange(len(terms)), lengths)[order]
        self.count = len(terms)

    def scores(self, query: dict[int, int]) -> Matrix:
        """Return the BM25 score of every row."""
        scores = np.zeros(self.count, np.float32)
        for term, count in query.items():
            first, last = np.searchsorted(self._ids, [term, term + 1])
            if last > first:
                scores[self._rows[first:last]] += (
                    count * sparse.idf(int(last - first), self.count) * self._weights[first:last]
                )
        return scores


Progress = Callable[[str, int, int], None]


def made(
    sizes: Sequence[int], model: str, vectors: Clusters | Around, prose: Prose, filled: Filled, seed: int = 3
) -> Iterator[tuple[int, NewVersion]]:
    """Yield number and content of each source; the same arguments give the same collection."""
    random = np.random.default_rng(seed)
    for number, size in enumerate(sizes):
        embedded = vectors.near(random.choice(random.integers(vectors.count, size=3), size=size))
        sha256, topic, position, chunks = (
            hashlib.sha256(str(number).encode()).digest(),
            prose.topic(),
            0,
            list[NewChunk](),
        )
        for row, vector in enumerate(embedded):
            text = prose.text(topic)
            chunks.append(
                NewChunk(
                    position,
                    position + len(text),
                    text,
                    "",
                    {},
                    sparse.encode_passage(text, "en"),
                    sha256[:12] + row.to_bytes(4, "big"),
                    vector,
                )
            )
            position += len(text) + 1
        filled.keep(number, [(chunk.start, chunk.terms) for chunk in chunks], embedded)
        whole = " ".join(chunk.text for chunk in chunks)
        yield (
            number,
            NewVersion(
                UUID(bytes=sha256[:16]),
                sha256,
                hashlib.sha256(whole.encode()).digest(),
                whole,
                f"source {number}",
                "text/plain",
                "en",
                None,
                "bench",
                model,
                chunks,
            ),
        )


async def fill(
    runtime: Runtime,
    principal: Principal,
    content: Iterator[tuple[int, NewVersion]],
    members: dict[str, range],
    filled: Filled,
    progress: Progress = lambda *_: None,
) -> None:
    """Store a collection through the same transactions that ingest uses.

    Parameters
    ----------
    members
        Sources by notebook.
    """
    async with runtime.db.transaction(principal) as connection:
        for name in members:
            filled.notebooks[name] = (await notebooks.create(connection, principal.user_id, name, "")).id
    while group := list(itertools.islice(content, GROUP)):
        async with runtime.db.transaction(principal) as connection:
            versions_made = [
                await _register(connection, principal, number, version, members, filled) for number, version in group
            ]
            await versions.store(connection, principal.user_id, versions_made)
        progress("chunks stored", len(filled.source_of), 0)


async def reuse(runtime: Runtime, principal: Principal, filled: Filled) -> None:
    """Take a home that was filled before: read what is in it."""
    async with runtime.db.transaction(principal) as connection:
        for notebook in await notebooks.find(
            connection, principal.user_id, search="", sort="name", limit=100, offset=0
        ):
            filled.notebooks[notebook.name] = notebook.id
        raw: Any = (await connection.get_raw_connection()).driver_connection
        async with raw.cursor("stored") as cursor:
            await cursor.execute("""select s.name, c.start_char, e.embedding::text, l.terms::text from chunks c
                join sources s on s.user_id = c.user_id and s.id = c.source_id
                join embeddings e on e.user_id = c.user_id and e.chunk_id = c.id
                join lexical l on l.user_id = c.user_id and l.chunk_id = c.id""")
            cursor.itersize = 5_000
            async for name, start, embedding, terms in cursor:
                weights = SparseVector.from_text(terms)
                vector = np.fromstring(embedding[1:-1], np.float32, sep=",")
                filled.keep(
                    int(name.split()[1]),
                    [(start, dict(zip(weights.indices(), weights.values(), strict=True)))],
                    vector[None],
                )


async def _register(
    connection: AsyncConnection,
    principal: Principal,
    number: int,
    version: NewVersion,
    members: dict[str, range],
    filled: Filled,
) -> NewVersion:
    created = await sources.insert(
        connection,
        principal.user_id,
        origin=f"bench:{number}",
        name=version.title,
        media_type="text/plain",
        language="",
        tags=("even",) if number % 2 == 0 else (),
        sha256=version.sha256,
        url=None,
    )
    assert created is not None
    for name, numbers in members.items():
        if number in numbers:
            await sources.link(connection, principal.user_id, filled.notebooks[name], created.id)
    return dataclasses.replace(version, source_id=created.id)


class KnownVectors:
    """An embedder that knows the vectors of its questions: the search path is the real one, the model is not."""

    def __init__(self, vectors: dict[str, Any], dimensions: int = 384) -> None:
        self.id, self.dimensions, self._vectors = "bench/known", dimensions, vectors
        self.languages: frozenset[str] | None = None

    async def embed_query(self, text: str) -> Any:
        """Return the vector that was given for this text."""
        return self._vectors[text]

    async def embed_passages(self, texts: Sequence[str]) -> list[Any]:
        """Return cheap vectors that depend on the text only."""
        return [_hashed(text, self.dimensions) for text in texts]

    def close(self) -> None:
        """Nothing to release."""


def _hashed(text: str, dimensions: int) -> Any:
    seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
    return _unit(np.random.default_rng(seed).normal(size=(1, dimensions)).astype(np.float32))[0]


def show(stage: str, done: int, total: int) -> None:
    """Print progress on one line."""
    if done % 10_000 < 1_000 or done >= total > 0:
        print(f"{stage}: {done:,}", flush=True)
