"""What the notebook of a report can reach: the operations of one principal, for reading, and no secrets."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

import sbf_kernel as sbf
from sbf_kernel import operations as op
from sbf_kernel.backends.bridge import BridgeBackend
from sbf_kernel.errors import Forbidden, NotFound, RemoteError
from sbf_kernel.reports import making, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sbf_kernel.backends.loop import LoopThread
    from sbf_kernel.records import Principal
    from sbf_kernel.runtime import Runtime
    from sbf_kernel.workspace import Workspace


@pytest.fixture
def bridged(runtime: Runtime, principal: Principal, loop: LoopThread, tmp_path: Path) -> Iterator[Workspace]:
    """A workspace at the other end of a socket."""
    context = serving.serving(runtime, principal, tmp_path / "socket")

    async def enter() -> None:
        await context.__aenter__()

    async def leave() -> None:
        await context.__aexit__(None, None, None)

    loop.run(enter())
    with sbf.connect(socket=tmp_path / "socket") as workspace:
        yield workspace
    loop.run(leave())


@pytest.fixture
def backend_name() -> str:
    return "local"


def test_it_reads_and_asks_as_the_one_who_wanted_the_report(bridged: Workspace, workspace: Workspace) -> None:
    notebook = workspace.notebooks.create("Mine")
    source = notebook.add_text("Quartz scratches glass. " + "Filler words. " * 20_000, "quartz")
    far = bridged.notebooks.get("Mine")
    assert far.sources.text("quartz") == notebook.sources.text("quartz")
    answer = far.ask("What scratches glass?")
    assert answer.answered
    assert answer == workspace.answers.get(answer.id)
    assert [record.text for record in far.ask_stream("What scratches glass?")][-1] == answer.text
    assert far.search("quartz")[0].source_id == source.id
    assert bridged.recheck(answer).ok


def test_it_neither_changes_anything_nor_reaches_others(bridged: Workspace, stranger: Workspace) -> None:
    theirs = stranger.notebooks.create("Theirs")
    with pytest.raises(NotFound, match=str(theirs.id)):
        bridged.notebooks.get(theirs.id)
    with pytest.raises(Forbidden, match="may not ask"):
        bridged.notebooks.create("New")
    with pytest.raises(Forbidden, match="may not ask"):
        bridged.users.list()
    assert bridged.notebooks.list().total == 0


def test_what_is_no_operation_is_refused_and_the_next_one_is_answered(bridged: Workspace, tmp_path: Path) -> None:
    async def send(line: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(tmp_path / "socket")
        writer.write(line)
        answer = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return answer

    for line in (
        b"nonsense\n",
        b"[]\n",
        b'{"operation": "Search"}\n',
        b'{"operation": "Search", "fields": {"x": 1}}\n',
    ):
        assert b'{"error"' in asyncio.run(send(line))
    assert bridged.notebooks.list().total == 0


def test_a_bridge_that_is_gone_says_so(tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match="nobody answers"):
        asyncio.run(BridgeBackend(tmp_path / "nothing").call(op.GetHealth()))


def test_the_process_of_a_report_gets_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SBF_DATABASE_URL", "OPENAI_API_KEY", "SBF_SIGNING_KEYS", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD"):
        monkeypatch.setenv(name, "hunter2")
    given = making.environment("/somewhere")
    assert "hunter2" not in given.values()
    assert given["HOME"] == "/somewhere"
    assert given["PATH"] == os.environ["PATH"]
