"""A process killed in the middle of adding loses nothing that was ready and doubles nothing."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

import sbf_kernel as sbf
from sbf_kernel import operations as op
from sbf_kernel.backends.local import LocalBackend
from sbf_kernel.backends.loop import LoopThread
from sbf_kernel.settings import Settings
from sbf_kernel.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

KILLS = 4
FILES = 30
ADDING = """
import sys
import sbf_kernel as sbf
from sbf_kernel import operations as op
from sbf_kernel.inputs import gather

workspace = sbf.connect(home=sys.argv[1], threads=2, static=True)
notebook = workspace.notebooks.open("Crash")
print("open", flush=True)
added = [workspace.call(op.AddSource(notebook_id=notebook.id, name=i.name, origin=i.origin, content=i.read())) for i in gather((sys.argv[2],), "")]
for source in workspace.stream(op.WatchSources(source_ids=tuple(s.id for s in added))):
    print(source.status, source.id, source.version_id, source.chunk_count, flush=True)
print("end", flush=True)
workspace.close()
"""


@pytest.fixture
def place() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="sbf-crash-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def files(place: Path) -> Path:
    folder = place / "files"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"{number:02}.txt").write_text(f"Stone number {number} was found near the river on day {number * 7}.")
    sections = (
        f"# Part {n}\n\n" + f"In part {n} the slow river carries fine silt to the wide delta. " * 24 for n in range(8)
    )
    (folder / "large.md").write_text("\n\n".join(sections))
    return folder


def kill_while_adding(home: Path, files: Path, after: int) -> tuple[dict[str, tuple[str, str]], bool]:
    """Kill the process after so many lines of news; return what it had seen ready, and whether it got to its end."""
    ready = {}
    process = subprocess.Popen([sys.executable, "-W", "error", "-c", ADDING, str(home), str(files)], stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})  # fmt: skip
    with process:
        assert process.stdout is not None
        for count, line in enumerate(process.stdout):
            match line.split():
                case ["ready", source_id, version_id, chunks]:
                    ready[source_id] = (version_id, chunks)
                case ["end"]:
                    return ready, True
            if count >= after:
                process.kill()
                break
    return ready, False


@pytest.mark.timeout(240)
def test_what_was_ready_stays_ready_and_the_rest_follows(place: Path, files: Path) -> None:
    home, dice = place / "home", random.Random(7)
    seen: dict[str, tuple[str, str]] = {}
    for _ in range(KILLS):
        ready, ended = kill_while_adding(home, files, after=dice.randint(1, 2 * FILES))
        for source_id, state in ready.items():
            assert seen.setdefault(source_id, state) == state
        if ended:
            break

    settings = Settings(home=home, threads=2, static=True)
    loop = LoopThread()
    backend = loop.run(LocalBackend.open(settings))
    with Workspace(backend, loop, settings) as workspace:
        workspace.sources.resume()
        notebook = workspace.notebooks.get("Crash")
        sources = {
            str(source.id): source for offset in (0, 100) for source in workspace.sources.list(limit=100, offset=offset)
        }
        assert {source.status for source in sources.values()} == {"ready"}
        for source_id, (version_id, chunks) in seen.items():
            assert (str(sources[source_id].version_id), str(sources[source_id].chunk_count)) == (version_id, chunks)
        added = notebook.add(files)
        assert (
            len(added)
            == len({source.id for source in added})
            == FILES + 1
            == len(sources) + sum(str(s.id) not in sources for s in added)
        )
        assert len({source.origin for source in added}) == FILES + 1
        assert notebook.search("stone number 17", limit=1, arm="lexical")[0].source == "17.txt"
        assert notebook.refresh().source_count == FILES + 1
        check_tables(backend.runtime.db.conninfo)


@pytest.mark.timeout(120)
def test_who_looks_at_what_a_dead_process_left_goes_on_with_it(place: Path, files: Path) -> None:
    home = place / "home"
    assert kill_while_adding(home, files, after=FILES // 2)[1] is False
    with sbf.connect(home=home, threads=2, static=True) as workspace:
        left = [source for source in workspace.sources.list(limit=100) if not source.finished]
        assert len(left) > 2
        workspace.call(op.CancelSources(source_ids=(left[0].id,)))
        last = {source.id: source for source in workspace.stream(op.WatchSources(source_ids=tuple(s.id for s in left)))}
        assert [last.pop(left[0].id).stage] == ["cancelled"]  # not what somebody stopped
        assert {source.status for source in last.values()} == {"ready"}


def check_tables(conninfo: str) -> None:
    """Each source has one version with all its chunks, indexed once in both arms; statistics match."""
    with psycopg.connect(conninfo, options="-c search_path=sbf,public") as connection:
        wrong = connection.execute(
            """select s.name from sources s left join (
                 select c.source_id, count(*) as chunks, count(distinct c.version_id) as versions, min(c.version_id::text) as version,
                        count(l.chunk_id) as words, count(e.chunk_id) as vectors
                 from chunks c left join lexical l on l.chunk_id = c.id left join embeddings e on e.chunk_id = c.id group by 1) found
               on found.source_id = s.id
               where found.chunks is distinct from s.chunk_count or found.versions <> 1 or found.version <> s.version_id::text
                  or found.words <> found.chunks or found.vectors <> found.chunks or s.version <> 1"""
        ).fetchall()
        assert wrong == []
        assert (
            connection.execute("select count(*) from source_versions").fetchone()
            == connection.execute("select count(*) from sources").fetchone()
        )
        assert connection.execute("select count(*) from embedding_cache").fetchone() == (0,)
        drift = connection.execute(
            """select term from term_stats full join (select k as term, count(*) as n from lexical, unnest(keys) k group by 1) counted using (term)
               where coalesce(df, 0) <> coalesce(n, 0)"""
        ).fetchall()
        assert drift == []
