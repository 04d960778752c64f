"""Bringing sources in: what becomes a source, what does no work, what fails alone."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from sbf_kernel import operations as op
from sbf_kernel.errors import InvalidInput
from sbf_kernel.handlers import handler_of
from tests.conftest import until

if TYPE_CHECKING:
    from pathlib import Path

    from sbf_kernel.records import Principal, Source
    from sbf_kernel.runtime import Runtime
    from sbf_kernel.workspace import NotebookHandle, Workspace
    from tests.conftest import CountingEmbedder

WORDS = {
    "Rivers": "water carries sand and gravel from the mountains to the sea and drops it where the current slows down",
    "Glaciers": "ice moves under its own weight and grinds the valley floor into fine flour that colours the lakes",
    "Volcanoes": "molten rock rises through cracks in the crust and builds cones of ash and lava around the vent",
    "Deserts": "wind lifts the dry grains and piles them into dunes that wander slowly across the empty plain",
}


def section(title: str, extra: str = "") -> str:
    """Long enough to stay a chunk of its own."""
    return f"## {title}\n\n" + " ".join(f"{WORDS[title].capitalize()}, part {n}{extra}." for n in range(9)) + "\n\n"


DOCUMENT = "# Landscapes\n\n" + "".join(map(section, WORDS))


def test_text_is_ready_with_version_language_and_counts(notebook: NotebookHandle) -> None:
    source = notebook.add_text(
        "Der Granit ist ein Gestein, das tief unter der Erde aus Magma langsam abkühlt.",
        "Granit",
        tags=("Stein", "Erde"),
    )
    assert (source.status, source.stage, source.version, source.reason, source.message) == (
        "ready",
        "stored",
        1,
        "",
        "",
    )
    assert (source.language, source.tags, source.media_type) == ("de", ("Stein", "Erde"), "text/plain")
    text = notebook.sources.text(source)
    assert (text.version, text.version_id, text.source_id) == (1, source.version_id, source.id)
    assert source.char_count == len(text.text)
    assert text.text.startswith("Der Granit")


def test_files_folders_and_globs_become_one_source_each_in_order(notebook: NotebookHandle, tmp_path: Path) -> None:
    for name in ("b.md", "a.txt", "sub/c.txt", ".hidden.txt", "sub/.d.txt", ".git/e.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"This is the content of file {name}.")
    added = notebook.add(tmp_path / "b.md", tmp_path, str(tmp_path / "**" / "*.txt"))
    assert [(s.name, s.status) for s in added] == [("b.md", "ready"), ("a.txt", "ready"), ("c.txt", "ready")]
    assert added[0].origin == (tmp_path / "b.md").as_uri()
    assert added.total == 3


def test_a_missing_path_is_refused_and_nothing_is_added(notebook: NotebookHandle, tmp_path: Path) -> None:
    (tmp_path / "there.txt").write_text("Something is there.")
    (tmp_path / "empty").mkdir()
    for missing in (tmp_path / "not-there.txt", str(tmp_path / "*.pdf"), tmp_path / "empty"):
        with pytest.raises(InvalidInput, match=r"not-there|pdf|empty"):
            notebook.add(tmp_path / "there.txt", missing)
    assert notebook.sources.list().total == 0


def test_a_data_frame_becomes_a_table_whose_hits_name_the_row(notebook: NotebookHandle) -> None:
    import pandas as pd

    frame = pd.DataFrame(
        {"city": ["Lisbon", "Oslo", "Quito"], "known for": ["tiles and trams", "fjord ferries", "the equator monument"]}
    )
    source = notebook.add_frame(frame, "cities")
    assert source.status == "ready"
    assert "equator monument" in notebook.search("equator monument")[0].text
    assert notebook.add(frame)[0].stage == "duplicate"


def test_a_query_result_becomes_a_source(notebook: NotebookHandle) -> None:
    connection = sqlite3.connect(":memory:")
    connection.executescript(
        "create table birds (name text, song text); insert into birds values ('wren', 'loud rattling trill')"
    )
    source = notebook.add_sql("select * from birds", connection, "birds")
    connection.close()
    assert source.status == "ready"
    assert "wren" in notebook.search("rattling trill")[0].text


def test_the_same_bytes_again_do_no_work(notebook: NotebookHandle, tmp_path: Path, embedder: CountingEmbedder) -> None:
    path = tmp_path / "land.md"
    path.write_text(DOCUMENT)
    first = notebook.add(path)[0]
    embedder.passages.clear()
    again = notebook.add(path)[0]
    assert (again.id, again.stage, again.status, again.version_id) == (first.id, "unchanged", "ready", first.version_id)
    assert embedder.passages == []
    assert notebook.refresh().source_count == 1


def test_other_bytes_with_the_same_text_make_no_version(
    notebook: NotebookHandle, tmp_path: Path, embedder: CountingEmbedder
) -> None:
    path = tmp_path / "land.txt"
    path.write_bytes(b"The moor is wet.\nHeather grows there.\n")
    first = notebook.add(path)[0]
    embedder.passages.clear()
    path.write_bytes(b"The moor is wet.\r\nHeather grows there.\r\n")
    again = notebook.add(path)[0]
    assert (again.stage, again.version, again.version_id) == ("unchanged", 1, first.version_id)
    assert embedder.passages == []
    assert notebook.add(path)[0].stage == "unchanged"


def test_a_changed_text_is_a_new_version_that_embeds_only_what_changed(
    notebook: NotebookHandle, workspace: Workspace, tmp_path: Path, embedder: CountingEmbedder
) -> None:
    path = tmp_path / "land.md"
    path.write_text(DOCUMENT)
    first = notebook.add(path)[0]
    assert len(embedder.passages) == first.chunk_count >= 4
    embedder.passages.clear()
    path.write_text(DOCUMENT.replace(section("Volcanoes"), section("Volcanoes", " of Iceland")))
    second = notebook.add(path)[0]
    assert (second.id, second.version, second.stage) == (first.id, 2, "stored")
    assert second.version_id != first.version_id
    assert len(embedder.passages) == 1
    assert "of Iceland" in embedder.passages[0]
    assert {hit.version for hit in notebook.search("ice lava wind water", limit=50)} == {2}
    old = workspace.sources.text(first.id, first.version_id)
    assert (old.version, old.text.count("Iceland")) == (1, 0)
    assert workspace.sources.text(first.id).text.count("of Iceland") == 9


def test_going_back_to_an_old_text_is_a_third_version(notebook: NotebookHandle) -> None:
    first = notebook.add_text("The lamp is red.", "lamp")
    assert notebook.add_text("The lamp is blue.", "lamp").version == 2
    third = notebook.add_text("The lamp is red.", "lamp")
    assert (third.id, third.version, third.stage) == (first.id, 3, "stored")
    assert [hit.text for hit in notebook.search("lamp")] == ["The lamp is red."]


def test_the_same_content_under_another_name_is_a_duplicate(
    notebook: NotebookHandle, embedder: CountingEmbedder
) -> None:
    first = notebook.add_text("Amber is fossil resin.", "amber")
    embedder.passages.clear()
    again = notebook.add_text("Amber is fossil resin.", "bernstein")
    assert (again.id, again.stage, again.status) == (first.id, "duplicate", "ready")
    assert first.origin in again.message
    assert embedder.passages == []
    assert notebook.refresh().source_count == 1
    assert notebook.sources.get(first.id).stage == "stored"


def test_duplicates_inside_one_batch_share_one_source(notebook: NotebookHandle, tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.txt").write_text("All three are the same.")
    added = notebook.add(tmp_path)
    assert len({source.id for source in added}) == 1
    assert [source.stage for source in added] == ["stored", "duplicate", "duplicate"]
    assert {source.status for source in added} == {"ready"}


def test_one_source_can_be_in_two_notebooks_and_is_embedded_once(
    workspace: Workspace, tmp_path: Path, embedder: CountingEmbedder
) -> None:
    path = tmp_path / "shared.txt"
    path.write_text("The owl hunts at night.")
    here, there = workspace.notebooks.create("here"), workspace.notebooks.create("there")
    first, second = here.add(path)[0], there.add(path)[0]
    assert first.id == second.id
    assert len(embedder.passages) == 1
    assert len(here.search("owl")) == len(there.search("owl")) == len(workspace.search("owl")) == 1


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.txt", b"", "source_empty"),
        ("blank.txt", b" \n\t\n", "source_empty"),
        ("broken.pdf", b"%PDF-1.7 and then nothing that makes sense", "source_broken"),
        ("broken.docx", b"PK\x03\x04 no archive", "source_broken"),
        ("photo.png", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8, "source_has_no_text"),
    ],
)
def test_a_source_that_cannot_be_read_fails_alone_and_says_why(
    notebook: NotebookHandle, tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    bad, good = tmp_path / name, tmp_path / "good.txt"
    bad.write_bytes(content)
    good.write_text("Larch needles turn yellow in autumn.")
    failed, ready = notebook.add(bad, good)
    assert (failed.status, failed.reason, failed.version) == ("failed", reason, 0)
    assert "→" in failed.message
    assert ready.status == "ready"
    assert [s.id for s in notebook.sources.list(status="failed")] == [failed.id]


def test_what_cannot_be_registered_fails_alone_too(
    notebook: NotebookHandle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, large = tmp_path / "good.txt", tmp_path / "large.txt"
    good.write_text("Larch needles turn yellow in autumn.")
    large.write_bytes(b"x" * ((200 << 20) + 1))
    failed, ready = notebook.add(large, good)
    assert (failed.name, failed.status, failed.reason, ready.status) == (
        "large.txt",
        "failed",
        "source_too_large",
        "ready",
    )


def test_a_broken_new_version_leaves_the_old_one_searchable(notebook: NotebookHandle, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("<html><body><p>Herring swim in shoals.</p></body></html>")
    first = notebook.add(path)[0]
    path.write_bytes(b"")
    second = notebook.add(path)[0]
    assert (second.id, second.status, second.reason, second.version) == (first.id, "failed", "source_empty", 1)
    assert [hit.text for hit in notebook.search("herring")] == ["Herring swim in shoals."]
    path.write_text("<html><body><p>Herring swim in shoals.</p></body></html>")
    third = notebook.add(path)[0]
    assert (third.status, third.stage, third.version) == ("ready", "unchanged", 1)


@pytest.mark.parametrize("last", ["The final word is second.", "The final word is first. \n"])
def test_bytes_that_change_while_they_are_processed_end_as_the_last_ones(
    notebook: NotebookHandle, workspace: Workspace, embedder: CountingEmbedder, last: str
) -> None:
    def add(text: str) -> Source:
        return workspace.call(
            op.AddSource(notebook_id=notebook.id, name="x.txt", origin="text:x", content=text.encode())
        )  # type: ignore[no-any-return]

    embedder.allowed = 0
    add("The final word is first.")
    until(lambda: embedder.waiting)
    add("The final word is a passing thought.")
    source = add(last)
    embedder.allowed = 1_000
    *_, ended = workspace.stream(op.WatchSources(source_ids=(source.id,)))
    assert ended.status == "ready"
    assert workspace.sources.text(source.id).text.strip() == last.strip()
    assert [hit.text.strip() for hit in notebook.search("final word", arm="lexical")] == [last.strip()]
    assert add(last).stage == "unchanged"


def test_an_outcome_of_older_bytes_is_not_taken_for_the_newer_ones(
    notebook: NotebookHandle,
    workspace: Workspace,
    principal: Principal,
    runtime: Runtime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The older bytes turn out to hold the text of the current version, after the newer ones were registered."""
    source = notebook.add_text("The lamp is red.", "lamp")
    add = op.AddSource(notebook_id=notebook.id, name="lamp", origin=source.origin, content=b"The lamp is red.\r\n")
    real, calls = runtime.sandbox.call, iter(range(9))

    async def read(*args: Any) -> Any:
        prepared = await real(*args)
        if next(calls) == 0:
            await handler_of(add)(runtime, principal, add.model_copy(update={"content": b"The lamp is blue."}))
        return prepared

    monkeypatch.setattr(runtime.sandbox, "call", read)
    workspace.call(add)
    list(workspace.stream(op.WatchSources(source_ids=(source.id,))))
    assert notebook.sources.text(source).text == "The lamp is blue."
    assert notebook.sources.get(source).status == "ready"


def test_nameless_and_strange_things_are_refused(notebook: NotebookHandle) -> None:
    for call in (lambda: notebook.add(5), lambda: notebook.add(None), lambda: notebook.add(b"bytes"), lambda: notebook.add(""),
                 lambda: notebook.add_text("text", ""), lambda: notebook.add("A sentence, not a path. " * 400)):  # fmt: skip
        with pytest.raises(InvalidInput):
            call()
    assert notebook.sources.list().total == 0


def test_names_that_no_database_can_hold_fail_alone(notebook: NotebookHandle) -> None:
    nul, lone = notebook.add_text("Some text.", "nul\0"), notebook.add_text("Some text.", "lone \ud800")
    assert (nul.status, nul.reason) == (lone.status, lone.reason) == ("failed", "invalid_input")


def test_watching_shows_the_way_and_ends_with_the_outcome(notebook: NotebookHandle, workspace: Workspace) -> None:
    source = workspace.call(
        op.AddSource(notebook_id=notebook.id, name="w.txt", origin="text:w", content=b"Bees dance to tell the way.")
    )
    assert (source.status, source.stage) == ("pending", "queued")
    seen = list(workspace.stream(op.WatchSources(source_ids=(source.id,))))
    assert {s.id for s in seen} == {source.id}
    assert (seen[-1].status, seen[-1].stage) == ("ready", "stored")
    assert [s.status for s in workspace.stream(op.WatchSources(source_ids=(source.id,)))] == ["ready"]
