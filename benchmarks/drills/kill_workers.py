"""Two hundred times ``kill -9`` of workers in the middle of a job; afterwards every acknowledged job is done, once.

Three ``sbf worker`` processes serve one queue. The driver adds sources, so
that there is always work; ``AddSource`` has returned for each: it is
acknowledged. The victim is a worker that holds a running job. It is stopped
first (SIGSTOP) and looked at again, so that a kill counts as one in the middle
of a job only if the job was running under that very worker when it died. Then
another worker is started in its place. At the end every source must be ready,
in one version, with its chunks and index rows once, and the statistics must
equal a count from scratch.
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
from uuid import UUID

import psycopg

import sbf_kernel as sbf
from benchmarks import measuring
from benchmarks.drills.verdict import NOTHING
from benchmarks.filling import Prose
from sbf_kernel import operations as op
from sbf_kernel.storage import pg_place
from sbf_kernel.workspace import NotebookHandle, Workspace

WORKERS = 3
CONCURRENCY = 4
CROWD = 12
"""Jobs that are not done before a victim is looked for: enough that every worker has some, and not more and more."""
ONE_ARM = "chunks without exactly one vector"
"""The promise that is about another arm: the drill runs without an embedder."""
_RUNNING = """select (regexp_match(a.application_name, '^sbf worker (\\d+) '))[1]::int, count(*) from sbf.jobs j
join pg_locks l on l.locktype = 'advisory' and l.objsubid = 1 and l.granted and (l.classid::bigint << 32) | l.objid::bigint = j.holder
join pg_stat_activity a on a.pid = l.pid where j.status = 'running' and a.application_name like 'sbf worker %' group by 1"""
EXACTLY_ONCE = {
    "jobs that are not done": "select id, status, attempts, crashes, message from jobs where status <> 'done'",
    "sources in more or fewer than one version": "select name, version from sources where version <> 1",
    "versions twice": "select source_id from source_versions group by 1 having count(*) <> 1",
    "sources without a job of their own": "select s.id from sources s left join jobs j on j.subject_id = s.id group by 1 having count(j.id) <> 1",
    **{promise: statement for promise, statement in NOTHING.items() if promise != ONE_ARM},
}
"""What must not be found."""


@dataclass
class Drill:
    """The state of one run."""

    home: Path
    random: random.Random
    prose: Prose = field(default_factory=Prose)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    acknowledged: list[UUID] = field(default_factory=list)
    kills: int = 0
    mid_job: int = 0
    jobs_hit: int = 0
    odd_exits: list[str] = field(default_factory=list)

    @property
    def store(self) -> Path:
        """The home of the database."""
        return self.home / "store"

    def start(self) -> None:
        """Start a worker, as whoever runs a deployment does."""
        command = [sys.executable, "-m", "sbf_kernel", "worker", "--concurrency", str(CONCURRENCY)]
        environment = {**os.environ, "SBF_HOME": str(self.store), "SBF_EMBEDDER": "none", "SBF_THREADS": "1"}
        with (self.home / "workers.err").open("ab") as errors:
            self.workers.append(subprocess.Popen(command, env=environment, stderr=errors))

    def add(self, workspace: Workspace, notebook: NotebookHandle, count: int) -> None:
        """Add sources of one to three chunks; each is written down once it is acknowledged."""
        for _ in range(count):
            number = len(self.acknowledged)
            paragraphs = [self.prose.text(self.prose.topic(), self.random.randint(60, 110)) for _ in range(3)]
            text = "\n\n".join([f"File {number}", *paragraphs])
            source = workspace.call(
                op.AddSource(
                    notebook_id=notebook.id, name=f"file-{number:04}", origin=f"text:{number}", content=text.encode()
                )
            )
            self.acknowledged.append(source.id)

    def running(self) -> Counter[int]:
        """Return how many jobs each worker process runs, by process id."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            return Counter(dict(connection.execute(_RUNNING).fetchall()))

    @property
    def conninfo(self) -> str:
        """Of the database."""
        return pg_place.locate(self.store).conninfo("sbf")

    def waiting(self) -> int:
        """Return the number of jobs that are not done."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            row = connection.execute("select count(*) from sbf.jobs where status in ('queued', 'running', 'failed')")
            return int(row.fetchone()[0])  # type: ignore[index]

    def catch_up(self, patience: float) -> None:
        """Let the workers get on until few jobs are left: who kills faster than anybody works, proves nothing."""
        deadline = time.monotonic() + patience
        while self.waiting() > CROWD:
            assert time.monotonic() < deadline, "the workers do not get on"
            time.sleep(0.05)

    def strike(self, patience: float) -> None:
        """Kill a worker that holds a running job, and start another in its place."""
        deadline = time.monotonic() + patience
        while True:
            busy = [pid for pid, count in self.running().items() if count]
            victims = [worker for worker in self.workers if worker.pid in busy]
            if not victims:
                assert time.monotonic() < deadline, "no worker takes a job"
                time.sleep(0.005)
                continue
            victim = self.random.choice(victims)
            time.sleep(self.random.random() * 0.02)
            victim.send_signal(signal.SIGSTOP)
            time.sleep(0.01)  # for what was on its way to the database
            held = self.running()[victim.pid]
            if held or time.monotonic() > deadline:
                break
            victim.send_signal(signal.SIGCONT)
        victim.kill()
        victim.wait()
        self.kills += 1
        self.mid_job += held > 0
        self.jobs_hit += held
        self.workers.remove(victim)
        self.start()

    def check_workers(self) -> None:
        """Note workers that ended by themselves, and replace them."""
        for worker in list(self.workers):
            if worker.poll() is not None:
                self.odd_exits.append(f"a worker ended by itself with {worker.returncode}")
                self.workers.remove(worker)
                self.start()


def run(drill: Drill, jobs: int, kills: int, patience: float) -> dict[str, Any]:
    """Carry the drill out and return what was counted."""
    began = time.monotonic()
    with sbf.connect(home=drill.store, embedder="none", jobs="queue") as workspace:
        notebook = workspace.notebooks.create("drill")
        for _ in range(WORKERS):
            drill.start()
        while drill.kills < kills:
            left = jobs - len(drill.acknowledged)
            share = -(-left // (kills - drill.kills))
            drill.add(workspace, notebook, share)
            drill.catch_up(patience)
            drill.strike(patience)
            drill.check_workers()
            if drill.kills % 10 == 0:
                print(f"kill {drill.kills}: {drill.mid_job} in the middle of a job", flush=True)
        drill.add(workspace, notebook, jobs - len(drill.acknowledged))
        ready = Counter(
            last.status
            for last in {
                source.id: source for source in workspace.stream(op.WatchSources(source_ids=tuple(drill.acknowledged)))
            }.values()
        )
        figures = verdict(drill)
    ended = drain(drill)
    return {
        "jobs": len(drill.acknowledged),
        "workers": WORKERS,
        "concurrency": CONCURRENCY,
        "kills": drill.kills,
        "mid_job_kills": drill.mid_job,
        "running_jobs_hit": drill.jobs_hit,
        "seconds": round(time.monotonic() - began),
        "watched_to_the_end": dict(ready),
        "slowest_drain_s": ended,
        "odd_exits": drill.odd_exits,
        **figures,
    }


def verdict(drill: Drill) -> dict[str, Any]:
    """Check every promise; ``lost`` and ``double`` are counted on their own."""
    with psycopg.connect(drill.conninfo, autocommit=True, options="-c search_path=sbf,public") as connection:
        faults = [
            f"{promise}: {len(rows)}, such as {rows[0]}"
            for promise, statement in EXACTLY_ONCE.items()
            if (rows := connection.execute(statement).fetchall())
        ]
        versions = Counter(row[0] for row in connection.execute("select source_id from source_versions"))
        crashes = Counter(row[0] for row in connection.execute("select crashes from jobs"))
    return {
        "lost": sum(not versions[source_id] for source_id in drill.acknowledged),
        "double": sum(count > 1 for count in versions.values()),
        "crashes_counted": sum(number * count for number, count in crashes.items()),
        "most_crashes_of_one_job": max(crashes),
        "faults": faults,
    }


def drain(drill: Drill) -> float:
    """Tell all workers to stop; returns the seconds until the last had."""
    began = time.monotonic()
    for worker in drill.workers:
        worker.terminate()
    for worker in drill.workers:
        if worker.wait(30) not in (0, -signal.SIGTERM):  # the latter while it is still starting
            drill.odd_exits.append(f"a worker that was told to stop ended with {worker.returncode}")
    return round(time.monotonic() - began, 1)


def main() -> int:
    """Run from the command line; 1 when a promise was broken."""
    arguments = measuring.parser(__doc__)
    arguments.add_argument("--jobs", type=int, default=1_000)
    arguments.add_argument("--kills", type=int, default=200)
    arguments.add_argument("--seed", type=int, default=None)
    arguments.add_argument("--patience", type=float, default=120, help="seconds to wait for a victim to be at work")
    options: argparse.Namespace = arguments.parse_args()
    before = measuring.load_average()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10_000)
    print(f"seed {seed}")
    with measuring.home() as home:
        home.chmod(0o755)
        drill = Drill(home, random.Random(seed))
        try:
            figures = {"seed": seed, **run(drill, options.jobs, options.kills, options.patience)}
        finally:
            for worker in drill.workers:
                worker.kill()
            print((home / "workers.err").read_text(encoding="utf-8", errors="replace")[-3_000:], file=sys.stderr)
    broken = figures["faults"] + figures["odd_exits"]
    broken += [f"{figures[count]} {count}" for count in ("lost", "double") if figures[count]]
    if figures["mid_job_kills"] < 0.95 * options.kills:
        broken.append(f"only {figures['mid_job_kills']} of {options.kills} kills hit a job: the drill proves nothing")
    for key, value in figures.items():
        print(f"{key}: {value}")
    print("saved", measuring.save(options.output, "kill_workers", figures, before).name)
    for promise in broken:
        print(f"broken: {promise}")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
