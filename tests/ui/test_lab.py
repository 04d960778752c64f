"""The JupyterLab extension in Chromium: sidebar, viewer tabs, file browser, insertion, as a reader uses them."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from playwright.sync_api import expect

from sbf_kernel import operations as op
from sbf_kernel.samples import own
from tests.integration.model_server import Provider, begin, event, say
from tests.ui.conftest import READY, Lab, open_in_lab, start_lab, stop_lab, violations
from tests.ui.sidebar import SIDEBAR, call_sidebar, cells, in_both_themes, open_lab, row, shot, show_sidebar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

    from playwright.sync_api import Page

    from sbf_kernel.records import Principal
    from sbf_kernel.workspace import Workspace
    from tests.ui.conftest import Observed

FERNS = (
    "# Ferns\n\nFerns grow in the shade of old trees, where the soil stays moist.\n\n"
    + "Rain and frost decide what the valley looks like in spring. " * 200
    + "\n\nThe spores of ferns 🌿 ripen in late summer and travel with the wind.\n"
)
MOSS = "# Moss\n\nMoss holds water like a sponge and needs no roots.\n\nIt grows on stones and bark.\n"


@pytest.fixture
def botany(mine: Workspace) -> Any:
    """A notebook with two sources that no other notebook has."""
    notebook = mine.notebooks.create(f"Botany {uuid4()}")
    notebook.add_text(f"{FERNS}\nNoted for {notebook.id}.", "ferns", progress=False)
    notebook.add_text(f"{MOSS}\nNoted for {notebook.id}.", "moss", progress=False)
    return notebook


def test_a_notebook_is_made_and_files_of_the_file_browser_become_ready(lab: Lab, tab: Page, mine: Workspace) -> None:
    (lab.root / "ferns.md").write_text(FERNS)
    (lab.root / "moss.md").write_text(MOSS)
    (lab.root / "broken.pdf").write_bytes(b"%PDF-1.4 broken")
    sidebar = open_lab(tab, lab, "Chat")
    expect(sidebar).to_contain_text("there is none yet")
    sidebar.get_by_role("button", name="New research notebook").click()
    tab.get_by_label("Name").fill("Ferns and moss" + "x" * 286 + "too long")
    expect(tab.get_by_label("Name")).to_have_value("Ferns and moss" + "x" * 286)
    tab.get_by_label("Name").fill("Ferns and moss")
    tab.get_by_role("button", name="Create").click()
    expect(sidebar).to_contain_text("This notebook is empty")
    sidebar.get_by_role("tab", name="Library").click()
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


def test_a_citation_in_a_pdf_shows_its_printed_page(lab: Lab, tab: Page, mine: Workspace, tmp_path: Path) -> None:
    notebook = mine.notebooks.create(f"Papers {uuid4()}")
    pdf = next(path for path in own(tmp_path) if path.suffix == ".pdf")
    pdf.write_bytes(pdf.read_bytes() + b"\n% of its own: the same bytes would not be embedded again for other tests\n")
    (source,) = notebook.add(pdf, progress=False)
    words = "Some questions are not answered by any source."
    start = mine.sources.text(source).text.index(words)
    pictures: list[str] = []
    tab.on("response", lambda it: pictures.append(it.url) if "/sbf/api/page" in it.url and it.ok else None)
    open_lab(tab, lab)
    span = {"source_id": str(source.id), "source": source.name, "version_id": str(source.version_id), "start": start,
            "end": start + len(words), "location": {"page": 3}}  # fmt: skip
    tab.evaluate("span => void jupyterapp.commands.execute('sbf:view-source', span)", span)
    viewer = tab.locator(".sbf-Viewer")
    picture = viewer.get_by_role("img")
    expect(picture).to_have_attribute("alt", f"Page 3 of {source.name}", timeout=20_000)
    assert picture.evaluate("it => it.decode().then(() => it.naturalWidth)") >= 200
    expect(viewer.locator("mark")).to_have_text(words)
    expect(viewer.locator("mark")).to_be_in_viewport()
    assert len(pictures) == 1  # only what is in sight was asked for
    in_both_themes(tab, "page", ".sbf-Viewer")
    page = viewer.get_by_role("spinbutton", name="Page")
    page.fill("1")
    tab.keyboard.press("Enter")
    expect(picture).to_have_attribute("alt", f"Page 1 of {source.name}")
    expect(viewer.get_by_role("button", name="Page before")).to_be_disabled()
    viewer.get_by_role("button", name="Next page").focus()
    tab.keyboard.press("Enter")
    expect(picture).to_have_attribute("alt", f"Page 2 of {source.name}")
    expect(viewer.locator("mark")).to_be_in_viewport()
    network = tab.context.new_cdp_session(tab)
    network.send("Network.enable")
    kept: list[bool] = []
    network.on(
        "Network.responseReceived",
        lambda it: kept.append(it["response"]["fromDiskCache"]) if "/page?" in it["response"]["url"] else None,
    )
    viewer.get_by_role("button", name="Page before").click()
    expect(picture).to_have_attribute("alt", f"Page 1 of {source.name}")
    assert kept == [True]  # a version never changes: what was seen is not asked for again
    tab.set_viewport_size({"width": 900, "height": 900})
    shot(tab, "page-narrow")
    box, text = picture.bounding_box(), viewer.locator(".sbf-Text").bounding_box()
    assert box and text and box["y"] < text["y"]  # above, where there is no room beside
    viewer.get_by_role("button", name="Printed page").click()
    expect(picture).to_be_hidden()


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


def test_a_chat_shows_what_was_asked_elsewhere_and_loses_no_question(
    lab: Lab, tab: Page, mine: Workspace, botany: Any
) -> None:
    chat = botany.chat()
    chat.send("How do spores travel?")
    tab.route("**/call/ListMessages*", lambda route: (time.sleep(1.5), route.continue_()))
    sidebar = open_lab(tab, lab, "Chat")
    question = sidebar.get_by_role("textbox", name="Question")
    expect(question).to_be_enabled()
    question.fill("How does moss hold water?")
    tab.keyboard.press("Enter")
    said = sidebar.locator(".sbf-is-user")
    asked = ["How do spores travel?", "How does moss hold water?"]  # the new one comes after what was still loading
    expect(said).to_have_text(asked, timeout=30_000)
    done = sidebar.locator(".sbf-is-assistant[data-status=done]")
    expect(done).to_have_count(2, timeout=30_000)
    tab.unroute("**/call/ListMessages*")
    for elsewhere, here in (("Where do ferns grow?", "Where does moss grow?"), ("When do spores ripen?", "")):
        chat.send(elsewhere)
        asked += [elsewhere, here] if here else [elsewhere]
        question.fill(here)
        tab.keyboard.press("Enter")
        sidebar.get_by_role("tab", name="Library").click()
        sidebar.get_by_role("tab", name="Chat").click()
        expect(said).to_have_text(asked, timeout=30_000)
        expect(done).to_have_count(len(asked), timeout=30_000)
    problem = '{"error": {"code": "remote_error", "message": "It is away.", "hint": "Wait."}}\n'
    tab.route("**/stream/SendMessage*", lambda route: route.fulfill(body=problem))
    question.fill("What is bark?")
    tab.keyboard.press("Enter")
    expect(sidebar.get_by_role("alert")).to_have_text("It is away. → Wait.")
    expect(question).to_have_value("What is bark?")
    sidebar.get_by_role("tab", name="Library").click()
    sidebar.get_by_role("tab", name="Chat").click()
    expect(sidebar.get_by_role("alert")).to_be_visible()
    tab.unroute("**/stream/SendMessage*")
    question.press("Enter")
    expect(done).to_have_count(len(asked) + 1, timeout=30_000)
    expect(said).to_have_text([*asked, "What is bark?"])
    other = mine.notebooks.create("Other")
    sidebar.get_by_role("tab", name="Library").click()
    sidebar.get_by_role("button", name="Refresh").click()
    expect(sidebar.locator(".sbf-Notebook", has_text="Other")).to_be_visible()
    sidebar.get_by_role("tab", name="Chat").click()
    notebooks = sidebar.locator("#sbf-chat").get_by_role("combobox", name="Research notebook")
    notebooks.focus()
    while notebooks.input_value() != str(other.id):
        tab.keyboard.press("ArrowUp")
    expect(sidebar).to_contain_text("This notebook is empty")
    expect(notebooks).to_be_focused()


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


def test_the_keyboard_alone_opens_filters_and_removes(lab: Lab, tab: Page, botany: Any) -> None:
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
    expect(row(sidebar, "ferns")).to_be_focused()
    assert [source.name for source in botany.sources.list()] == ["ferns"]
    sidebar.get_by_role("tab", name="Library").focus()
    tab.keyboard.press("ArrowRight")
    expect(sidebar.get_by_role("tab", name="Search")).to_be_focused()
    expect(sidebar.get_by_role("searchbox", name="Search")).to_be_visible()


def test_what_fails_loses_no_text_and_is_forgotten_when_all_is_well(
    lab: Lab, tab: Page, botany: Any, observed: Observed
) -> None:
    (lab.root / "open.md").write_text("# Open")
    sidebar = open_lab(tab, lab)
    expect(row(sidebar, "moss")).to_be_visible()
    tab.evaluate("() => void jupyterapp.commands.execute('filebrowser:activate')")
    tab.locator(".jp-DirListing-item", has_text="open.md").click()
    tab.evaluate("() => void jupyterapp.commands.execute('sbf:open')")
    sidebar.get_by_role("button", name="Add sources").click()
    # Nothing is said of a file that is selected where nobody sees it.
    expect(tab.get_by_role("menuitem", name="Add Text…")).to_be_visible()
    expect(tab.get_by_role("menuitem", name="Add to Second Brain")).to_have_count(0)
    tab.get_by_role("menuitem", name="Add Text…").click()
    text = tab.get_by_role("textbox", name="Text")
    expect(text).to_be_focused()
    problem = {"code": "remote_error", "message": "It is away.", "hint": "Wait."}
    for path in ("upload*", "call/ListNotebooks*"):
        tab.route(f"**/sbf/api/{path}", lambda route: route.fulfill(status=502, json=problem))
    text.fill("Lichen is two beings.\nIt grows slowly.")
    tab.get_by_role("button", name="Add", exact=True).click()
    expect(tab.locator(".jp-Dialog").get_by_role("alert")).to_contain_text("It is away.")
    expect(text).to_have_value("Lichen is two beings.\nIt grows slowly.")
    assert violations(tab, ".jp-Dialog") == []
    shot(tab, "text-again")
    tab.unroute("**/sbf/api/upload*")
    tab.get_by_role("button", name="Add", exact=True).click()
    expect(row(sidebar, "Lichen is two beings.")).to_be_visible(timeout=30_000)
    sidebar.get_by_role("button", name="Refresh").click()
    expect(sidebar.get_by_role("alert")).to_contain_text("It is away.")
    tab.unroute("**/sbf/api/call/ListNotebooks*")
    expect(row(sidebar, "Lichen is two beings.")).to_be_visible(timeout=15_000)
    observed.errors[:] = [error for error in observed.errors if "502" not in error]


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


def test_without_its_server_half_it_says_what_to_do(lab: Lab, tab: Page, observed: Observed) -> None:
    tab.route("**/sbf/api/status*", lambda route: route.fulfill(status=404, body="<html>no such page</html>"))
    tab.goto(f"{lab.url}lab?reset&token={lab.token}")
    sidebar = call_sidebar(tab)
    expect(sidebar).to_contain_text("pip install sbf-kernel in the environment that runs JupyterLab, then restart it")
    shot(tab, "no-server-half")
    assert violations(tab, SIDEBAR) == []
    tab.unroute("**/sbf/api/status*")
    tab.route("**/sbf/api/status*", lambda route: route.fulfill(json={"version": "0.0.1"}))
    sidebar.get_by_role("button", name="Try again").click()
    expect(sidebar).to_contain_text("its server half is 0.0.1")
    expect(sidebar.get_by_label("Research notebooks and sources")).to_be_visible()
    observed.errors[:] = [error for error in observed.errors if "404" not in error]


def test_under_a_base_url_an_answer_is_written_wherever_one_looks_until_it_is_stopped(
    hub_lab: Lab, tab: Page, mine: Workspace, provider: Provider, botany: Any
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
    provider.closed_early.clear()
    chats = sidebar.get_by_role("combobox", name="Chat")
    written = chats.input_value()
    sidebar.get_by_role("button", name="New chat").click()
    expect(writing).to_have_count(0)
    chats.select_option(written)
    expect(writing).to_contain_text("And it goes on.")
    tab.reload()
    sidebar = show_sidebar(tab, "Chat")
    expect(writing).to_contain_text("And it goes on.")
    assert not provider.closed_early.is_set()
    sidebar.get_by_role("button", name="Stop writing").click()
    stopped = sidebar.locator(".sbf-is-assistant[data-status=stopped]")
    expect(stopped).to_contain_text("Moss holds water like a sponge")
    expect(sidebar.get_by_role("button", name="Send (Enter)")).to_be_visible()
    assert provider.closed_early.wait(20)

    def silent(handler: BaseHTTPRequestHandler, _: int) -> None:
        begin(handler)
        while True:
            handler.wfile.write(b": still thinking\n\n")
            time.sleep(0.05)

    provider.script = silent
    sidebar.get_by_role("textbox", name="Question").fill("And on stones?")
    tab.keyboard.press("Enter")
    expect(writing).to_contain_text("Reading the sources…")
    deadline = time.monotonic() + 20
    while not provider.open:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    sidebar.get_by_role("button", name="Stop writing").click()
    expect(sidebar.locator(".sbf-is-assistant[data-status=stopped]")).to_have_count(2)
    messages = mine.call(op.ListMessages(chat_id=UUID(written)))
    assert [it.status for it in messages if it.role == "assistant"] == ["stopped", "stopped"]


@pytest.fixture
def token(principal: Principal, new_token: Callable[[Principal], str]) -> str:
    """What the Jupyter server says at the service."""
    return new_token(principal)


@pytest.fixture
def far_lab(tmp_path: Path, service: str, token: str) -> Iterator[Lab]:
    """A JupyterLab that uses a service; its own home stays empty."""
    opened, process = start_lab(tmp_path / "far", tmp_path / "home", SBF_URL=service, SBF_TOKEN=token)
    yield opened
    stop_lab(opened, process)


def test_all_panels_work_on_a_service_whose_token_the_browser_never_sees(
    far_lab: Lab, tab: Page, service: str, token: str, principal: Principal, tmp_path: Path,
    open_workspace: Callable[[str, Principal], Workspace],
) -> None:  # fmt: skip
    seen: list[str] = []
    tab.on("request", lambda it: seen.append(f"{it.url} {it.headers} {it.post_data or ''}"))
    (far_lab.root / "moss.md").write_text(MOSS)
    pdf = next(path for path in own(tmp_path / "samples") if path.suffix == ".pdf")
    (far_lab.root / "citations.pdf").write_bytes(pdf.read_bytes())
    sidebar = open_lab(tab, far_lab)
    sidebar.get_by_role("button", name="New research notebook").first.click()
    tab.get_by_label("Name").fill("Far away")
    tab.get_by_role("button", name="Create").click()
    expect(sidebar.locator(".sbf-Notebook.sbf-mod-current")).to_contain_text("Far away")
    tab.evaluate("() => void jupyterapp.commands.execute('filebrowser:activate')")
    files = tab.locator(".jp-DirListing-item")
    files.filter(has_text="moss.md").click()
    files.filter(has_text="citations.pdf").click(modifiers=["Control"])
    files.filter(has_text="moss.md").click(button="right")
    tab.get_by_role("menuitem", name="Add to Second Brain").click()
    for name in ("moss.md", "citations.pdf"):
        expect(row(sidebar, name)).to_be_visible(timeout=30_000)
    sidebar.get_by_role("tab", name="Search").click()
    sidebar.get_by_role("searchbox", name="Search").fill("When is a citation verified?")
    tab.keyboard.press("Enter")
    sidebar.locator(".sbf-Hit", has_text="citations.pdf").first.click()
    viewer = tab.locator(".sbf-Viewer")
    expect(viewer.locator("mark").first).to_be_visible()
    expect(viewer.get_by_role("img")).to_be_visible(timeout=20_000)
    sidebar.get_by_role("tab", name="Chat").click()
    sidebar.get_by_role("textbox", name="Question").fill("How does moss hold water?")
    tab.keyboard.press("Enter")
    sidebar.locator(".sbf-is-assistant[data-status=done] .sbf-Marker").first.click(timeout=30_000)
    expect(tab.locator(".sbf-Viewer mark", has_text="Moss holds water like a sponge")).to_be_in_viewport()
    shot(tab, "far")
    assert {it.name for it in open_workspace("remote", principal).notebooks.get("Far away").sources.list()} == {
        "moss.md",
        "citations.pdf",
    }
    assert not (tmp_path / "home").exists()  # nothing was opened here
    seen += [tab.content(), tab.evaluate("() => JSON.stringify({...localStorage}) + document.cookie")]
    assert not [it for it in seen if token in it or service in it]


def test_with_a_bad_token_the_sidebar_says_what_to_do(
    tmp_path: Path, service: str, tab: Page, observed: Observed
) -> None:
    opened, process = start_lab(tmp_path / "far", tmp_path / "home", SBF_URL=service, SBF_TOKEN="sbf_wrong")
    try:
        tab.goto(f"{opened.url}lab?reset&token={opened.token}")
        problem = call_sidebar(tab).get_by_role("alert")
        expect(problem).to_contain_text("the token is not good", timeout=30_000)
        expect(problem).to_contain_text("set SBF_URL and SBF_TOKEN where the Jupyter server is started, and restart it")
        expect(problem.get_by_role("button", name="Try again")).to_be_visible()
        in_both_themes(tab, "bad-token")
    finally:
        tab.goto("about:blank")  # or it would ask for a server that is gone
        stop_lab(opened, process)
    observed.errors[:] = [error for error in observed.errors if "401" not in error]


def test_what_a_chat_may_use_is_chosen_and_what_it_used_is_told(
    hub_lab: Lab, tab: Page, mine: Workspace, provider: Provider, botany: Any
) -> None:
    provider.script = lambda h, n: say(h, "- **Moss** holds water like a sponge [1].\n- See ![it](x) too")
    ferns, moss = sorted(botany.sources.list(), key=lambda source: source.name)
    sidebar = open_lab(tab, hub_lab, "Chat")
    used = sidebar.get_by_role("group", name="Sources used")
    used.get_by_role("button", name="Sources used").focus()
    tab.keyboard.press("Enter")
    used.get_by_role("combobox", name="What ferns may give").select_option("Off")
    expect(used).to_contain_text("1 off")
    sidebar.get_by_role("textbox", name="Question").fill("What is told of water and of spores?")
    tab.keyboard.press("Enter")
    expect(used).to_contain_text(
        re.compile(r"Last answer: [\d,]+ of [\d,]+ tokens · 1 passage read · openai:fake-1"), timeout=30_000
    )
    assert used.get_by_role("progressbar", name="Tokens used").evaluate("it => it.position") > 0
    assert "Moss holds water" in provider.prompts()[1] and "ripen in late summer" not in provider.prompts()[1]
    of_botany = op.ListChats(notebook_id=botany.id)
    (chat,) = mine.call(of_botany)
    sidebar.get_by_role("button", name="Copy with references").click()
    copied = tab.evaluate("() => navigator.clipboard.readText()")
    assert copied.startswith("- **Moss** holds water like a sponge [1].\n- See \\!\\[it\\](x) too")
    assert chat.levels == {ferns.id: "off"}
    used.get_by_role("combobox", name="What moss may give").select_option("Full text")
    expect(used).to_contain_text("1 in full, 1 off")
    in_both_themes(tab, "levels")
    assert next(iter(mine.call(of_botany))).levels == {ferns.id: "off", moss.id: "full"}
    tab.reload()
    used = show_sidebar(tab, "Chat").get_by_role("group", name="Sources used")
    expect(used).to_contain_text("1 in full, 1 off")
    used.get_by_role("button", name="Sources used").click()
    expect(used.get_by_role("combobox", name="What moss may give")).to_have_value("full")
    expect(used).to_contain_text("tokens")
