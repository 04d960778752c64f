"""From bytes or address to searchable: preparing, blobs, the web, other workers, bugs of our own."""

from __future__ import annotations

import asyncio
import hashlib
import os
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from sbf_kernel import operations as op
from sbf_kernel.backends.local import LocalBackend
from sbf_kernel.errors import FetchError, SourceEmpty, StoreError
from sbf_kernel.ingest.language import detect_language
from sbf_kernel.ingest.prepare import prepare
from sbf_kernel.ingest.web import webvtt
from sbf_kernel.models import sparse
from sbf_kernel.readers import read
from sbf_kernel.readers.fetch import Fetched
from sbf_kernel.storage.blobs import Blobs
from sbf_kernel.storage.work_locks import WorkLocks
from tests.conftest import until

if TYPE_CHECKING:
    from pathlib import Path

    from sbf_kernel.backends.loop import LoopThread
    from sbf_kernel.records import Principal, Source
    from sbf_kernel.runtime import Runtime
    from sbf_kernel.workspace import NotebookHandle, Workspace
    from tests.conftest import CountingEmbedder

MARKDOWN = "# Rivers\n\n" + "".join(
    f"## Part {n}\n\n" + f"Water number {n} carries sand to the sea. " * 30 + "\n\n" for n in range(3)
)


def prepared(tmp_path: Path, text: str, name: str = "rivers.md", language: str = "") -> dict[str, Any]:
    path = tmp_path / "raw"
    path.write_text(text, encoding="utf-8")
    return prepare(str(path), name, "", None, language)


def test_what_is_prepared_can_be_stored_and_cited(tmp_path: Path) -> None:
    found = prepared(tmp_path, MARKDOWN)
    text = found["text"]
    assert found["text_sha256"] == hashlib.sha256(text.encode()).digest()
    assert (found["title"], found["language"]) == ("Rivers", "en")
    assert len(found["chunks"]) >= 3
    for chunk in found["chunks"]:
        passage = text[chunk["start"] : chunk["end"]]
        assert passage == passage.strip() != ""
        whole = f"{chunk['context']}\n{passage}" if chunk["context"] else passage
        assert dict(chunk["terms"]) == sparse.encode_passage(whole, "en")
        assert chunk["content_hash"] == hashlib.blake2b(whole.encode(), digest_size=16).digest()
    assert prepared(tmp_path, MARKDOWN) == found


def test_the_context_is_part_of_what_is_embedded_and_known_again(tmp_path: Path) -> None:
    def hashes(text: str, name: str = "a.md") -> set[bytes]:
        return {chunk["content_hash"] for chunk in prepared(tmp_path, text, name)["chunks"]}

    assert hashes("The same words.", "one.txt").isdisjoint(hashes("The same words.", "two.txt"))
    assert (
        len(
            hashes(MARKDOWN) & hashes(MARKDOWN + "## Last\n\nA last word. " + "It is long enough to stand alone. " * 20)
        )
        >= 2
    )


@pytest.mark.parametrize("content", [b"", b" \n\t\r\n", b"\0\0\0"])
def test_nothing_but_white_space_is_empty(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "raw").write_bytes(content)
    with pytest.raises(SourceEmpty, match=r"blank\.txt"):
        prepare(str(tmp_path / "raw"), "blank.txt", "", None, "")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Die Glaziologie untersucht Gletscher und Eis in allen ihren Formen auf der Erde.", "de"),
        ("Los volcanes expulsan lava y ceniza cuando el magma llega a la superficie de la tierra.", "es"),
        ("火山喷发时，岩浆从地下涌出，形成新的岩石。", "zh"),
        ("地震は地下の岩盤がずれることで起こります。", "ja"),
        ("", "en"),
        ("12 34 56", "en"),
        ("ok", "en"),
    ],
)
def test_the_language_is_told_when_it_is_sure(text: str, language: str) -> None:
    assert detect_language(text) == language


def test_a_language_given_is_taken(tmp_path: Path) -> None:
    assert prepared(tmp_path, "Die Häuser", language="fr")["language"] == "fr"


def test_blobs_are_named_by_their_content_and_written_once(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs")
    digest = blobs.put(b"content")
    assert digest == hashlib.sha256(b"content").digest()
    path = blobs.path(digest)
    written = path.stat().st_mtime_ns
    assert blobs.put(b"content") == digest
    assert path.stat().st_mtime_ns == written
    assert blobs.get(digest) == b"content"
    assert path.stat().st_mode & 0o077 == path.parent.stat().st_mode & 0o077 == 0
    assert [p for p in (tmp_path / "blobs").rglob("*") if p.is_file()] == [path]


def test_a_failed_write_leaves_no_piece_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = Blobs(tmp_path / "blobs")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        blobs.put(b"content")
    assert [p for p in (tmp_path / "blobs").rglob("*") if p.is_file()] == []
    with pytest.raises(StoreError, match="missing"):
        blobs.get(b"\0" * 32)


def test_a_missing_raw_file_fails_that_source_only(
    notebook: NotebookHandle, workspace: Workspace, runtime: Runtime
) -> None:
    source = notebook.add_text("Water carries sand.", "sand")
    content = b"Wind carries dust."
    runtime.blobs.path(hashlib.sha256(content).digest()).unlink(missing_ok=True)
    waiting = op.AddSource(notebook_id=notebook.id, name="dust", origin=source.origin, content=content)
    real = runtime.blobs.put
    try:
        runtime.blobs.put = lambda data: hashlib.sha256(data).digest()  # type: ignore[method-assign]
        workspace.call(waiting)
    finally:
        runtime.blobs.put = real  # type: ignore[method-assign]
    *_, last = workspace.stream(op.WatchSources(source_ids=(source.id,)))
    assert (last.status, last.version) == ("failed", 1)
    assert notebook.search("sand")
    assert notebook.add_text("Wind carries dust.", "sand").version == 2


def test_a_bug_of_ours_fails_one_source_and_asks_for_a_report(
    notebook: NotebookHandle, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = runtime.sandbox.call

    async def buggy(path: str, name: str, *rest: Any) -> Any:
        if name == "cursed":
            raise ZeroDivisionError("oops")
        return await real(path, name, *rest)

    monkeypatch.setattr(runtime.sandbox, "call", buggy)
    cursed = notebook.add_text("Never read.", "cursed")
    assert (cursed.status, cursed.reason) == ("failed", "error")
    assert "ZeroDivisionError: oops" in cursed.message
    assert notebook.add_text("Water carries sand.", "blessed").status == "ready"
    monkeypatch.undo()
    assert notebook.sources.retry(cursed).status == "ready"


def test_a_failed_twin_does_not_hide_a_ready_one(
    notebook: NotebookHandle, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> Any:
        raise SourceEmpty("not today")

    with monkeypatch.context() as patch:
        patch.setattr(runtime.sandbox, "call", fail)
        assert notebook.add_text("Three times the same.", "first").status == "failed"
    second = notebook.add_text("Three times the same.", "second")
    assert second.stage == "stored"
    assert (notebook.add_text("Three times the same.", "third").id, notebook.refresh().source_count) == (second.id, 2)


class Web:
    """Addresses and what they answer."""

    def __init__(self) -> None:
        self.pages: dict[str, Any] = {}
        self.asked: list[str] = []

    async def fetch(self, url: str) -> Fetched:
        self.asked.append(url)
        answer = self.pages[url]
        if isinstance(answer, Exception):
            raise answer
        return Fetched(url, answer, "text/html", "page.html")


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Web:
    made = Web()
    monkeypatch.setattr("sbf_kernel.readers.fetch.fetch", made.fetch)
    return made


def page(text: str) -> bytes:
    return f"<html><head><title>A page</title></head><body><article><p>{text}</p></article></body></html>".encode()


def test_an_address_is_fetched_each_time_and_stored_when_it_changed(notebook: NotebookHandle, web: Web) -> None:
    url = "https://example.org/page"
    web.pages[url] = page("Puffins nest in burrows on the cliffs.")
    first = notebook.add(url)[0]
    assert (first.status, first.stage, first.origin, first.media_type) == ("ready", "stored", url, "text/html")
    assert notebook.search("puffins")[0].source_id == first.id
    again = notebook.add(url)[0]
    assert (again.id, again.stage, again.version) == (first.id, "unchanged", 1)
    web.pages[url] = page("Puffins have left for the winter.")
    assert (notebook.add(url)[0].version, web.asked) == (2, [url] * 3)


def test_an_address_that_fails_says_why_and_can_be_tried_again(notebook: NotebookHandle, web: Web) -> None:
    good, bad = "https://example.org/good", "https://example.org/bad"
    web.pages |= {good: page("Gannets dive."), bad: FetchError("example.org answered 500")}
    failed, ready = notebook.add(bad, good)
    assert (failed.status, failed.reason, ready.status) == ("failed", "fetch_error", "ready")
    assert "answered 500" in failed.message
    web.pages[bad] = page("Terns hover.")
    assert notebook.sources.retry(failed).status == "ready"


def test_what_is_added_again_under_an_origin_replaces_address_and_bytes(
    notebook: NotebookHandle, workspace: Workspace, web: Web
) -> None:
    def add(**given: Any) -> Source:
        source = workspace.call(op.AddSource(notebook_id=notebook.id, name="birds", origin="birds", **given))
        *_, last = workspace.stream(op.WatchSources(source_ids=(source.id,)))
        return last

    old, new = "https://example.org/old", "https://example.org/new"
    web.pages |= {old: FetchError("example.org answered 500"), new: page("Skuas steal fish from others.")}
    first = add(url=old)
    assert (first.status, first.reason) == ("failed", "fetch_error")
    seen = [add(content=b"Auks fly under water."), add(url=new), add(content=b"Auks fly under water, too.")]
    assert [(s.id, s.status, s.version) for s in seen] == [(first.id, "ready", n) for n in (1, 2, 3)]
    assert web.asked == [old, new]
    assert workspace.sources.text(first.id).text == "Auks fly under water, too."


def test_tags_of_what_is_added_again_come_to_those_it_has(notebook: NotebookHandle, workspace: Workspace) -> None:
    text = "Divers cannot walk on land."
    first = notebook.add_text(text, "divers", tags=("birds", "lakes"))
    assert notebook.add_text(text, "divers", tags=("lakes", "north")).tags == ("birds", "lakes", "north")
    twin = workspace.notebooks.create("Elsewhere").add_text(text, "loons", tags=("loons",))
    assert (twin.id, twin.tags) == (first.id, ("birds", "lakes", "north", "loons"))
    assert workspace.sources.get(first.id).tags == twin.tags


def test_a_transcript_kept_as_webvtt_reads_back_with_its_times() -> None:
    cues = "WEBVTT\n\n00:00:01.000 --> 00:00:03.500\nFirst <b>words</b> &amp; more\n\n01:02:03.250 --> 01:02:05.000\nLast words\n"
    reading = read(cues.encode(), name="a.vtt")
    again = read(webvtt(reading).encode(), name="b.vtt")
    assert again.text == reading.text
    assert (
        [block.place.seconds for block in again.blocks]
        == [block.place.seconds for block in reading.blocks]
        == [1.0, 3723.25]
    )


def test_work_that_another_process_holds_is_left_to_it_and_taken_over_when_it_ends(
    notebook: NotebookHandle, workspace: Workspace, runtime: Runtime, loop: LoopThread, embedder: CountingEmbedder
) -> None:
    source: Source = notebook.add_text("Sand.", "sand")
    elsewhere = WorkLocks(runtime.db.conninfo)
    held = elsewhere.hold(source.id)
    assert loop.run(held.__aenter__()) is True
    embedder.reset()
    workspace.call(
        op.AddSource(notebook_id=notebook.id, name="sand", origin=source.origin, content=b"Sand and gravel.")
    )
    until(lambda: runtime.tasks.running(source.id))
    assert workspace.sources.get(source.id).status == "pending"
    assert embedder.passages == []
    loop.run(elsewhere.close())  # as when that process dies
    *_, last = workspace.stream(op.WatchSources(source_ids=(source.id,)))
    assert (last.status, last.version, len(embedder.passages)) == ("ready", 2, 1)


def test_of_many_tasks_that_want_a_lock_at_once_one_gets_it(runtime: Runtime, loop: LoopThread) -> None:
    name, done = uuid4(), asyncio.Event()

    async def want() -> bool:
        async with runtime.db.locks.hold(name) as free:
            if free:
                await done.wait()
            else:
                done.set()
            return free

    async def all_at_once() -> list[bool]:
        return list(await asyncio.gather(*(want() for _ in range(5))))

    assert sorted(loop.run(all_at_once())) == [False] * 4 + [True]
    assert loop.run(want()) is True


@pytest.mark.parametrize("again", ["added again", "added elsewhere", "retried"])
def test_what_was_stored_without_an_embedder_gets_its_vectors_later(
    notebook: NotebookHandle, workspace: Workspace, runtime: Runtime, embedder: CountingEmbedder, again: str
) -> None:
    text = "Cormorants dry their wings.\n\n" + "They have no oil on their feathers. " * 60
    runtime.embedder = None
    try:
        source = notebook.add_text(text, "cormorants")
    finally:
        runtime.embedder = embedder
    found = notebook.search("seabirds")
    assert not found and "add them again" in found.warnings[0]
    if again == "added again":
        late = notebook.add_text(text, "cormorants")
    elif again == "added elsewhere":
        late = workspace.notebooks.create("Elsewhere").add_text(text, "other name")
    else:
        late = workspace.sources.retry(source)
    assert (late.id, late.status, late.version_id) == (source.id, "ready", source.version_id)
    assert len(embedder.passages) == source.chunk_count > 1
    assert {hit.chunk_id for hit in notebook.search("seabirds", arm="dense")} != set()
    assert notebook.search("seabirds").warnings == ()
    assert notebook.add_text(text, "cormorants").stage == "unchanged"
    assert len(embedder.passages) == source.chunk_count


def test_two_runtimes_never_do_the_same_work_twice(
    notebook: NotebookHandle, workspace: Workspace, principal: Principal, runtime: Runtime, loop: LoopThread,
    embedder: CountingEmbedder,
) -> None:  # fmt: skip
    other = loop.run(LocalBackend.open(runtime.settings, principal))
    other.runtime.embedder.close()
    other.runtime.embedder = embedder
    try:
        embedder.allowed = 0
        add = op.AddSource(notebook_id=notebook.id, name="sand", origin="text:sand", content=b"Sand and gravel.")
        source = workspace.call(add)
        until(lambda: embedder.waiting)
        assert loop.run(other.call(add)).id == source.id
        embedder.allowed = 10

        async def follow() -> list[str]:
            return [seen.status async for seen in other.stream(op.WatchSources(source_ids=(source.id,)))]

        assert loop.run(follow())[-1] == "ready"
        assert len(embedder.passages) == 1
        assert workspace.sources.get(source.id).version == 1
    finally:
        other.runtime.embedder = None
        loop.run(other.close())
