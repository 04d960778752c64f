"""What ``import sbf_kernel`` and ``connect()`` cost, each in fresh interpreters.

Import: against ``import pydantic`` alone, alternating, medians; the goal is a
ratio of 1.3 and no heavy package loaded. Connect: with the server up already
(another process uses it), with the server stopped, and on an empty home. The
goal is half a second with the server up.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import sbf_kernel as sbf
from benchmarks import measuring

HEAVY = (
    "aiohttp",
    "alembic",
    "lxml",
    "msgpack",
    "numpy",
    "onnxruntime",
    "pandas",
    "pgvector",
    "psycopg",
    "py3langid",
    "pydantic_ai",
    "pypdfium2",
    "sqlalchemy",
    "Stemmer",
    "tokenizers",
    "tqdm",
    "IPython",
    "ipywidgets",
)
_TIMED = (
    "import json, sys, time; w, c = time.perf_counter(), time.process_time(); {work}; "
    "print(json.dumps([time.perf_counter() - w, time.process_time() - c, {extra}]))"
)


def fresh(work: str, extra: str = "None") -> list[Any]:
    """Run a statement in a fresh interpreter; returns wall seconds, CPU seconds and the value of ``extra``."""
    done = subprocess.run(
        [sys.executable, "-c", _TIMED.format(work=work, extra=extra)], capture_output=True, text=True, check=True
    )
    found: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def importing(runs: int) -> dict[str, Any]:
    """Import SBF and pydantic in turns."""
    fresh("import sbf_kernel")  # compiles what was never compiled
    ours, theirs = [], []
    for _ in range(runs):
        theirs.append(fresh("import pydantic; pydantic.BaseModel"))
        ours.append(fresh("import sbf_kernel", f"sorted(set(sys.modules) & set({HEAVY!r}))"))
    wall, cpu = ([median(run[i] for run in both) * 1_000 for both in (ours, theirs)] for i in (0, 1))
    return {
        "sbf_ms": round(wall[0], 1),
        "pydantic_ms": round(wall[1], 1),
        "ratio": round(wall[0] / wall[1], 2),
        "sbf_cpu_ms": round(cpu[0], 1),
        "pydantic_cpu_ms": round(cpu[1], 1),
        "cpu_ratio": round(cpu[0] / cpu[1], 2),
        "heavy": ours[0][2],
    }


def connecting(runs: int, home: Path) -> dict[str, Any]:
    """Connect in each state of the server."""
    work = f"import sbf_kernel as sbf; w, c = time.perf_counter(), time.process_time(); ws = sbf.connect(home={str(home)!r})"
    figures = {"empty home": [fresh(work)]}
    figures["server stopped"] = [fresh(work) for _ in range(max(3, runs // 3))]
    with sbf.connect(home=home):
        figures["server up"] = [fresh(work) for _ in range(runs)]
    return {
        state: {
            "wall_ms": round(median(run[0] for run in found) * 1_000),
            "cpu_ms": round(median(run[1] for run in found) * 1_000),
            "fastest_ms": round(min(run[0] for run in found) * 1_000),
        }
        for state, found in figures.items()
    }


def main() -> None:
    """Run from the command line."""
    arguments = measuring.parser(__doc__)
    arguments.add_argument("--runs", type=int, default=15)
    options: argparse.Namespace = arguments.parse_args()
    before = measuring.load_average()
    figures: dict[str, Any] = {"import": importing(options.runs)}
    with measuring.home() as home:
        figures["connect"] = connecting(options.runs, home)
    print(measuring.table([figures["import"].values()], list(figures["import"])))
    print(
        measuring.table(
            [(state, *found.values()) for state, found in figures["connect"].items()],
            ("connect()", "wall ms", "CPU ms", "fastest ms"),
        )
    )
    print("saved", measuring.save(options.output, "imports", figures, before).name)


if __name__ == "__main__":
    main()
