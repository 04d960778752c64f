"""One uncached hybrid search over 100,000 chunks, from the question to hits with highlights, with the built-in model.

Text is that of installed packages' documents, questions are runs of 5 to 12
words from them; chunk vectors lie around real embeddings. Each question is
embedded alone right before it is searched, so that both see the same machine:
the ratio of the two is what to compare between machines, as are CPU
milliseconds. The goal is a median of 25 ms on an idle machine.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import measuring
from benchmarks.filling import Around, Filled, Prose, fill, made, show
from sbf_kernel import operations as op
from sbf_kernel.backends.local import LocalBackend
from sbf_kernel.ingest.sources import tend_indexes
from sbf_kernel.settings import Settings

PER_SOURCE = 50
CENTRES = 300
"""Real embeddings that the chunks' vectors scatter around."""
WARM_UP = 10


async def run(home: Path, chunks: int, questions: int) -> dict[str, Any]:
    """Fill, index and measure; returns the figures."""
    backend = await LocalBackend.open(Settings(home=home))
    runtime, filled, prose = backend.runtime, Filled(), Prose()
    assert runtime.embedder is not None
    try:
        stored = await backend.call(op.ListNotebooks())
        if not stored.total:
            passages = [prose.text(prose.topic()) for _ in range(CENTRES)]
            around = Around(np.stack(await runtime.embedder.embed_passages(passages)))
            content = made([PER_SOURCE] * (chunks // PER_SOURCE), runtime.embedder.id, around, prose, filled)
            sources = range(chunks // PER_SOURCE)
            await fill(
                runtime, backend.principal, content, {"1 %": range(len(sources) // 100), "all": sources}, filled, show
            )
            await tend_indexes(runtime)
        else:
            filled.notebooks = {n.name: n.id for n in stored}
        asked = Prose(seed=99).queries(questions + WARM_UP)
        for query in asked[:WARM_UP]:
            await backend.call(op.Search(query=query))
        asked = asked[WARM_UP:]
        figures: dict[str, Any] = {
            "chunks": (await backend.call(op.Search(query="index"))).searched_chunks,
            "questions": questions,
        }
        figures["everything"] = await side_by_side(backend, asked, ())
        figures["a notebook of 1 %"] = await side_by_side(backend, asked, (filled.notebooks["1 %"],))
        figures["cpu_ms"] = {
            arm: await cpu_of(backend, asked, arm) for arm in ("embedding", "lexical", "dense", "hybrid")
        }
        return figures
    finally:
        await backend.close()


async def side_by_side(backend: LocalBackend, asked: list[str], notebook_ids: tuple[Any, ...]) -> dict[str, Any]:
    """Embed and search each question; returns both times and the median of their ratios."""
    assert backend.runtime.embedder is not None
    alone, whole = [], []
    for query in asked:
        began = time.perf_counter()
        await backend.runtime.embedder.embed_query(query + ".")
        between = time.perf_counter()
        await backend.call(op.Search(query=query, notebook_ids=notebook_ids))
        alone.append(between - began)
        whole.append(time.perf_counter() - between)
    ratios = [b / a for a, b in zip(alone, whole, strict=True)]
    return {
        "embedding_alone": measuring.spread(alone),
        "search": measuring.spread(whole),
        "fastest_search_ms": round(min(whole) * 1_000, 2),
        "search_to_embedding": round(median(ratios), 2),
    }


async def cpu_of(backend: LocalBackend, asked: list[str], arm: str) -> dict[str, float]:
    """Return the CPU time per question of this process and of the server."""
    assert backend.runtime.embedder is not None
    with measuring.cpu(backend.runtime) as used:
        for query in asked:
            if arm == "embedding":
                await backend.runtime.embedder.embed_query(query)
            else:
                await backend.call(op.Search(query=query, arm=arm))
    return {"python": round(used.own / len(asked) * 1_000, 2), "server": round(used.server / len(asked) * 1_000, 2)}


def main() -> None:
    """Run from the command line."""
    arguments = measuring.parser(__doc__)
    arguments.add_argument("--chunks", type=int, default=100_000)
    arguments.add_argument("--questions", type=int, default=200)
    arguments.add_argument("--home", type=Path, help="fill this folder, or use it again when it is filled; kept")
    options: argparse.Namespace = arguments.parse_args()
    before = measuring.load_average()
    with measuring.home(options.home) as home:
        figures = asyncio.run(run(home, options.chunks, options.questions))
    rows = [
        (
            name,
            f["search"]["p50_ms"],
            f["search"]["p95_ms"],
            f["fastest_search_ms"],
            f["embedding_alone"]["p50_ms"],
            f["search_to_embedding"],
        )
        for name, f in figures.items()
        if isinstance(f, dict) and "search" in f
    ]
    print(measuring.table(rows, ("scope", "search p50 ms", "p95 ms", "fastest ms", "embedding alone p50 ms", "ratio")))
    cpu = [(arm, used["python"], used["server"]) for arm, used in figures["cpu_ms"].items()]
    print(measuring.table(cpu, ("CPU ms per question", "Python and model", "PostgreSQL")))
    print("saved", measuring.save(options.output, "latency", figures, before).name)


if __name__ == "__main__":
    main()
