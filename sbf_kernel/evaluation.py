"""Measures search on gold questions: ``sbf eval DIR``.

DIR is in BEIR layout: ``corpus.jsonl`` with ``_id``, ``title``, ``text``;
``queries.jsonl`` with ``_id``, ``text``; ``qrels.tsv`` (or ``qrels/test.tsv``)
with query id, corpus id, score. The collection goes through the ordinary
ingest into a tenant of its own, which is deleted afterwards, so neither your
library nor its word statistics mix with it.
"""

from __future__ import annotations

import asyncio
import csv
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log2
from pathlib import Path
from statistics import mean, quantiles
from typing import Any
from uuid import UUID, uuid4

from sbf_kernel import operations as op
from sbf_kernel.backends.local import LocalBackend
from sbf_kernel.errors import InvalidInput, SourceError
from sbf_kernel.records import Principal
from sbf_kernel.settings import Settings
from sbf_kernel.storage import tenants

ARMS = ("lexical", "dense", "hybrid")
AT_ONCE = 16
"""Documents being registered at the same time."""

Progress = Callable[[str, int, int], None]
"""Called with stage, done, total."""


@dataclass(frozen=True)
class Collection:
    """A test collection: documents, questions, and which documents answer which question."""

    documents: Mapping[str, tuple[str, str]]
    """Title and text by id."""
    queries: Mapping[str, str]
    relevant: Mapping[str, Mapping[str, int]]
    """Gain by document id, by query id; only positive gains."""


def load(folder: Path) -> Collection:
    """Read a collection in BEIR layout. Questions without a positive judgement are left out.

    Raises
    ------
    InvalidInput
        A file is missing or malformed; says which line.
    """
    qrels = folder / "qrels.tsv" if (folder / "qrels.tsv").exists() else folder / "qrels" / "test.tsv"
    documents = {
        str(d["_id"]): (str(d.get("title") or ""), str(d["text"]))
        for d in _lines(folder / "corpus.jsonl", ("_id", "text"))
    }
    queries = {str(q["_id"]): str(q["text"]) for q in _lines(folder / "queries.jsonl", ("_id", "text"))}
    relevant: dict[str, dict[str, int]] = defaultdict(dict)
    for query_id, document_id, gain in _judgements(qrels):
        if gain > 0 and queries.get(query_id, "").strip():
            relevant[query_id][document_id] = gain
    if not relevant:
        raise InvalidInput(f"{qrels} judges none of the questions", hint="its ids must be those of queries.jsonl")
    return Collection(documents, {q: text for q, text in queries.items() if q in relevant}, relevant)


def _lines(path: Path, needed: Sequence[str]) -> Iterable[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _row(path, number, line, needed)
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError | UnicodeDecodeError) -> InvalidInput:
    why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
    return InvalidInput(f"{path} cannot be read: {why}", hint="DIR needs corpus.jsonl, queries.jsonl and qrels.tsv")


def _row(path: Path, number: int, line: str, needed: Sequence[str]) -> dict[str, Any]:
    try:
        row = json.loads(line)
        if all(key in row for key in needed):
            return dict(row)
    except (ValueError, TypeError):
        pass
    raise InvalidInput(
        f"{path}, line {number}: not a JSON object with {' and '.join(needed)}", hint="see docs/evaluate.md"
    )


def _judgements(path: Path) -> Iterable[tuple[str, str, int]]:
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            for number, row in enumerate(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE), start=1):
                if not row:
                    continue
                if len(row) < 3:
                    raise InvalidInput(
                        f"{path}, line {number}: not query id, corpus id, score", hint="three columns, tab separated"
                    )
                try:
                    yield row[0], row[-2], int(float(row[-1]))
                except (ValueError, OverflowError):
                    if number > 1:  # the header
                        raise InvalidInput(f"{path}, line {number}: score {row[-1]!r} is no number") from None
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error


async def evaluate(settings: Settings, folder: Path, progress: Progress = lambda *_: None) -> dict[str, Any]:
    """Ingest a collection and measure each arm of the search on its questions.

    Parameters
    ----------
    folder
        The collection in BEIR layout.

    Returns
    -------
    ``docs``, ``queries``, ``arms`` (by arm: ``ndcg@10``, ``recall@100``,
    ``mrr@10``, ``p50_ms``, ``p95_ms``) and ``ingest`` (``chunks_per_s``,
    ``seconds``). A ranking holds each document once, by its best chunk.

    Raises
    ------
    InvalidInput
        The collection is malformed.
    """
    collection = load(folder)
    backend = await LocalBackend.open(settings, Principal(user_id=f"eval-{uuid4()}"))
    try:
        notebook = await backend.call(op.CreateNotebook(name=folder.name or "evaluation"))
        documents_of, ingest = await _ingest(backend, notebook.id, collection, progress)
        arms = {}
        for arm in ARMS if backend.runtime.embedder else ARMS[:1]:
            arms[arm] = await _measure(backend, notebook.id, arm, collection, documents_of, progress)
    finally:
        await backend.runtime.tasks.close()
        await tenants.purge(backend.runtime.db, backend.principal)
        await backend.close()
    return {"docs": len(collection.documents), "queries": len(collection.queries), "arms": arms, "ingest": ingest}


async def _ingest(
    backend: LocalBackend, notebook_id: UUID, collection: Collection, progress: Progress
) -> tuple[dict[UUID, list[str]], dict[str, float]]:
    began = time.perf_counter()
    documents_of: dict[UUID, list[str]] = defaultdict(list)
    turns = asyncio.Semaphore(AT_ONCE)

    async def add(document_id: str, title: str, text: str) -> None:
        content = f"{title}\n\n{text}" if title else text
        if not content.strip():
            return
        async with turns:
            source = await backend.call(
                op.AddSource(
                    notebook_id=notebook_id,
                    name=" ".join((title or text)[:120].split()) or document_id,
                    origin=f"beir:{document_id}",
                    content=content.encode(),
                    media_type="text/plain",
                )
            )
            documents_of[source.id].append(document_id)

    await asyncio.gather(*(add(key, *document) for key, document in collection.documents.items()))
    place = {key: number for number, key in enumerate(collection.documents)}
    for documents in documents_of.values():  # twins in the order of the collection, not of who was faster
        documents.sort(key=place.__getitem__)
    ready, chunks = set[UUID](), 0
    async for source in backend.stream(op.WatchSources(source_ids=tuple(documents_of))):
        if source.status == "failed":
            raise SourceError(f"document {documents_of[source.id][0]} could not be ingested: {source.message}")
        if source.status == "ready" and source.id not in ready:
            ready.add(source.id)
            chunks += source.chunk_count
            progress("ingesting", len(ready), len(documents_of))
    seconds = time.perf_counter() - began
    return documents_of, {"chunks_per_s": round(chunks / seconds, 2), "seconds": round(seconds, 2), "chunks": chunks}


async def _measure(
    backend: LocalBackend,
    notebook_id: UUID,
    arm: str,
    collection: Collection,
    documents_of: Mapping[UUID, Sequence[str]],
    progress: Progress,
) -> dict[str, float]:
    scores: dict[str, list[float]] = defaultdict(list)
    times = []
    for number, (query_id, query) in enumerate(collection.queries.items(), start=1):
        began = time.perf_counter()
        hits = await backend.call(
            op.Search(query=query[:10_000], notebook_ids=(notebook_id,), arm=arm, limit=100, per_source=True)
        )
        times.append((time.perf_counter() - began) * 1_000)
        ranking = [document for hit in hits for document in documents_of[hit.source_id]]
        gains = collection.relevant[query_id]
        scores["ndcg@10"].append(ndcg(ranking, gains, 10))
        scores["recall@100"].append(recall(ranking, gains, 100))
        scores["mrr@10"].append(reciprocal_rank(ranking, gains, 10))
        progress(arm, number, len(collection.queries))
    cuts = quantiles(times, n=20, method="inclusive") if len(times) > 1 else times * 19
    return {
        **{name: round(mean(values), 4) for name, values in scores.items()},
        "p50_ms": round(cuts[9], 2),
        "p95_ms": round(cuts[18], 2),
    }


def ndcg(ranking: Sequence[str], gains: Mapping[str, int], depth: int) -> float:
    """Return the normalised discounted cumulative gain with linear gains, as trec_eval's ``ndcg_cut``."""
    found = sum(gains.get(document, 0) / log2(rank + 1) for rank, document in enumerate(ranking[:depth], start=1))
    ideal = sum(
        gain / log2(rank + 1) for rank, gain in enumerate(sorted(gains.values(), reverse=True)[:depth], start=1)
    )
    return found / ideal if ideal else 0.0


def recall(ranking: Sequence[str], gains: Mapping[str, int], depth: int) -> float:
    """Return the share of relevant documents among the first ``depth``."""
    return len(set(ranking[:depth]) & set(gains)) / len(gains) if gains else 0.0


def reciprocal_rank(ranking: Sequence[str], gains: Mapping[str, int], depth: int) -> float:
    """Return 1 / rank of the first relevant document, 0 when it is not among the first ``depth``."""
    return next((1 / rank for rank, document in enumerate(ranking[:depth], start=1) if document in gains), 0.0)
