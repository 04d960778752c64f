"""Hostile text on every surface of the sidebar and of its viewer tabs: nothing runs, nothing is fetched, nothing becomes an element."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from sbf_kernel import operations as op
from tests.integration.model_server import Provider, say
from tests.ui.conftest import Lab
from tests.ui.payloads import HARM, MADE, PAYLOADS
from tests.ui.sidebar import show_sidebar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from playwright.sync_api import Locator, Page

    from sbf_kernel.records import Source
    from sbf_kernel.workspace import NotebookHandle, Workspace
    from tests.conftest import CountingEmbedder
    from tests.ui.conftest import Observed

SURFACES = ("#sbf-sidebar", ".sbf-Viewer", ".lm-DockPanel-tabBar", ".jp-Dialog-content")
RENDERED = ".jp-NotebookPanel .jp-RenderedMarkdown"
DRAWN = "img, iframe, object, embed, script, style, video, audio, form, [onerror], [style*=url]"
"""Elements that no rendered cell of ours has: a link to a heading is the Lab's own."""
TREES = ("alder", "birch", "cedar", "dogwood", "elm")
"""A word for each group of texts to be found by."""
GROUP = 15
"""So many texts have the same tree: a search shows 20 hits, and the list of jobs as many."""


@pytest.fixture
def hostile(mine: Workspace) -> Iterator[list[NotebookHandle]]:
    """A research notebook for each payload, named like it and with a chat of that title."""
    notebooks = [mine.notebooks.create(payload, description=payload) for payload in PAYLOADS]
    for payload in PAYLOADS[:50]:
        notebooks[0].chat(payload)
    yield notebooks
    for notebook in notebooks:
        notebook.delete()


def add_hostile(notebook: NotebookHandle, mine: Workspace, payloads: Sequence[str], words: str) -> list[Source]:
    """Begin to bring in a source for each payload, named like it, that says it in ``words``; without any it is empty."""
    return [
        mine.call(
            op.AddSource(
                notebook_id=notebook.id,
                name=payload,
                origin=f"text:{words[:20]}{number}",
                content=f"The {words} says {payload} to everybody. {payload} {notebook.id}".encode()
                if words
                else b" " * (number + 1),
            )
        )
        for number, payload in enumerate(payloads)
    ]


def test_hostile_names_and_texts_stay_text_on_every_surface(
    hub_lab: Lab, tab: Page, mine: Workspace, provider: Provider, hostile: list[NotebookHandle],
    embedder: CountingEmbedder, observed: Observed,
) -> None:  # fmt: skip
    assert len(set(PAYLOADS)) >= 60
    provider.script = lambda h, n: say(h, *(f"{payload} [1]\n\n" for payload in PAYLOADS))
    hub_lab.write("hostile.ipynb", "1 + 1")
    tab.goto(hub_lab.address("hostile.ipynb"))
    sidebar = show_sidebar(tab)
    sources = see_them_at_work(tab, mine, hostile[0], embedder)
    see_them_in_the_library(sidebar, mine, hostile, sources)
    find_and_open_them(tab, sidebar, [source.name for source in sources])
    talk_about_them(tab, sidebar)
    for surface in SURFACES:
        assert tab.locator(surface).locator(MADE).count() == 0, surface
        assert "sbfHarm" in "".join(tab.locator(surface).all_text_contents()), surface  # it is there, as words
    assert tab.locator(RENDERED).locator(DRAWN).count() == 0
    assert "sbfHarm" in "".join(tab.locator(RENDERED).all_text_contents())
    assert tab.evaluate(HARM)
    assert observed.foreign == []
    hub_lab.end_kernels()


def see_them_at_work(tab: Page, mine: Workspace, notebook: NotebookHandle, embedder: CountingEmbedder) -> list[Source]:
    """Bring them in, as many at a time as the list of jobs shows."""
    tab.locator(".sbf-JobsLabel").click()
    jobs = tab.get_by_role("list", name="Jobs")
    done: list[Source] = []
    for number, tree in enumerate(TREES):
        embedder.allowed = 0
        added = add_hostile(notebook, mine, PAYLOADS[number * GROUP : (number + 1) * GROUP], tree)
        expect(jobs.get_by_role("listitem")).to_have_count(len(added), timeout=20_000)
        for source in added:
            expect(jobs).to_contain_text(source.name)
        assert jobs.locator(MADE).count() == 0
        embedder.allowed = float("inf")
        list(mine.stream(op.WatchSources(source_ids=tuple(source.id for source in added))))
        done += added
    return done


def see_them_in_the_library(
    sidebar: Locator, mine: Workspace, notebooks: list[NotebookHandle], sources: list[Source]
) -> None:
    """See all notebooks, all sources as they are ready, and all as they have failed."""
    failing = add_hostile(notebooks[1], mine, PAYLOADS, "")
    list(mine.stream(op.WatchSources(source_ids=tuple(source.id for source in failing))))
    sidebar.get_by_role("button", name="Refresh").click()
    expect(sidebar.locator(".sbf-Notebook")).not_to_have_count(0)
    for notebook in (notebooks[1], notebooks[0]):
        branch = sidebar.locator(f".sbf-Notebook[data-notebook='{notebook.id}']")
        if branch.get_attribute("aria-expanded") == "false":
            branch.click()
    ready, failed = sidebar.locator(".sbf-Source.sbf-is-ready .sbf-Name"), sidebar.locator(".sbf-is-failed")
    expect(failed).to_have_count(len(PAYLOADS))
    expect(ready).to_have_count(len(PAYLOADS))
    assert {source.name for source in sources} <= set(ready.all_text_contents())
    assert {notebook.name for notebook in notebooks} <= set(
        sidebar.locator(".sbf-Notebook .sbf-Name").all_text_contents()
    )
    assert all("is empty" in said for said in failed.locator(".sbf-Reason").all_text_contents())


def find_and_open_them(tab: Page, sidebar: Locator, names: list[str]) -> None:
    """Find every text by its tree, and read it in a viewer."""
    sidebar.get_by_role("tab", name="Search").click()
    hits = sidebar.locator(".sbf-Hit")
    found: set[str] = set()
    for query in (*TREES, *PAYLOADS):
        if query in TREES or query in set(names) - found:
            sidebar.get_by_role("searchbox", name="Search").fill(query)
            tab.keyboard.press("Enter")
            expect(sidebar.locator(".sbf-SearchStatus")).to_contain_text("hits in")
            found |= set(hits.locator(".sbf-Name").all_text_contents())
            hits.evaluate_all("hits => hits.forEach(it => it.click())")
    assert set(names) <= found
    hits.first.get_by_role("button", name="Insert as a quote").click()
    viewers = tab.locator(".sbf-Viewer")
    expect(viewers.locator("mark.sbf-Cited")).to_have_count(len(names))
    assert set(names) <= set(viewers.locator(".sbf-Name").all_text_contents())


def talk_about_them(tab: Page, sidebar: Locator) -> None:
    """Ask with all of them, read an answer of all of them, follow its citation, keep it in the Jupyter notebook."""
    sidebar.get_by_role("tab", name="Chat").click()
    expect(sidebar.get_by_role("combobox", name="Chat").locator("option")).to_have_count(50)
    sidebar.get_by_role("button", name="New chat").click()
    sidebar.get_by_role("textbox", name="Question").fill("\n".join(["What does the alder say?", *PAYLOADS]))
    tab.keyboard.press("Enter")
    answer = sidebar.locator(".sbf-is-assistant[data-status=done]")
    expect(answer.locator(".sbf-Marker").first).to_be_visible(timeout=30_000)
    for payload in PAYLOADS:
        expect(answer).to_contain_text("sbfHarm" if "sbfHarm" in payload else "harm.example")
    used = sidebar.get_by_role("group", name="Sources used")
    used.get_by_role("button", name="Sources used").click()
    expect(used.get_by_role("combobox")).to_have_count(len(PAYLOADS))
    answer.locator(".sbf-Marker").first.click()
    answer.get_by_role("button", name="Insert into the Jupyter notebook").click()
    answer.get_by_role("button", name="Save as a note").click()
    sidebar.get_by_role("button", name="Delete this chat").click()
    expect(tab.locator(".jp-Dialog-content")).to_contain_text("alder")
