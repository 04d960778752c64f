"""Sources after they were added: list, rename, tag, remove, restore, delete, retry, cancel, resume."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from msoffcrypto.format.ooxml import OOXMLFile

from sbf_kernel import operations as op
from sbf_kernel.errors import Conflict, InvalidInput, NotFound
from tests.conftest import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sbf_kernel.records import Source
    from sbf_kernel.workspace import NotebookHandle, Workspace
    from tests.conftest import CountingEmbedder

LONG = "\n\n".join(
    f"# Part {n}\n\n" + f"The slow river number {n} carries fine silt to the wide delta. " * 24 for n in range(4)
)


@pytest.fixture
def running(workspace: Workspace, notebook: NotebookHandle, embedder: CountingEmbedder) -> Source:
    """A source in the middle of its processing."""
    embedder.allowed = 0
    source: Source = workspace.call(
        op.AddSource(notebook_id=notebook.id, name="long.md", origin="text:long", content=LONG.encode())
    )
    until(lambda: embedder.waiting)
    assert workspace.sources.get(source.id).status == "processing"
    return source


@pytest.fixture
def three(notebook: NotebookHandle) -> list[Source]:
    return [
        notebook.add_text("Copper conducts heat.", "copper", tags=("metal", "red")),
        notebook.add_text("Argon is inert.", "Argon", tags=("gas",)),
        notebook.add_text("Bronze is an alloy of copper.", "bronze", tags=("metal",)),
    ]


def test_sources_are_listed_in_pages_sorted_as_asked(notebook: NotebookHandle, three: list[Source]) -> None:
    assert [s.name for s in notebook.sources.list()] == ["copper", "Argon", "bronze"]
    assert [s.name for s in notebook.sources.list(sort="name")] == ["Argon", "bronze", "copper"]
    notebook.sources.update(three[0], name="Kupfer")
    assert notebook.sources.list(sort="updated")[0].name == "Kupfer"
    page = notebook.sources.list(limit=2, offset=2)
    assert ([s.name for s in page], page.total, page.limit, page.offset) == (["bronze"], 3, 2, 2)


def test_sources_are_filtered_by_tag_status_and_words_of_name_or_origin(
    workspace: Workspace, notebook: NotebookHandle, three: list[Source]
) -> None:
    assert {s.name for s in notebook.sources.list(tag="metal")} == {"copper", "bronze"}
    assert notebook.sources.list(tag="met").total == 0
    assert {s.name for s in notebook.sources.list("ARG")} == {"Argon"}
    assert notebook.sources.list("%").total == 0
    assert notebook.sources.list(status="ready").total == 3
    assert notebook.sources.list(status="failed").total == 0
    assert workspace.notebooks.create("other").sources.list().total == 0
    assert workspace.sources.list().total == 3


def test_a_source_is_found_by_id_record_or_exact_name(notebook: NotebookHandle, three: list[Source]) -> None:
    assert (
        notebook.sources.get("Argon").id
        == notebook.sources.get(str(three[1].id)).id
        == notebook.sources.get(three[1]).id
    )
    with pytest.raises(NotFound, match="argon"):
        notebook.sources.get("argon")
    notebook.sources.update(three[0], name="Argon")
    with pytest.raises(InvalidInput, match="2 sources are called"):
        notebook.sources.get("Argon")


def test_renaming_and_tagging_change_only_what_is_given(notebook: NotebookHandle, three: list[Source]) -> None:
    renamed = notebook.sources.update(three[0], name="Kupfer")
    assert (renamed.name, renamed.tags, renamed.version) == ("Kupfer", ("metal", "red"), 1)
    tagged = notebook.sources.update("Kupfer", tags=())
    assert (tagged.name, tagged.tags) == ("Kupfer", ())
    assert notebook.search("heat")[0].source == "Kupfer"
    with pytest.raises(InvalidInput, match="name"):
        notebook.sources.update("Kupfer", name="")


def test_a_removed_source_is_not_searched_but_can_be_restored(
    workspace: Workspace, notebook: NotebookHandle, three: list[Source]
) -> None:
    notebook.sources.remove("copper")
    assert {s.name for s in notebook.sources.list()} == {"Argon", "bronze"}
    assert [s.name for s in notebook.sources.list(removed=True)] == ["copper"]
    for arm in ("lexical", "dense", "hybrid"):
        assert three[0].id not in {hit.source_id for hit in notebook.search("copper", arm=arm)}
        assert three[0].id not in {hit.source_id for hit in workspace.search("copper", arm=arm)}
        assert not workspace.search("copper", arm=arm, source_ids=(three[0].id,))
    with pytest.raises(NotFound):
        notebook.sources.remove(three[0])
    assert notebook.sources.restore("copper").id == three[0].id
    assert three[0].id in {hit.source_id for hit in notebook.search("copper")}
    assert notebook.sources.list(removed=True).total == 0


def test_removing_from_one_notebook_leaves_it_in_another(
    workspace: Workspace, notebook: NotebookHandle, three: list[Source]
) -> None:
    other = workspace.notebooks.create("other")
    other.sources.restore(three[0])
    notebook.sources.remove(three[0])
    assert [hit.source_id for hit in other.search("conducts heat")] == [three[0].id]
    assert three[0].id in {hit.source_id for hit in workspace.search("conducts heat")}
    assert three[0].id not in {hit.source_id for hit in notebook.search("conducts heat")}


def test_a_workspace_cannot_remove_without_a_notebook(workspace: Workspace, three: list[Source]) -> None:
    with pytest.raises(InvalidInput, match="needs a notebook"):
        workspace.sources.remove(three[0])


def test_a_deleted_source_is_gone_for_good(workspace: Workspace, notebook: NotebookHandle, three: list[Source]) -> None:
    gone = three[0]
    workspace.sources.delete(gone)
    for call in (lambda: workspace.sources.get(gone), lambda: workspace.sources.text(gone), lambda: workspace.sources.delete(gone),
                 lambda: workspace.sources.update(gone, name="x"), lambda: workspace.sources.retry(gone), lambda: notebook.sources.restore(gone),
                 lambda: workspace.sources.text(gone, gone.version_id)):  # fmt: skip
        with pytest.raises(NotFound):
            call()
    assert gone.id not in {hit.source_id for hit in workspace.search("copper heat")}
    assert notebook.sources.list(removed=True).total == 0
    again = notebook.add_text("Copper conducts heat.", "copper")
    assert (again.stage, again.version) == ("stored", 1)
    assert again.id != gone.id


def test_deleting_a_source_in_the_middle_of_its_processing_leaves_nothing(
    workspace: Workspace, running: Source
) -> None:
    workspace.sources.delete(running.id)
    assert workspace.sources.list().total == 0
    assert list(workspace.stream(op.WatchSources(source_ids=(running.id,)))) == []
    assert not workspace.search("river", arm="lexical")


def test_cancelling_makes_a_source_pending_and_adding_again_goes_on(
    workspace: Workspace, notebook: NotebookHandle, running: Source, embedder: CountingEmbedder
) -> None:
    workspace.call(op.CancelSources(source_ids=(running.id,)))
    stopped = workspace.sources.get(running.id)
    assert (stopped.status, stopped.stage) == ("pending", "cancelled")
    embedder.allowed = 1_000
    again = workspace.call(
        op.AddSource(notebook_id=notebook.id, name="long.md", origin="text:long", content=LONG.encode())
    )
    assert again.id == running.id
    *_, last = workspace.stream(op.WatchSources(source_ids=(running.id,)))
    assert (last.status, last.version) == ("ready", 1)


def test_resume_goes_on_with_everything_unfinished(
    workspace: Workspace, running: Source, embedder: CountingEmbedder
) -> None:
    workspace.call(op.CancelSources(source_ids=(running.id,)))
    embedder.allowed = 1_000
    assert [(s.id, s.status) for s in workspace.sources.resume()] == [(running.id, "ready")]
    assert workspace.sources.resume().total == 0


def test_a_source_being_processed_cannot_be_retried(
    workspace: Workspace, running: Source, embedder: CountingEmbedder
) -> None:
    with pytest.raises(Conflict):
        workspace.call(op.RetrySource(source_id=running.id))
    workspace.call(op.CancelSources(source_ids=(running.id,)))
    embedder.allowed = 1_000
    assert workspace.sources.retry(running).status == "ready"
    assert workspace.sources.retry(running).stage == "unchanged"


def test_vectors_made_before_a_cancellation_are_not_made_again(
    workspace: Workspace, notebook: NotebookHandle, embedder: CountingEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sbf_kernel.ingest.pipeline.EMBED_GROUP", 2)
    embedder.allowed = 2
    source = workspace.call(
        op.AddSource(notebook_id=notebook.id, name="long.md", origin="text:long", content=LONG.encode())
    )
    until(lambda: len(embedder.passages) == 2 and embedder.waiting)
    workspace.call(op.CancelSources(source_ids=(source.id,)))
    first = set(embedder.passages)
    embedder.reset()
    done = workspace.sources.retry(source)
    assert done.status == "ready"
    assert len(embedder.passages) == done.chunk_count - 2
    assert not first & set(embedder.passages)


def _encrypted_document() -> bytes:
    """The smallest Word file, encrypted as Office does it."""
    plain = io.BytesIO()
    with zipfile.ZipFile(plain, "w") as archive:
        for name, text in _WORD_FILE.items():
            archive.writestr(name, text)
        archive.writestr("word/media/noise.bin", bytes(range(256)) * 64)  # msoffcrypto cannot encrypt very small files
    plain.seek(0)
    locked = io.BytesIO()
    OOXMLFile(plain).encrypt("open sesame", locked)
    return locked.getvalue()


_WORD_FILE = {
    "[Content_Types].xml": '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/word/document.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>',
    "_rels/.rels": '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
    'Target="word/document.xml"/></Relationships>',
    "word/document.xml": '<?xml version="1.0"?><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
    "<w:body><w:p><w:r><w:t>The treasure lies under the old oak.</w:t></w:r></w:p></w:body></w:document>",
}


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "locked.docx"
    path.write_bytes(_encrypted_document())
    yield path


def test_an_encrypted_file_fails_until_it_gets_its_password(notebook: NotebookHandle, locked: Path) -> None:
    source = notebook.add(locked)[0]
    assert (source.status, source.reason) == ("failed", "source_encrypted")
    assert "needs a password" in source.message
    assert "password=" in source.message
    assert notebook.sources.retry(source, password="wrong").reason == "source_encrypted"
    assert notebook.sources.retry(source, password="open sesame").status == "ready"
    assert "old oak" in notebook.search("treasure")[0].text


def test_a_password_given_when_adding_again_opens_the_file(notebook: NotebookHandle, locked: Path) -> None:
    first = notebook.add(locked)[0]
    second = notebook.add(locked, password="open sesame")[0]
    assert (second.id, second.status) == (first.id, "ready")
    copy = locked.with_name("copy.docx")
    copy.write_bytes(locked.read_bytes())
    assert notebook.add(copy)[0].stage == "duplicate"


def test_retry_of_an_unknown_source_is_not_found(workspace: Workspace) -> None:
    with pytest.raises(NotFound):
        workspace.sources.retry(uuid4())
