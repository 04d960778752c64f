"""From connect() to close(): one home, several workspaces, threads, a program that just ends."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import sbf_kernel as sbf
from sbf_kernel.errors import Conflict, ModelUnavailable
from sbf_kernel.storage import pg_locks, pg_place

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = """
import sys
import sbf_kernel as sbf
workspace = sbf.connect(home=sys.argv[1], threads=1, static=True, embedder="none")
source = workspace.notebooks.open("Shared").add_text(sys.argv[2], sys.argv[3], progress=False)
print(source.status, flush=True)
"""


@pytest.fixture(scope="module")
def place(home: Path) -> Iterator[Path]:
    """A home of its own inside the session's folder, whose server the server's user can reach."""
    yield home / "connect"


def run(home: Path, *args: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, "-W", "error", "-c", PROGRAM, str(home), *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, env=environment)  # fmt: skip


def test_a_workspace_opens_works_and_ends_without_leaving_a_server(place: Path) -> None:
    with sbf.connect(home=place, threads=1, static=True, embedder="none") as workspace:
        assert "embedded in" in workspace.health().checks["place"]
        assert workspace.notebooks.open("First").add_text("Ferns grow in shade.", "fern").status == "ready"
        assert "fern" in repr(workspace.search("ferns"))
        assert repr(workspace) == f"<workspace {place}>"
    assert repr(workspace) == "<closed workspace>"
    assert not pg_locks.is_held(pg_place.locate(place).run / "server.lock")
    workspace.close()
    with pytest.raises(Conflict, match="closed"):
        workspace.health()
    with pytest.raises(Conflict, match="closed"):
        list(workspace.ask_stream("anything?"))


def test_what_was_stored_is_there_again(place: Path) -> None:
    with sbf.connect(home=str(place), threads=1, static=True, embedder="none") as workspace:
        assert [hit.source for hit in workspace.search("fern")] == ["fern"]


def test_a_relative_home_survives_a_change_of_directory(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place.parent)
    with sbf.connect(home=place.name, threads=1, static=True, embedder="none") as workspace:
        monkeypatch.chdir("/")
        assert workspace.notebooks.open("First").add_text("Mosses hold water.", "moss").status == "ready"


def test_two_workspaces_in_one_process_share_the_server(place: Path) -> None:
    with sbf.connect(home=place, threads=1, static=True, embedder="none") as first:
        with sbf.connect(home=place, threads=1, static=True, embedder="none") as second:
            made = first.notebooks.create("Two")
            assert second.notebooks.get(made.id).name == "Two"
        assert first.notebooks.get(made.id).name == "Two"


def test_several_processes_add_the_same_and_different_sources_at_once(place: Path) -> None:
    texts = [
        ("The common text is about lichens.", "same"),
        ("The common text is about lichens.", "same"),
        ("A text about hornworts.", "other"),
    ]
    with sbf.connect(home=place, threads=1, static=True, embedder="none") as workspace:
        workspace.notebooks.open("Shared")
        processes = [run(place, *text) for text in texts]
        outcomes = [process.communicate(timeout=90) for process in processes]
        assert outcomes == [("ready\n", "")] * 3
        assert sorted(s.name for s in workspace.notebooks.get("Shared").sources.list()) == ["other", "same"]
        assert len(workspace.search("lichens")) == len(workspace.search("hornworts")) == 1


def test_a_program_that_ends_without_closing_is_quiet_and_keeps_its_data(place: Path) -> None:
    process = run(place, "Liverworts are flat.", "liverwort")
    assert process.communicate(timeout=90) == ("ready\n", "")
    assert process.returncode == 0
    with sbf.connect(home=place, threads=1, static=True, embedder="none") as workspace:
        assert [hit.source for hit in workspace.search("liverworts")] == ["liverwort"]


def test_threads_may_share_a_workspace(place: Path) -> None:
    with sbf.connect(home=place, threads=1, static=True, embedder="none") as workspace:
        notebook = workspace.notebooks.create("Threads")
        outcomes: list[str] = []
        adders = [
            threading.Thread(
                target=lambda n=n: outcomes.append(
                    notebook.add_text(f"Thread {n} writes this.", f"t{n}", progress=False).status
                )
            )
            for n in range(8)
        ]
        for adder in adders:
            adder.start()
        for adder in adders:
            adder.join(60)
        assert outcomes == ["ready"] * 8
        assert notebook.refresh().source_count == 8


async def test_it_works_inside_a_running_event_loop(place: Path) -> None:
    with sbf.connect(home=place, threads=1, static=True, embedder="none") as workspace:
        assert workspace.search("fern")


def test_an_unknown_embedder_is_refused_and_nothing_keeps_running(place: Path) -> None:
    before = set(threading.enumerate())
    with pytest.raises((ModelUnavailable, sbf.errors.InvalidInput)):
        sbf.connect(home=place, embedder="builtin:no-such-model")
    assert not pg_locks.is_held(pg_place.locate(place).run / "server.lock")
    assert not [thread for thread in threading.enumerate() if thread.name == "sbf" and thread not in before]
