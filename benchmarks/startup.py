"""By how much the server half of the JupyterLab extension slows JupyterLab down: started with and without it, in turns.

Counted is the time until the server answers ``/api/status``, and the CPU time
it used till then; medians, and the median of what a start with it took more
than the one beside it. No settings of the user's own are read. Goal: at most
100 ms more.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks import measuring

EXTENSION = "sbf_kernel.server_extension"
START_SECONDS = 60.0
PAUSE = 0.005
"""Between two looks whether the server answers: what a figure may be off by."""


def start(folder: Path, *, enabled: bool) -> tuple[float, float]:
    """Start JupyterLab, wait until it answers, end it; returns wall and CPU seconds.

    Raises
    ------
    RuntimeError
        It did not come up, or the extension is there when it should not be, or the reverse.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    names = ("HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "SBF_HOME")
    own = {name: str(folder / name.lower()) for name in names}
    foreign = ("JUPYTER", "SBF_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | own
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"),
        *("--ServerApp.port_retries=0", f"--ServerApp.root_dir={folder}", f"--IdentityProvider.token={token}"),
        f"--ServerApp.jpserver_extensions={{'{EXTENSION}': {enabled}}}",
    ]
    began = time.perf_counter()
    with open(folder / "lab.log", "wb") as log:
        process = psutil.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
    try:
        while _status(port, token, "api/status") != 200:
            if process.poll() is not None or time.perf_counter() - began > START_SECONDS:
                raise RuntimeError((folder / "lab.log").read_text(encoding="utf-8", errors="replace")[-2_000:])
            time.sleep(PAUSE)
        wall, used = time.perf_counter() - began, process.cpu_times()
        if (_status(port, token, "sbf/api/status") == 200) is not enabled:
            raise RuntimeError(f"{EXTENSION} should be {'on' if enabled else 'off'} and is not")
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired, psutil.TimeoutExpired):
            process.wait(20)
        if process.is_running():
            process.kill()
    return wall, used.user + used.system + used.children_user + used.children_system


def _status(port: int, token: str, path: str) -> int:
    """Return the status with which the server answers; 0 while it does not listen yet."""
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/{path}", headers={"Authorization": f"token {token}"})
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def measure(runs: int, folder: Path) -> dict[str, Any]:
    """Start it in turns; the first two starts, which compile what was never compiled, do not count."""
    taken: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for number in range(runs + 1):
        for enabled in (False, True) if number % 2 else (True, False):
            found = start(folder, enabled=enabled)
            if number:
                taken[enabled].append(found)
    more = [(ours[0] - bare[0], ours[1] - bare[1]) for ours, bare in zip(taken[True], taken[False], strict=True)]
    figures: dict[str, Any] = {
        name: _medians(pairs) for name, pairs in (("without", taken[False]), ("with", taken[True]), ("more", more))
    }
    for name, enabled in (("without", False), ("with", True)):
        figures[name]["fastest_ms"] = round(min(wall for wall, _ in taken[enabled]) * 1_000)
    figures["more"]["fastest_ms"] = figures["with"]["fastest_ms"] - figures["without"]["fastest_ms"]
    return figures | {"runs": runs}


def _medians(taken: Sequence[tuple[float, float]]) -> dict[str, int]:
    wall, cpu = zip(*taken, strict=True)
    return {"wall_ms": round(median(wall) * 1_000), "cpu_ms": round(median(cpu) * 1_000)}


def main() -> None:
    """Run from the command line."""
    arguments = measuring.parser(__doc__)
    arguments.add_argument("--runs", type=int, default=16)
    options: argparse.Namespace = arguments.parse_args()
    before = measuring.load_average()
    with measuring.home() as folder:
        figures = measure(options.runs, folder)
    rows = [(name, *figures[name].values()) for name in ("without", "with", "more")]
    print(measuring.table(rows, ("the server half", "wall ms", "CPU ms", "fastest wall ms")))
    print("saved", measuring.save(options.output, "startup", figures, before).name)


if __name__ == "__main__":
    main()
