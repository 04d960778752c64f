"""Adding a folder against what the embedding model alone needs for the same chunks.

About 150 generated text files of 1 to 20 kB. In turns, in one run: ``sbf add``
as a process of its own on an empty home, and the model alone in a process of its
own on the very same inputs, both with all threads. Reported are the whole
command, the part of it that adds (without start, connect and stop), and CPU time
of all processes, which does not depend on who else uses the machine. The goal is
a ratio of 1.25 between adding and the model alone.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import measuring
from benchmarks.filling import Prose

_MODEL = """
import asyncio, json, sys, time
from sbf_kernel.models.builtin import load_embedder
from sbf_kernel.settings import Settings
texts = json.load(open(sys.argv[1]))
embedder = load_embedder(Settings())
async def run():
    await embedder.embed_passages(texts[:2])
    began, cpu = time.perf_counter(), time.process_time()
    await embedder.embed_passages(texts)
    print(json.dumps([time.perf_counter() - began, time.process_time() - cpu]))
asyncio.run(run())
"""
_ADD = """
import json, sys, time
import sbf_kernel as sbf
ws = sbf.connect(home=sys.argv[1])
nb = ws.notebooks.open("bench")
nb.add_text("warm up", name="warm up", progress=False)
began, cpu = time.perf_counter(), time.process_time()
added = nb.add(sys.argv[2], progress=False)
wall, cpu = time.perf_counter() - began, time.process_time() - cpu
assert all(source.status == "ready" for source in added)
ws.close()
print(json.dumps([wall, cpu, sum(source.chunk_count for source in added)]))
"""


def write_files(folder: Path, count: int) -> None:
    """Write text files of 1 to 20 kB, most of them short."""
    folder.mkdir(parents=True)
    prose, random = Prose(), np.random.default_rng(17)
    for number in range(count):
        size = int(np.clip(random.lognormal(7.9, 0.8), 1_000, 20_000))
        topic = prose.topic()
        paragraphs = [f"Report {number}"]
        while sum(map(len, paragraphs)) < size:
            paragraphs.append(prose.text(topic, int(random.integers(40, 120))))
        (folder / f"report-{number:03}.txt").write_text("\n\n".join(paragraphs), encoding="utf-8")


def inputs(folder: Path) -> list[str]:
    """Return what the model is given for each chunk of the folder."""
    from sbf_kernel.ingest import pipeline
    from sbf_kernel.ingest.prepare import prepare

    texts = []
    for path in sorted(folder.iterdir()):
        prepared = prepare(str(path), path.name, "", None, "")
        texts += [pipeline._input(prepared["text"], chunk) for chunk in prepared["chunks"]]
    return texts


def measured(command: list[str], environment: dict[str, str]) -> tuple[float, float, str]:
    """Run a command; returns wall seconds, CPU seconds of all its processes that it waited for, and its output."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def run(scratch: Path, count: int, rounds: int) -> dict[str, Any]:
    """Write the folder and measure in turns."""
    folder, texts = scratch / "folder", scratch / "texts.json"
    write_files(folder, count)
    texts.write_text(json.dumps(inputs(folder)), encoding="utf-8")
    found: list[dict[str, float]] = []
    chunks = 0
    for number in range(rounds):
        environment = {**os.environ, "SBF_HOME": str(scratch / f"cli-{number}")}
        cli, _, _ = measured([sys.executable, "-m", "sbf_kernel", "add", str(folder)], environment)
        _, _, out = measured([sys.executable, "-c", _MODEL, str(texts)], environment)
        model = json.loads(out.splitlines()[-1])
        _, _, out = measured([sys.executable, "-c", _ADD, str(scratch / f"add-{number}"), str(folder)], environment)
        added = json.loads(out.splitlines()[-1])
        chunks = added[2]
        found.append(
            {
                "sbf_add_s": cli,
                "adding_s": added[0],
                "adding_cpu_s": added[1],
                "model_s": model[0],
                "model_cpu_s": model[1],
            }
        )
        print(found[-1], flush=True)
    figures: dict[str, Any] = {key: round(median(row[key] for row in found), 2) for key in found[0]}
    return {
        "files": count,
        "chunks": chunks,
        "rounds": rounds,
        **figures,
        "ratio_adding": round(median(row["adding_s"] / row["model_s"] for row in found), 3),
        "ratio_command": round(median(row["sbf_add_s"] / row["model_s"] for row in found), 3),
        "ratio_cpu": round(median(row["adding_cpu_s"] / row["model_cpu_s"] for row in found), 3),
    }


def main() -> None:
    """Run from the command line."""
    arguments = measuring.parser(__doc__)
    arguments.add_argument("--files", type=int, default=150)
    arguments.add_argument("--rounds", type=int, default=3)
    options: argparse.Namespace = arguments.parse_args()
    before = measuring.load_average()
    with measuring.home() as scratch:
        figures = run(scratch, options.files, options.rounds)
    print(measuring.table(list(figures.items()), ("", "")))
    print("saved", measuring.save(options.output, "ingest", figures, before).name)


if __name__ == "__main__":
    main()
