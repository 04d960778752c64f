"""Writes the tables of ``docs/benchmarks.md`` from ``benchmarks/results/*.json``, between markers."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measuring import RESULTS, table

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
_MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def scale(figures: dict[str, Any]) -> str:
    """Scopes inside a large collection."""
    arms = ("dense", "lexical", "hybrid")
    rows = [
        (
            name,
            f["chunks"],
            f["dense"]["found"],
            f["lexical"]["found"],
            sum(f[arm]["too_few"] for arm in arms) + f["too_few_of_100"],
            *(f[arm]["p50_ms"] for arm in arms),
        )
        for name, f in figures["scopes"].items()
    ]
    return table(
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


def latency(figures: dict[str, Any]) -> str:
    """One search, beside the embedding alone."""
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
    cpu = [(arm, used["python"], used["server"]) for arm, used in figures["cpu_ms"].items()]
    return "\n\n".join(
        (
            table(rows, ("scope", "p50 ms", "p95 ms", "fastest ms", "embedding alone p50 ms", "ratio of both")),
            table(cpu, ("CPU ms per question", "Python and model", "PostgreSQL")),
        )
    )


def imports(figures: dict[str, Any]) -> str:
    """Import and connect."""
    found = figures["import"]
    rows = [
        ("`import sbf_kernel`", found["sbf_ms"], found["sbf_cpu_ms"]),
        ("`import pydantic`", found["pydantic_ms"], found["pydantic_cpu_ms"]),
    ]
    rows += [(f"`connect()`, {state}", f["wall_ms"], f["cpu_ms"]) for state, f in figures["connect"].items()]
    return (
        table(rows, ("", "wall ms", "CPU ms"))
        + f"\n\nHeavy packages loaded by the import: {', '.join(found['heavy']) or 'none'}."
    )


def startup(figures: dict[str, Any]) -> str:
    """JupyterLab with and without the server half."""
    names = {"without the server half": "without", "with it": "with", "more": "more"}
    rows = [(words, *figures[name].values()) for words, name in names.items()]
    return table(rows, (f"JupyterLab, {figures['runs']} starts each", "wall ms", "CPU ms", "fastest wall ms"))


def fresh_install(figures: dict[str, Any]) -> str:
    """Show what pip took, and the promises."""
    kept = sum(outcome == "kept" for outcome in figures["promises"].values())
    shown = {
        "seconds of `pip install`, nothing cached": figures["pip_install_s"],
        "packages": figures["packages"],
        "MB on disk": figures["size_mb"],
        "promises": len(figures["promises"]),
        "kept": kept,
    }
    return table(list(shown.items()), ("", ""))


def ingest(figures: dict[str, Any]) -> str:
    """Adding against the model alone."""
    return table(list(figures.items()), ("", "median"))


def reference_bm25(figures: dict[str, Any]) -> str:
    """Quality against a reference."""
    return table(
        [
            (name, f["documents"], f["ours"]["ndcg@10"], f["bm25s"]["ndcg@10"], f["difference"])
            for name, f in figures.items()
        ],
        ("collection", "documents", "ours nDCG@10", "bm25s nDCG@10", "difference"),
    )


def break_even(figures: dict[str, Any]) -> str:
    """Row by row or through the index."""
    return table(
        [(scope, *found.values()) for scope, found in figures.items()], ("scope", *next(iter(figures.values())))
    )


def kill_ingest(figures: dict[str, Any]) -> str:
    """Count what was killed and what was lost."""
    shown = {
        "kills": sum(figures["kills"].values()),
        "in the middle of an ingest": figures["in_the_middle"],
        "of them of the server": figures["kills"].get("server", 0),
        "acknowledged versions": figures["acknowledged"],
        "broken promises": len(figures["faults"]),
        "processes left": len(figures["processes_left"]),
    }
    return table(list(shown.items()), ("", "count"))


def service(figures: dict[str, Any]) -> str:
    """Costs of a request, and delays of events."""
    columns = ("service", "redis", "postgres", "total", "to_bare")
    costs = [(name, *(cost[column] for column in columns)) for name, cost in figures["cpu_ms"].items()]
    found = [("streams that read along with few answers", figures["streams"])]
    found += [("an answer for each stream", figures["answers"])]
    rows = [
        (
            name,
            f["streams"],
            f["events_per_second"],
            f["lag"]["p50_ms"],
            f["lag"]["p99_ms"],
            f["first_event"]["p95_ms"],
            f["words_dropped"],
            f["cpu_ms_per_event"],
            f["kept_waiting"],
        )
        for name, f in found
    ]
    lag = ("delay p50 ms", "delay p99 ms", "first event p95 ms", "lost", "CPU ms per event", "kept waiting for a CPU")
    return "\n\n".join(
        (
            table(costs, ("CPU ms per request", "service", "Redis", "PostgreSQL", "all", "times a bare route")),
            table(rows, ("", "streams", "events per second", *lag)),
        )
    )


def cuts(figures: dict[str, Any]) -> str:
    """Count what was cut and what became of it."""
    places = {"between client and service": "client_to_service", "between service and database": "service_to_database"}
    rows = []
    for name, place in places.items():
        f = figures[place]
        errors, effect = sum(f["errors"].values()), f["errors_that_had_taken_effect"]
        rows.append((name, sum(f["cuts"].values()), f["acknowledged"], errors, effect, len(f["lost"]), len(f["twice"])))
    header = ("connections cut", "cuts", "acknowledged", "errors", "of them had taken effect", "lost", "twice")
    return table(rows, header)


def fuzz(figures: dict[str, Any]) -> str:
    """Count cases and failures."""
    shown = {"cases": figures["cases"], "not as described, or 5xx": sum(figures["failures"].values())}
    return table(list(shown.items()), ("", "count"))


TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    "scale": scale,
    "latency": latency,
    "imports": imports,
    "startup": startup,
    "fresh_install": fresh_install,
    "ingest": ingest,
    "reference_bm25": reference_bm25,
    "break_even": break_even,
    "kill_ingest": kill_ingest,
    "service": service,
    "cuts": cuts,
    "fuzz": fuzz,
}


def render(name: str) -> str:
    """Return the table of a benchmark and the circumstances of its measurement."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        return f"Not measured yet: run `python -m benchmarks.{name}`.\n"
    record = json.loads(path.read_text(encoding="utf-8"))
    load, machine = record["load_average"], record["machine"]
    where = f"{record['measured']}, {machine['cpu']}, {machine['cores']} cores, load {load['before']} before and {load['after']} after."
    return f"{TABLES[name](record['figures'])}\n\n*{where}*\n"


def main() -> int:
    """Rewrite the page; 1 when a marker names no benchmark."""
    page = PAGE.read_text(encoding="utf-8")
    unknown = [name for _, name, _ in _MARKED.findall(page) if name not in TABLES]
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}")
        return 1
    PAGE.write_text(_MARKED.sub(lambda match: match[1] + render(match[2]) + match[3], page), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
