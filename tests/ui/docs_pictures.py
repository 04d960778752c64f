"""Takes the pictures of ``docs/jupyter.md`` anew: ``python -m tests.ui.docs_pictures [OUT]``.

A Lab and a workspace of their own, filled with the samples that come with SBF.
Colours are reduced, so that each picture stays below 200 kB. To be looked at.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from playwright.sync_api import expect, sync_playwright

import sbf_kernel as sbf
from sbf_kernel import samples
from tests.ui.conftest import CHROMIUM, FLAGS, RUN, Lab, open_in_lab, set_theme, start_lab, stop_lab
from tests.ui.sidebar import show_sidebar

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

    from sbf_kernel.workspace import NotebookHandle, Workspace

IMAGES = Path(__file__).parents[2] / "docs" / "images"
LARGEST = 200_000
"""Bytes of a picture."""
COLOURS = 160
WAIT_MS = 60_000
NAME = "Greenhouse"
SEARCH, QUESTION = "why were pots lost to mould?", "Which bench gave the highest yield, and why?"
NEXT_QUESTION = "When is a citation verified?"


def fill(workspace: Workspace, folder: Path) -> NotebookHandle:
    """Fill a notebook with the samples, and with one file that cannot be read."""
    notebook = workspace.notebooks.create(NAME, "Basil under three lamps")
    notebook.add(*samples.own(folder), progress=False)
    empty = folder / "empty.pdf"
    empty.write_bytes(b"")
    notebook.add(empty, progress=False)
    return notebook


def keep(place: Page | Locator, path: Path) -> None:
    """Write a picture with fewer colours."""
    whole = Image.open(io.BytesIO(place.screenshot()))
    whole.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    size = path.stat().st_size
    print(f"{path.name}: {size:,} bytes")
    assert size <= LARGEST, f"{path.name} has {size:,} bytes: fewer colours, or a smaller part"


def run(page: Page, lab: Lab, name: str, *cells: str) -> None:
    """Open a Jupyter notebook with these cells and run them."""
    lab.write(name, *cells, kernel="sbf")
    open_in_lab(page, lab, name)
    set_theme(page, "light")
    page.evaluate(RUN)
    page.wait_for_function("() => window.sbfRun !== 'runs'", timeout=WAIT_MS)
    assert page.evaluate("() => window.sbfRun") == "done"


def widget(page: Page, name: str) -> Locator:
    """Return a widget, scrolled into sight; the pointer is elsewhere."""
    box = page.get_by_role("region", name=name, exact=True)
    box.evaluate("box => box.scrollIntoView({ block: 'center' })")
    page.mouse.move(2, 2)
    page.wait_for_timeout(500)
    return box


def widgets(page: Page, lab: Lab, out: Path) -> None:
    """Take pictures of the widgets, each in a cell of its own."""
    calls = ("sources()", "search()", "chat()", "viewer('citations.pdf')")
    run(page, lab, "widgets.ipynb", f"%sbf use {NAME}", *(f"nb.widgets.{call}" for call in calls))
    box = widget(page, "Sources")
    expect(box.get_by_role("row").first).to_be_visible(timeout=WAIT_MS)
    keep(box, out / "widget-sources.png")

    box = widget(page, "Search")
    box.get_by_label("Search for").fill(SEARCH)
    page.keyboard.press("Enter")
    box.get_by_role("button", name="Why here").first.click(timeout=WAIT_MS)
    keep(widget(page, "Search"), out / "widget-search.png")

    box = widget(page, "Chat")
    box.get_by_label("Your question").fill(QUESTION)
    page.keyboard.press("Enter")
    box.get_by_role("button", name="Citation 1").first.click(timeout=WAIT_MS)
    expect(box.locator("mark").first).to_be_in_viewport(timeout=WAIT_MS)
    keep(widget(page, "Chat"), out / "widget-chat.png")

    box = widget(page, "Source")
    box.get_by_role("button", name="Page", exact=True).click()
    expect(box.get_by_alt_text("Page 1 of")).to_be_visible(timeout=WAIT_MS)
    keep(widget(page, "Source"), out / "widget-viewer.png")


def sidebar(page: Page, lab: Lab, out: Path) -> None:
    """Take pictures of the Lab: the library beside a Jupyter notebook, and a chat beside the words it cites."""
    run(page, lab, "basil.ipynb", f"%sbf use {NAME}", f"%search {SEARCH}")
    library = show_sidebar(page)
    expect(library.locator(".sbf-Source").first).to_be_visible(timeout=WAIT_MS)
    page.mouse.move(900, 700)
    keep(page, out / "lab-light.png")

    chat = show_sidebar(page, "Chat")
    answers = chat.locator(".sbf-is-assistant[data-status=done]")
    expect(answers).to_have_count(1, timeout=WAIT_MS)  # the one that the widget asked for
    chat.get_by_role("textbox", name="Question").fill(NEXT_QUESTION)
    page.keyboard.press("Enter")
    expect(answers).to_have_count(2, timeout=WAIT_MS)
    answers.last.locator(".sbf-Marker").first.click()
    expect(page.locator(".sbf-Viewer mark").first).to_be_in_viewport(timeout=WAIT_MS)
    set_theme(page, "dark")
    page.wait_for_timeout(800)
    keep(page, out / "lab-dark.png")


def report(browser: Browser, workspace: Workspace, file: Path, out: Path) -> None:
    """Run a report and take a picture of the top of its page."""
    questions = [QUESTION, NEXT_QUESTION]
    workspace.reports.run("brief", NAME, questions=questions, title="Basil under three lamps", output=file)
    page = browser.new_page(viewport={"width": 1000, "height": 900}, device_scale_factor=1.5)
    page.goto(file.as_uri())
    keep(page, out / "report.png")
    page.close()


def main(out: Path) -> None:
    """Take all pictures."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sbf-pictures-") as made, sync_playwright() as playwright:
        folder = Path(made)
        folder.chmod(0o755)  # the database server may belong to another user
        lab, process = start_lab(folder / "lab", folder / "home")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            with sbf.connect(home=folder / "home") as workspace:
                fill(workspace, folder / "files")
                screen = {"width": 1240, "height": 800}
                page = browser.new_page(viewport=screen, device_scale_factor=1.5, locale="en-GB")
                widgets(page, lab, out)
                sidebar(page, lab, out)
                report(browser, workspace, folder / "brief.html", out)
        finally:
            browser.close()
            stop_lab(lab, process)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES)
