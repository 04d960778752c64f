"""The JupyterLab extension in Chromium: sidebar, viewer tabs, file browser, insertion, as a reader uses them."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from tests.integration.model_server import Provider, begin, event
from tests.ui.conftest import READY, SCREENSHOTS, Lab, open_in_lab, set_theme, start_lab, stop_lab, violations

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

    from playwright.sync_api import Locator, Page

    from sbf_kernel.runtime import Runtime
    from sbf_kernel.workspace import Workspace
    from tests.ui.conftest import Observed

SIDEBAR = "#sbf-sidebar"
FERNS = (
    "# Ferns\n\nFerns grow in the shade of old trees, where the soil stays moist.\n\n"
    + "Rain and frost decide what the valley looks like in spring. " * 200
    + "\n\nThe spores of ferns 🌿 ripen in late summer and travel with the wind.\n"
)
MOSS = "# Moss\n\nMoss holds water like a sponge and needs no roots.\n\nIt grows on stones and bark.\n"
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "![a](https://evil.example/a.png) [b](javascript:alert(1))",
    "<style>@import 'https://evil.example/a.css'</style>",
    "{{7*7}} ${alert(1)} `</textarea><iframe src=https://evil.example>`",
]


def call_sidebar(page: Page) -> Locator:
    """Run the command that opens the sidebar."""
    page.wait_for_function("() => window.jupyterapp?.commands.hasCommand('sbf:open')", timeout=60_000)
    page.evaluate("() => jupyterapp.restored.then(() => void jupyterapp.commands.execute('sbf:open'))")
    return page.locator(SIDEBAR)


def show_sidebar(page: Page, tab: str = "Library") -> Locator:
    """Open the sidebar at a tab, and wait until the workspace is there."""
    sidebar = call_sidebar(page)
    expect(sidebar.locator(".sbf-Notebook, .sbf-Empty .sbf-Button").first).to_be_attached(timeout=60_000)
    sidebar.get_by_role("tab", name=tab).click()
    return sidebar


def open_lab(page: Page, lab: Lab, tab: str = "Library") -> Locator:
    """Open the Lab with the sidebar at a tab."""
    page.goto(f"{lab.url}lab?reset&token={lab.token}")
    return show_sidebar(page, tab)


def row(sidebar: Locator, name: str, status: str = "ready") -> Locator:
    """Return the row of a source that has this status."""
    return sidebar.locator(f".sbf-Source.sbf-is-{status}", has_text=name)


def shot(page: Page, name: str) -> None:
    """Keep a picture of the whole page, to be looked at."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"lab-{name}.png")


def in_both_themes(page: Page, name: str, selector: str = SIDEBAR) -> None:
    """Take pictures in both themes; axe-core finds nothing serious in either."""
    for theme in ("dark", "light"):
        set_theme(page, theme)
        page.wait_for_timeout(300)
        shot(page, f"{name}-{theme}")
        assert violations(page, selector) == []


def cells(page: Page) -> list[tuple[str, str]]:
    """Return kind and text of the cells of the current Jupyter notebook."""
    read = (
        "() => [...jupyterapp.shell.currentWidget.content.model.cells].map(it => [it.type, it.sharedModel.getSource()])"
    )
    return [(kind, text) for kind, text in page.evaluate(read)]


@pytest.fixture
def botany(mine: Workspace) -> Any:
    """A notebook with two sources that no other notebook has."""
    notebook = mine.notebooks.create(f"Botany {uuid4()}")
    notebook.add_text(f"{FERNS}\nNoted for {notebook.id}.", "ferns", progress=False)
    notebook.add_text(f"{MOSS}\nNoted for {notebook.id}.", "moss", progress=False)
    return notebook


def test_a_notebook_is_made_and_files_of_the_file_browser_become_ready(lab: Lab, tab: Page) -> None:
    (lab.root / "ferns.md").write_text(FERNS)
    (lab.root / "moss.md").write_text(MOSS)
    (lab.root / "broken.pdf").write_bytes(b"%PDF-1.4 broken")
    sidebar = open_lab(tab, lab)
    sidebar.get_by_role("button", name="New research notebook").first.click()
    tab.get_by_label("Name").fill("Ferns and moss")
    tab.get_by_role("button", name="Create").click()
    expect(sidebar.locator(".sbf-Notebook.sbf-mod-current")).to_contain_text("Ferns and moss")
    tab.evaluate("() => void jupyterapp.commands.execute('filebrowser:activate')")
    files = tab.locator(".jp-DirListing-item")
    files.filter(has_text="ferns.md").click()
    for name in ("moss.md", "broken.pdf"):
        files.filter(has_text=name).click(modifiers=["Control"])
    files.filter(has_text="moss.md").click(button="right")
    expect(tab.get_by_role("menuitem", name="Add to Second Brain")).to_be_visible()
    shot(tab, "context-menu")
    tab.get_by_role("menuitem", name="Add to Second Brain").click()
    expect(sidebar.locator(".sbf-is-pending, .sbf-is-processing").first).to_be_visible()
    expect(row(sidebar, "ferns.md")).to_be_visible(timeout=30_000)
    expect(row(sidebar, "moss.md")).to_be_visible(timeout=30_000)
    expect(row(sidebar, "broken.pdf", "failed")).to_contain_text("damaged", timeout=30_000)
    expect(sidebar.locator(".sbf-mod-current .sbf-Count")).to_have_text("3")
    in_both_themes(tab, "sources")


def test_a_hit_opens_at_its_words_and_is_inserted_as_a_quote(lab: Lab, tab: Page, botany: Any) -> None:
    lab.write("paper.ipynb", "1 + 1")
    open_in_lab(tab, lab, "paper.ipynb")
    sidebar = show_sidebar(tab, "Search")
    sidebar.get_by_role("searchbox", name="Search").fill("When do fern spores ripen?")
    tab.keyboard.press("Enter")
    hit = sidebar.locator(".sbf-Hit").first
    expect(hit.locator("mark").first).to_be_visible()
    in_both_themes(tab, "search")
    tab.keyboard.press("ArrowDown")
    expect(hit).to_be_focused()
    tab.keyboard.press("i")
    kind, text = cells(tab)[1]
    assert kind == "markdown"
    assert text.startswith("> ") and "ripen in late summer" in text and text.endswith("version 1*")
    tab.evaluate(
        """() => document.dispatchEvent(new CustomEvent('sbf:insert', {detail: {kind: 'code', text: '2 + 2'}}))"""
    )
    tab.evaluate(
        """() => document.dispatchEvent(new CustomEvent('sbf:insert', {detail: {kind: 'shell', text: 'no'}}))"""
    )
    assert [kind for kind, _ in cells(tab)] == ["code", "markdown", "code"]
    tab.keyboard.press("Enter")
    viewer = tab.locator(".sbf-Viewer")
    expect(viewer.locator("mark mark").first).to_be_in_viewport()
    assert {"spores", "ferns", "ripen"} <= set(viewer.locator("mark mark").all_inner_texts())
    assert viewer.locator(".sbf-Text").inner_text().count("🌿") == 1
    in_both_themes(tab, "viewer", ".sbf-Viewer")


def test_a_chat_answers_and_its_citation_opens_exactly_the_quoted_words(
    lab: Lab, tab: Page, mine: Workspace, botany: Any
) -> None:
    sidebar = open_lab(tab, lab, "Chat")
    sidebar.get_by_role("textbox", name="Question").fill("How does moss hold water?")
    tab.keyboard.press("Enter")
    answer = sidebar.locator(".sbf-is-assistant[data-status=done]")
    expect(answer.locator(".sbf-Marker").first).to_be_visible(timeout=30_000)
    answer.locator(".sbf-Marker").first.click()
    expect(tab.locator(".sbf-Viewer mark")).to_be_in_viewport()
    expect(tab.locator(".sbf-Viewer mark")).to_have_text("Moss holds water like a sponge and needs no roots.")
    in_both_themes(tab, "chat")
    answer.get_by_role("button", name="Save as a note").click()
    expect(tab.get_by_text("Saved as a note")).to_have_count(0)  # notifications are silenced in these tests
    deadline = time.monotonic() + 20
    while not (notes := list(botany.notes.list())):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "sponge" in notes[0].text
    answer.get_by_role("button", name="Copy with references").click()
    copied = tab.evaluate("() => navigator.clipboard.readText()")
    assert "**References**" in copied and "1. *moss, version 1*" in copied
    tab.reload()
    again = show_sidebar(tab, "Chat")
    expect(again.locator(".sbf-is-assistant .sbf-Marker").first).to_be_visible()
    expect(tab.locator(".sbf-Viewer mark")).to_have_text("Moss holds water like a sponge and needs no roots.")


def test_a_file_is_dragged_from_the_file_browser(lab: Lab, tab: Page, botany: Any) -> None:
    (lab.root / "dragged.md").write_text("# Lichen\n\nLichen is two beings in one.")
    sidebar = open_lab(tab, lab)
    expect(row(sidebar, "moss")).to_be_visible()
    tab.evaluate("() => void jupyterapp.commands.execute('filebrowser:activate')")
    tab.locator(".jp-DirListing-item", has_text="dragged.md").hover()
    tab.mouse.down()
    tab.mouse.move(150, 400, steps=4)
    icon = tab.locator(".jp-SideBar [data-id=sbf-sidebar]").bounding_box()
    assert icon is not None
    tab.mouse.move(icon["x"] + 10, icon["y"] + 10, steps=4)
    expect(sidebar).to_be_visible()
    tab.mouse.move(150, 500, steps=4)
    expect(sidebar).to_have_class(re.compile(r"\bsbf-mod-drop\b"))
    shot(tab, "drop")
    tab.mouse.up()
    expect(row(sidebar, "dragged.md")).to_be_visible(timeout=30_000)


def test_the_keyboard_alone_opens_filters_removes_and_brings_back(lab: Lab, tab: Page, botany: Any) -> None:
    sidebar = open_lab(tab, lab)
    expect(row(sidebar, "ferns")).to_be_visible()
    sidebar.get_by_role("searchbox", name="Filter").focus()
    tab.keyboard.type("mos")
    expect(row(sidebar, "ferns")).to_have_count(0)
    tab.keyboard.press("Control+A")
    tab.keyboard.press("Delete")
    expect(row(sidebar, "ferns")).to_be_visible()
    sidebar.locator(".sbf-mod-current").focus()
    for key in ("ArrowDown", "ArrowDown", "Enter"):
        tab.keyboard.press(key)
    expect(tab.locator(".sbf-Viewer")).to_be_visible()
    row(sidebar, "moss").focus()
    tab.keyboard.press("Delete")
    expect(row(sidebar, "moss")).to_have_count(0)
    assert [source.name for source in botany.sources.list()] == ["ferns"]
    sidebar.get_by_role("tab", name="Library").focus()
    tab.keyboard.press("ArrowRight")
    expect(sidebar.get_by_role("tab", name="Search")).to_be_focused()
    expect(sidebar.get_by_role("searchbox", name="Search")).to_be_visible()


def test_the_status_bar_shows_what_is_at_work_and_stops_it(lab: Lab, tab: Page, mine: Workspace) -> None:
    long = " ".join(f"Sentence {number} of {uuid4()} says something new." for number in range(4_000))
    (lab.root / "long.txt").write_text(long)
    mine.notebooks.create("Long work")
    sidebar = open_lab(tab, lab)
    expect(sidebar.locator(".sbf-Notebook.sbf-mod-current")).to_contain_text("Long work")
    tab.evaluate("() => void jupyterapp.commands.execute('filebrowser:activate')")
    tab.locator(".jp-DirListing-item", has_text="long.txt").click(button="right")
    tab.get_by_role("menuitem", name="Add to Second Brain").click()
    label = tab.locator(".sbf-JobsLabel")
    expect(label).to_contain_text("1 job", timeout=20_000)
    label.click()
    job = tab.get_by_role("list", name="Jobs").get_by_role("listitem")
    expect(job).to_contain_text("long.txt")
    expect(row(sidebar, "long.txt", "processing").locator("progress")).to_be_visible(timeout=60_000)
    in_both_themes(tab, "jobs", ".sbf-JobList")
    job.get_by_role("button", name="Stop").click()
    expect(row(sidebar, "long.txt", "stopped")).to_be_visible(timeout=30_000)
    expect(job).to_have_text("Nothing runs or waits", timeout=20_000)


def test_the_launcher_makes_a_jupyter_notebook_from_the_quickstart(lab: Lab, tab: Page) -> None:
    open_lab(tab, lab)
    tab.locator(".jp-LauncherCard", has_text="Quickstart").click()
    expect(tab.locator(".jp-NotebookPanel .jp-Cell").first).to_contain_text("Second Brain")
    kinds = [kind for kind, _ in cells(tab)]
    assert kinds.count("code") >= 4 and kinds[0] == "markdown"
    dialog = tab.locator(".jp-Dialog")
    expect(dialog).to_have_count(0)
    tab.wait_for_function(READY, timeout=60_000)
    lab.end_kernels()


def test_hostile_names_and_texts_stay_text_on_every_surface(lab: Lab, tab: Page, mine: Workspace) -> None:
    notebook = mine.notebooks.create(f"A {HOSTILE[0]} {HOSTILE[3]}", description=HOSTILE[1])
    for number, payload in enumerate(HOSTILE):
        text = f"# {payload}\n\nThe lichen number {number} says {payload} to everybody."
        notebook.add_text(text, payload, progress=False)
    sidebar = open_lab(tab, lab)
    expect(sidebar.locator(".sbf-Source")).to_have_count(len(HOSTILE))
    for payload in HOSTILE:
        expect(row(sidebar, payload)).to_be_visible()
    sidebar.get_by_role("tab", name="Search").click()
    sidebar.get_by_role("searchbox", name="Search").fill("what does the lichen say?")
    tab.keyboard.press("Enter")
    sidebar.locator(".sbf-Hit").first.click()
    expect(tab.locator(".sbf-Viewer mark").first).to_be_visible()
    sidebar.get_by_role("tab", name="Chat").click()
    sidebar.get_by_role("textbox", name="Question").fill(f"What does lichen number 0 say? {HOSTILE[0]}")
    tab.keyboard.press("Enter")
    expect(sidebar.locator(".sbf-is-assistant[data-status=done]")).to_be_visible(timeout=30_000)
    made = "() => document.querySelectorAll('#sbf-sidebar :is(img,script,iframe,style,a), .sbf-Viewer :is(img,script,iframe,style,a)').length"
    assert tab.evaluate(made) == 0


def test_without_its_server_half_it_says_what_to_do(lab: Lab, tab: Page, observed: Observed) -> None:
    tab.route("**/sbf/api/status*", lambda route: route.fulfill(status=404, body="<html>no such page</html>"))
    tab.goto(f"{lab.url}lab?reset&token={lab.token}")
    sidebar = call_sidebar(tab)
    expect(sidebar).to_contain_text(
        "pip install 'sbf-kernel[jupyter]' in the environment that runs JupyterLab, then restart it"
    )
    shot(tab, "no-server-half")
    assert violations(tab, SIDEBAR) == []
    tab.unroute("**/sbf/api/status*")
    tab.route("**/sbf/api/status*", lambda route: route.fulfill(json={"version": "0.0.1"}))
    sidebar.get_by_role("button", name="Try again").click()
    expect(sidebar).to_contain_text("its server half is 0.0.1")
    expect(sidebar.get_by_role("tree")).to_be_visible()
    observed.errors[:] = [error for error in observed.errors if "404" not in error]


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    running = Provider()
    yield running
    running.close()


@pytest.fixture(scope="module")
def hub_lab(
    tmp_path_factory: pytest.TempPathFactory, home: Path, runtime: Runtime, provider: Provider
) -> Iterator[Lab]:
    """A JupyterLab under the base URL that a hub gives, with a language model."""
    model = {"SBF_MODEL": "openai:fake-1", "SBF_MODEL_BASE_URL": provider.url, "SBF_MODEL_API_KEY": "key"}
    opened, process = start_lab(tmp_path_factory.mktemp("hub"), home, base_url="/user/ann/", **model)
    yield opened
    stop_lab(opened, process)


def test_under_a_base_url_an_answer_is_seen_while_it_is_written_and_can_be_stopped(
    hub_lab: Lab, tab: Page, provider: Provider, botany: Any
) -> None:
    def endless(handler: BaseHTTPRequestHandler, _: int) -> None:
        begin(handler)
        event(handler, delta={"content": "Moss holds water like a sponge [1]. "})
        while True:
            event(handler, delta={"content": "And it goes on. "})
            time.sleep(0.05)

    provider.script = endless
    sidebar = open_lab(tab, hub_lab, "Chat")
    sidebar.get_by_role("textbox", name="Question").fill("How does moss hold water?")
    tab.keyboard.press("Enter")
    writing = sidebar.locator(".sbf-is-assistant[data-status=writing]")
    expect(writing).to_contain_text("And it goes on.", timeout=30_000)
    shot(tab, "writing")
    sidebar.get_by_role("button", name="Stop writing").click()
    stopped = sidebar.locator(".sbf-is-assistant[data-status=stopped]")
    expect(stopped).to_contain_text("Moss holds water like a sponge")
    expect(sidebar.get_by_role("button", name="Send (Enter)")).to_be_visible()
    assert provider.closed_early.wait(20)
