"""Search in a small part of a large collection: is everything found that an exact search finds.

Stores 200,000 chunks in 2,000 sources, builds the HNSW index as ingest does,
and sends questions with known vectors down the real search path. Compared with
exact search in numpy: recall@10 of the dense arm, overlap@10 of the lexical arm
with full BM25, and the number of hits, over notebooks of all sizes. Half of the
questions are on the topic of the notebook, half are not. Takes about ten
minutes on two idle cores; ``--chunks 20000`` gives a quick look.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import measuring
from benchmarks.filling import Clusters, Filled, KnownVectors, Prose, fill, made, reuse, show
from sbf_kernel import operations as op
from sbf_kernel.backends.local import LocalBackend
from sbf_kernel.ingest.sources import tend_indexes
from sbf_kernel.models import sparse
from sbf_kernel.settings import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

PER_SOURCE = 100
TIE = 2e-6
"""Scores this close count as equal: half-precision distances are summed in another order in the database."""


def members(sources: int) -> dict[str, range | None]:
    """Return sources by scope; None is everything."""
    parts = {f"{share} %": range(max(1, sources * share // 100)) for share in (1, 5, 10, 20, 50)}
    return {
        "three chunks": range(sources, sources + 1),
        **parts,
        "tagged half": range(0, sources + 1, 2),
        "everything": None,
    }


async def run(home: Path, chunks: int, questions: int) -> dict[str, Any]:
    """Fill, index and measure; returns the figures."""
    sources = chunks // PER_SOURCE
    backend = await LocalBackend.open(Settings(home=home, embedder="none"))
    runtime, filled, clusters, prose = backend.runtime, Filled(), Clusters(), Prose()
    try:
        runtime.embedder = KnownVectors({})
        scopes = members(sources)
        content = made([PER_SOURCE] * sources + [3], runtime.embedder.id, clusters, prose, filled)
        stored = await backend.call(op.ListNotebooks())
        with measuring.cpu(runtime) as filling:
            if stored.total:
                await reuse(runtime, backend.principal, filled)
            else:
                linked = {
                    name: numbers if numbers is not None else range(sources + 1) for name, numbers in scopes.items()
                }
                await fill(runtime, backend.principal, content, linked, filled, show)
        with measuring.cpu(runtime) as indexing:
            await tend_indexes(runtime)
        figures: dict[str, Any] = {
            "chunks": len(filled.source_of),
            "questions": questions,
            "reused": bool(stored.total),
            "fill_s": round(filling.wall),
            "fill_cpu_s": {"python": round(filling.own), "server": round(filling.server)},
            "index_s": round(indexing.wall),
        }
        print(figures, flush=True)
        exact = Exact(filled)
        figures["scopes"] = {
            name: await measure(backend, filled, exact, clusters, prose, name, numbers, questions)
            for name, numbers in scopes.items()
        }
        return figures
    finally:
        await backend.close()


class Exact:
    """Exact answers, computed in memory."""

    def __init__(self, filled: Filled) -> None:
        self._vectors, self._postings = filled.vectors(), filled.postings()

    def dense(self, vector: Any, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return the cosine of each row."""
        inside = self._vectors[rows]
        scores: NDArray[Any] = inside @ vector.astype(np.float16).astype(np.float32) / np.linalg.norm(inside, axis=1)
        return scores

    def lexical(self, query: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return the BM25 score of each row, with the statistics of the whole collection."""
        return self._postings.scores(sparse.encode_query(query, ["en"]))[rows]


async def measure(
    backend: LocalBackend,
    filled: Filled,
    exact: Exact,
    clusters: Clusters,
    prose: Prose,
    name: str,
    numbers: range | None,
    questions: int,
) -> dict[str, Any]:
    """Ask all questions in one scope, each arm alone and both, and compare."""
    rows = filled.rows(numbers)
    inside = exact._vectors[np.random.default_rng(5).choice(rows, questions)]
    texts, vectors = (
        prose.queries(questions),
        clusters.near(np.random.default_rng(6).integers(clusters.count, size=questions)),
    )
    drift = clusters.near(np.zeros(questions, dtype=int)) - clusters.near(np.zeros(questions, dtype=int))
    for number in range(0, questions, 2):  # on the topic: near a chunk that is inside
        vectors[number] = inside[number] + 0.5 * drift[number]
        vectors[number] /= np.linalg.norm(vectors[number])
    texts = [f"{text} q{number}" for number, text in enumerate(texts)]
    backend.runtime.embedder = KnownVectors(dict(zip(texts, vectors, strict=True)))
    where: dict[str, Any] = (
        {}
        if numbers is None
        else {"tags": ("even",)}
        if numbers.step == 2
        else {"notebook_ids": (filled.notebooks[name],)}
    )
    figures: dict[str, Any] = {"chunks": len(rows)}
    for arm in ("dense", "lexical", "hybrid"):
        times, shares, too_few = [], [], 0
        for text, vector in zip(texts, vectors, strict=True):
            began = time.perf_counter()
            hits = await backend.call(op.Search(query=text, **where, arm=arm, limit=10))
            times.append(time.perf_counter() - began)
            if arm != "hybrid":
                scores = exact.dense(vector, rows) if arm == "dense" else exact.lexical(text, rows)
                shares.append(_share([filled.row_of[hit.source, hit.start] for hit in hits], rows, scores))
            expected = min(10, int((exact.lexical(text, rows) > 0).sum()) if arm == "lexical" else len(rows))
            too_few += len(hits) < expected
        figures[arm] = {
            **({"found": round(float(mean(shares)), 4), "worst": round(float(min(shares)), 2)} if shares else {}),
            "too_few": too_few,
            **measuring.spread(times),
        }
    deep = [await backend.call(op.Search(query=text, **where, arm="dense", limit=100)) for text in texts[:20]]
    figures["too_few_of_100"] = sum(len(hits) < min(100, len(rows)) for hits in deep)
    print(name, figures, flush=True)
    return figures


def _share(found: list[int], rows: NDArray[np.int64], scores: NDArray[Any]) -> float:
    """Return how many of the exact top ten were found; equal scores may stand for each other."""
    wanted = min(10, int((scores > 0).sum()))
    if not wanted:
        return 1.0
    least = np.partition(scores, -wanted)[-wanted] - TIE * max(1.0, float(scores.max()))
    score_of = dict(zip(rows.tolist(), scores.tolist(), strict=True))
    return sum(score_of.get(row, -2.0) >= least for row in found[:wanted]) / wanted


def main() -> None:
    """Run from the command line."""
    arguments = measuring.parser(__doc__)
    arguments.add_argument("--chunks", type=int, default=200_000)
    arguments.add_argument("--questions", type=int, default=60)
    arguments.add_argument("--home", type=Path, help="fill this folder, or use it again when it is filled; kept")
    options: argparse.Namespace = arguments.parse_args()
    before = measuring.load_average()
    with measuring.home(options.home) as home:
        figures = asyncio.run(run(home, options.chunks, options.questions))
    rows = [
        (
            name,
            f["chunks"],
            f["dense"]["found"],
            f["lexical"]["found"],
            sum(f[a]["too_few"] for a in ("dense", "lexical", "hybrid")) + f["too_few_of_100"],
            *(f[a]["p50_ms"] for a in ("dense", "lexical", "hybrid")),
        )
        for name, f in figures["scopes"].items()
    ]
    print(
        measuring.table(
            rows,
            (
                "scope",
                "chunks",
                "dense recall@10",
                "lexical overlap@10",
                "answers with too few hits",
                "dense p50 ms",
                "lexical p50 ms",
                "hybrid p50 ms",
            ),
        )
    )
    print("saved", measuring.save(options.output, "scale", figures, before).name)


if __name__ == "__main__":
    main()
