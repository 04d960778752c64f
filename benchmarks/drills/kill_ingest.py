"""Fifty times ``kill -9`` in the middle of an ingest; afterwards nothing may be lost, doubled or left behind.

Two processes add the same 200 files to one embedded database. The driver kills
one of them, both, or the database server at random moments while the victim
demonstrably works on a source (it holds the source's lock in the database),
and starts them again. When all files are in, some get new contents, so that
there is always work. Every outcome a worker was told is in a log, written
through to the disk. At the end all files must be searchable in their last
contents, every logged version must still be there word for word, and five
seconds after the last process no server may run.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import psycopg

import sbf_kernel as sbf
from benchmarks import measuring
from benchmarks.drills import verdict
from benchmarks.filling import Prose
from sbf_kernel.storage import pg_place

WORKERS = ("a", "b")
CHANGED = 60
"""Files that get new contents when all are in and kills are left to do."""
VICTIMS = ("a", "b", "both", "server")
WEIGHTS = (38, 37, 15, 10)


@dataclass
class Drill:
    """The state of one run."""

    home: Path
    files: int
    embedder: str
    random: random.Random
    prose: Prose = field(default_factory=Prose)
    contents: dict[str, list[bytes]] = field(default_factory=dict)
    """All contents each file ever had, by name."""
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)
    mid_ingest: int = 0
    errors: list[str] = field(default_factory=list)
    mark: str = field(default_factory=lambda: uuid4().hex)
    notebook: str = ""

    @property
    def folder(self) -> Path:
        """Where the files lie."""
        return self.home / "files"

    @property
    def store(self) -> Path:
        """The home of the database."""
        return self.home / "store"

    def write(self, numbers: range | list[int]) -> None:
        """Give these files new contents of two to four chunks."""
        self.folder.mkdir(exist_ok=True)
        for number in numbers:
            name = f"file-{number:03}.txt"
            texts = self.contents.setdefault(name, [])
            paragraphs = [
                self.prose.text(self.prose.topic(), self.random.randint(60, 110))
                for _ in range(self.random.randint(3, 4))
            ]
            texts.append("\n\n".join([f"File {number}, state {len(texts) + 1}", *paragraphs]).encode())
            (self.folder / name).write_bytes(texts[-1])

    def start(self, name: str) -> None:
        """Start a worker."""
        command = [
            sys.executable,
            "-m",
            "benchmarks.drills.worker",
            str(self.store),
            str(self.folder),
            self.notebook,
            str(self.home / f"{name}.log"),
            self.embedder,
        ]
        environment = {**os.environ, "PGAPPNAME": f"drill-{name}", "SBF_DRILL": self.mark}
        with (self.home / f"{name}.err").open("ab") as errors:
            self.workers[name] = subprocess.Popen(command, env=environment, stderr=errors, cwd=Path.cwd())

    def working(self) -> Counter[str]:
        """Return how many sources each worker works on: the locks it holds, but for the one that shows it lives."""
        try:
            with psycopg.connect(
                pg_place.locate(self.store).conninfo("sbf"), autocommit=True, connect_timeout=3
            ) as connection:
                rows = connection.execute("""select a.application_name, count(*) - 1 from pg_locks l join pg_stat_activity a using (pid)
                    where l.locktype = 'advisory' and l.objsubid = 1 and l.granted
                      and exists (select from sbf.sources where status = 'processing') group by 1""").fetchall()
        except psycopg.Error:
            return Counter()
        return Counter({name.removeprefix("drill-"): count for name, count in rows})

    def kill(self, victim: str) -> None:
        """Kill, and count whether it hit somebody at work."""
        names = [victim] if victim in WORKERS else list(WORKERS)
        working = self.working()
        if victim == "server":
            process = self._postmaster()
            if process is not None:
                process.kill()
        else:
            for name in names:
                self.workers[name].send_signal(signal.SIGKILL)
        self.kills[victim] += 1
        self.mid_ingest += any(working[name] for name in names)
        if victim != "server":
            for name in names:
                self.workers[name].wait()

    def _postmaster(self) -> psutil.Process | None:
        try:
            pid = int((pg_place.locate(self.store).data / "postmaster.pid").read_text(encoding="utf-8").split()[0])
            return psutil.Process(pid)
        except (OSError, ValueError, IndexError, psutil.NoSuchProcess):
            return None

    def keep_running(self) -> bool:
        """Start workers that ended; returns whether both ended well, with everything added."""
        done = 0
        for name in WORKERS:
            code = self.workers[name].poll() if name in self.workers else -1
            if code == 0:
                done += 1
            elif code is not None:
                if code not in (-1, -signal.SIGKILL):
                    self.errors.append(f"{name} ended with {code}")
                self.start(name)
        return done == len(WORKERS)


def run(drill: Drill, kills: int, patience: float) -> dict[str, Any]:
    """Carry the drill out and return what was counted."""
    drill.write(range(drill.files))
    with sbf.connect(home=drill.store, embedder="none") as workspace:
        drill.notebook = str(workspace.notebooks.create("drill").id)
    began, rounds = time.monotonic(), 1
    while sum(drill.kills.values()) < kills:
        if drill.keep_running():
            drill.write(drill.random.sample(range(drill.files), min(CHANGED, drill.files)))
            drill.workers.clear()
            rounds += 1
            continue
        victim = drill.random.choices(VICTIMS, WEIGHTS)[0]
        if wait_for_work(drill, victim, patience):
            time.sleep(drill.random.random() * 0.5)
            drill.kill(victim)
            print(
                f"kill {sum(drill.kills.values())}: {victim}, {drill.mid_ingest} in the middle of an ingest", flush=True
            )
    deadline = time.monotonic() + 600
    while not drill.keep_running():
        assert time.monotonic() < deadline, "the workers do not come to an end"
        time.sleep(0.2)
    seconds = time.monotonic() - began
    left = left_behind(drill)
    faults = verdict.faults(drill.store, drill.folder, drill.contents, [drill.home / f"{name}.log" for name in WORKERS])
    return {
        "files": drill.files,
        "embedder": drill.embedder,
        "kills": dict(drill.kills),
        "in_the_middle": drill.mid_ingest,
        "rounds": rounds,
        "seconds": round(seconds),
        "processes_left": left,
        "worker_errors": drill.errors,
        **faults,
    }


def wait_for_work(drill: Drill, victim: str, patience: float) -> bool:
    """Wait until the victim works on something; False when it ended before."""
    deadline = time.monotonic() + patience
    names = [victim] if victim in WORKERS else list(WORKERS)
    while time.monotonic() < deadline:
        working = drill.working()
        if any(working[name] for name in names):
            return True
        if any(worker.poll() is not None for worker in drill.workers.values()):
            return False
        time.sleep(0.05)
    return True


def left_behind(drill: Drill) -> list[str]:
    """Return processes of the drill that still run five seconds after its last worker."""
    time.sleep(5)
    found = []
    for process in psutil.process_iter(["pid", "name", "cmdline"]):
        try:
            ours = (
                str(drill.store) in " ".join(process.info["cmdline"] or ())
                or process.environ().get("SBF_DRILL") == drill.mark
            )
        except (psutil.Error, OSError):
            continue
        if ours and process.pid != os.getpid():
            found.append(f"{process.info['name']} {' '.join(process.info['cmdline'] or ())[:120]}")
    return found


def main() -> int:
    """Run from the command line; 1 when a promise was broken."""
    arguments = measuring.parser(__doc__)
    arguments.add_argument("--kills", type=int, default=50)
    arguments.add_argument("--files", type=int, default=200)
    arguments.add_argument(
        "--embedder",
        choices=("real", "hash"),
        default="hash",
        help="hash: vectors that cost nothing, five times as fast",
    )
    arguments.add_argument("--seed", type=int, default=None)
    arguments.add_argument("--patience", type=float, default=60, help="seconds to wait for a victim to be at work")
    options: argparse.Namespace = arguments.parse_args()
    before, seed = (
        measuring.load_average(),
        options.seed if options.seed is not None else random.SystemRandom().randrange(10_000),
    )
    print(f"seed {seed}")
    with measuring.home() as home:
        drill = Drill(home, options.files, options.embedder, random.Random(seed))
        try:
            figures = {"seed": seed, **run(drill, options.kills, options.patience)}
        finally:
            for worker in drill.workers.values():
                worker.kill()
        for name in WORKERS:
            print((home / f"{name}.err").read_text(encoding="utf-8", errors="replace")[-3_000:], file=sys.stderr)
    broken = figures["faults"] + [f"left running: {process}" for process in figures["processes_left"]]
    if figures["in_the_middle"] < 0.9 * options.kills:
        broken.append(
            f"only {figures['in_the_middle']} of {options.kills} kills hit an ingest: the drill proves nothing"
        )
    for key, value in figures.items():
        print(f"{key}: {value}")
    print("saved", measuring.save(options.output, "kill_ingest", figures, before).name)
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
