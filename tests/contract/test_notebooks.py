"""Notebooks: make, list, find, change, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from sbf_kernel.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from sbf_kernel.workspace import NotebookHandle, Workspace


def test_a_new_notebook_has_what_was_given_and_empty_counts(workspace: Workspace) -> None:
    made = workspace.notebooks.create("  Tides  ", "about the sea")
    record = workspace.notebooks.get(made.id).record
    assert (record.name, record.description, record.source_count, record.chunk_count) == (
        "Tides",
        "about the sea",
        0,
        0,
    )
    assert record.created_at == record.updated_at
    assert record.created_at.tzinfo is not None


def test_names_need_not_be_unique_but_getting_by_name_then_asks_for_an_id(workspace: Workspace) -> None:
    first, second = workspace.notebooks.create("Twin"), workspace.notebooks.create("Twin")
    with pytest.raises(InvalidInput) as caught:
        workspace.notebooks.get("Twin")
    assert str(first.id) in caught.value.hint
    assert str(second.id) in caught.value.hint
    assert workspace.notebooks.get(str(first.id)).id == first.id


def test_open_makes_a_notebook_once(workspace: Workspace) -> None:
    assert workspace.notebooks.open("Lab").id == workspace.notebooks.open("Lab").id
    assert workspace.notebooks.list().total == 1


def test_get_by_name_finds_the_exact_name_among_many_that_contain_it(workspace: Workspace) -> None:
    wanted = workspace.notebooks.create("a")
    for number in range(3):
        workspace.notebooks.create(f"a{number}")
    assert workspace.notebooks.get("a").id == wanted.id


def test_pages_cover_all_notebooks_once_in_order(workspace: Workspace) -> None:
    for name in ["delta", "Alpha", "charlie", "Bravo", "echo"]:
        workspace.notebooks.create(name)
    pages = [workspace.notebooks.list(sort="name", limit=2, offset=offset) for offset in (0, 2, 4, 6)]
    assert [[n.name for n in page] for page in pages] == [["Alpha", "Bravo"], ["charlie", "delta"], ["echo"], []]
    assert {page.total for page in pages} == {5}
    assert [(page.limit, page.offset) for page in pages] == [(2, 0), (2, 2), (2, 4), (2, 6)]


def test_sorting_by_updated_puts_what_changed_last_first(workspace: Workspace) -> None:
    first, second = workspace.notebooks.create("first"), workspace.notebooks.create("second")
    assert [n.name for n in workspace.notebooks.list()] == ["second", "first"]
    first.rename("first again")
    assert [n.id for n in workspace.notebooks.list()] == [first.id, second.id]
    assert [n.id for n in workspace.notebooks.list(sort="created")] == [second.id, first.id]


@pytest.mark.parametrize(
    ("search", "names"),
    [("TIDE", {"Tides", "Moon"}), ("100%", {"100% wool"}), ("_", set()), ("", {"Tides", "Moon", "100% wool"})],
)
def test_search_matches_part_of_name_or_description_literally(
    workspace: Workspace, search: str, names: set[str]
) -> None:
    workspace.notebooks.create("Tides")
    workspace.notebooks.create("Moon", "it makes the tides")
    workspace.notebooks.create("100% wool")
    found = workspace.notebooks.list(search)
    assert {n.name for n in found} == names
    assert found.total == len(names)


def test_renaming_changes_only_what_is_given(notebook: NotebookHandle) -> None:
    notebook.rename("New", "words")
    notebook.rename("Newer")
    assert (notebook.refresh().name, notebook.record.description) == ("Newer", "words")
    notebook.rename("Newer", "")
    assert notebook.refresh().description == ""


def test_a_deleted_notebook_is_gone_for_every_operation(workspace: Workspace, notebook: NotebookHandle) -> None:
    source = notebook.add_text("Granite is an igneous rock.", "granite")
    notebook.delete()
    for call in (
        notebook.refresh,
        notebook.delete,
        lambda: notebook.rename("x"),
        lambda: notebook.search("granite"),
        notebook.sources.list,
        lambda: notebook.sources.restore(source),
        lambda: notebook.sources.remove(source),
    ):
        with pytest.raises(NotFound):
            call()
    assert workspace.notebooks.list().total == 0


def test_deleting_a_notebook_keeps_its_sources_but_hides_them_from_search(
    workspace: Workspace, notebook: NotebookHandle
) -> None:
    source = notebook.add_text("Granite is an igneous rock.", "granite")
    notebook.delete()
    assert workspace.sources.get(source.id).status == "ready"
    assert not workspace.search("granite")
    other = workspace.notebooks.create("Other")
    other.sources.restore(source)
    assert [hit.source_id for hit in workspace.search("granite")] == [source.id]


def test_adding_to_a_deleted_notebook_raises_instead_of_reporting_a_failed_source(notebook: NotebookHandle) -> None:
    notebook.delete()
    with pytest.raises(NotFound):
        notebook.add_text("Granite.", "granite")


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "  "},
        {"name": "x" * 301},
        {"name": "nul\0"},
        {"name": "lone \ud800"},
        {"name": 5},
        {"name": "x", "description": "y" * 20_001},
    ],
)
def test_wrong_names_and_descriptions_are_refused_with_the_field_named(
    workspace: Workspace, fields: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput) as caught:
        workspace.notebooks.create(**fields)
    assert caught.value.message.startswith("description" if "description" in fields else "name")


@pytest.mark.parametrize("options", [{"limit": 0}, {"limit": 101}, {"offset": -1}, {"sort": "size"}, {"search": "\0"}])
def test_wrong_page_options_are_refused(workspace: Workspace, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        workspace.notebooks.list(**options)


def test_unknown_names_and_ids_are_not_found(workspace: Workspace) -> None:
    for ref in ("nothing", uuid4(), str(uuid4()), ""):
        with pytest.raises(NotFound):
            workspace.notebooks.get(ref)


def test_counts_follow_what_is_in_the_notebook(notebook: NotebookHandle) -> None:
    source = notebook.add_text("Basalt cools quickly.", "basalt")
    notebook.add_text("Marble is changed limestone.", "marble")
    assert (notebook.refresh().source_count, notebook.record.chunk_count) == (2, 2)
    notebook.sources.remove(source)
    assert (notebook.refresh().source_count, notebook.record.chunk_count) == (1, 1)
    notebook.sources.delete(source)
    assert (notebook.refresh().source_count, notebook.record.chunk_count) == (1, 1)


def test_a_notebook_shows_itself(notebook: NotebookHandle) -> None:
    shown = notebook._repr_mimebundle_()
    assert "Notes" in shown["text/plain"]
    assert "Notes" in shown["text/html"]
    assert repr(notebook) == "<notebook 'Notes'>"
