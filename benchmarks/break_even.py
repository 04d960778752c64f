"""Where does an index begin to pay? CPU time of the server per question, row by row and through the index, by size of the scope.

Needs a home that ``python -m benchmarks.scale --home DIR`` has filled; measures
the statements that :mod:`sbf_kernel.search` chooses from. Its thresholds,
``EXACT_CHUNKS`` in ``lexical`` and ``dense``, were set with these figures.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import measuring
from benchmarks.filling import Clusters, Prose
from sbf_kernel import operations as op
from sbf_kernel.backends.local import LocalBackend
from sbf_kernel.search import lexical
from sbf_kernel.settings import Settings
from sbf_kernel.storage import ranking

MODEL = "bench/known"
LIMIT = 100


async def run(home: Path, questions: int) -> dict[str, Any]:
    """Measure all ways in all notebooks of the home."""
    backend = await LocalBackend.open(Settings(home=home, embedder="none"))
    try:
        found = await backend.call(op.ListNotebooks(limit=100, sort="name"))
        scopes = sorted(((n.chunk_count, (n.id,)) for n in found if n.name != "everything"), key=lambda scope: scope[0])
        texts, vectors = Prose(seed=99).queries(questions), Clusters(seed=5).near(np.arange(questions))
        return {
            (f"{chunks:,} chunks" if notebooks else "everything"): await ways(backend, notebooks, texts, vectors)
            for chunks, notebooks in [*scopes, (0, ())]
            if chunks > 100 or not notebooks
        }
    finally:
        await backend.close()


async def ways(
    backend: LocalBackend, notebook_ids: tuple[Any, ...], texts: list[str], vectors: Any
) -> dict[str, float]:
    """Return server CPU milliseconds per question by way, and the rows that candidates come from."""
    figures: dict[str, float] = {}
    user_id = backend.principal.user_id
    async with backend.runtime.db.transaction(backend.principal) as connection:
        scope = await ranking.resolve_scope(connection, user_id, op.Search(query="x", notebook_ids=notebook_ids))
        plans = []
        for text in texts:
            weights, frequencies = await lexical.weigh(connection, user_id, scope, text)
            total = sum(chunks for _, chunks in scope.languages)
            plans.append(
                (
                    weights,
                    lexical.plan_candidates(weights, frequencies, total, widen=max(1.0, total / max(1, scope.chunks))),
                )
            )

        async def each(name: str, call: Any, items: list[Any]) -> None:
            await call(items[0])
            with measuring.cpu(backend.runtime) as used:
                for item in items:
                    await call(item)
            figures[f"{name}_ms"] = round(used.server / len(items) * 1_000, 1)

        await each("lexical_exact", lambda p: ranking.lexical_exact(connection, user_id, scope, p[0], LIMIT), plans)
        await each(
            "lexical_candidates",
            lambda p: ranking.lexical_candidates(connection, scope, p[0], p[1].keys, p[1].pairs, LIMIT),
            plans,
        )
        figures["candidates"] = round(float(np.mean([plan.chunks for _, plan in plans])))
        await each(
            "dense_exact", lambda v: ranking.dense_exact(connection, user_id, scope, MODEL, v, LIMIT), list(vectors)
        )
        await each(
            "dense_index",
            lambda v: ranking.dense_approximate(connection, user_id, scope, MODEL, v, LIMIT),
            list(vectors),
        )
    print(scope.chunks, figures, flush=True)
    return figures


def main() -> None:
    """Run from the command line."""
    arguments = measuring.parser(__doc__)
    arguments.add_argument("--questions", type=int, default=30)
    arguments.add_argument("--home", type=Path, required=True)
    options: argparse.Namespace = arguments.parse_args()
    before = measuring.load_average()
    figures = asyncio.run(run(options.home, options.questions))
    rows = [(scope, *found.values()) for scope, found in figures.items()]
    print(measuring.table(rows, ("scope", *next(iter(figures.values())))))
    print("saved", measuring.save(options.output, "break_even", figures, before).name)


if __name__ == "__main__":
    main()
