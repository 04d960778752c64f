"""Hostile text in every place where a widget shows text: nothing runs, nothing is fetched, nothing becomes an element."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.integration.model_server import Provider, say
from tests.ui.conftest import Observed
from tests.ui.payloads import HARM, MADE, PAYLOADS

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    from sbf_kernel.workspace import Workspace

pytest.importorskip("pydantic_ai")
BUSY_MS = 30_000
UPLOAD = """(input, names) => { const transfer = new DataTransfer();
  names.forEach((name, number) => transfer.items.add(new File([' '.repeat(number + 1)], name)));
  input.files = transfer.files; input.dispatchEvent(new Event('change')); }"""


@pytest.fixture
def provider() -> Iterator[Provider]:
    running = Provider()
    yield running
    running.close()


def test_nothing_in_a_widget_is_taken_for_markup(
    run: Callable[..., Locator], tab: Page, mine: Workspace, provider: Provider, observed: Observed
) -> None:
    assert len(set(PAYLOADS)) >= 60
    notebook = mine.notebooks.create(PAYLOADS[0])
    for number in range(0, len(PAYLOADS), 3):  # names and texts
        notebook.add_text(
            "\n\n".join(["The dense arm is hostile.", *PAYLOADS[number : number + 3]]), PAYLOADS[number][:300]
        )
    notebook.add_text("The dense arm is hostile:\n\n" + "\n\n".join(PAYLOADS), "all of them")
    provider.script = lambda h, n: say(h, *(f"{payload} [1]\n\n" for payload in PAYLOADS))
    connect = (
        f"import sbf_kernel as sbf\nws = sbf.connect(model='openai:fake-1', model_base_url={provider.url!r}, model_api_key='none')\n"
        f"nb = ws.notebooks.get({str(notebook.id)!r})"
    )
    panel = run(
        "hostile.ipynb", connect, "nb.widgets.sources()", "nb.widgets.search('dense arm hostile')", "nb.widgets.chat()",
        "ws.widgets.jobs()", "nb.widgets.viewer('all of them')",
    )  # fmt: skip
    sources, search, chat, jobs, viewer = (
        panel.get_by_role("region", name=name, exact=True) for name in ("Sources", "Search", "Chat", "Jobs", "Source")
    )
    sources.locator("input[type=file]").evaluate(UPLOAD, [payload.replace("/", "_") for payload in PAYLOADS])
    expect(sources.get_by_role("button", name="Failed")).to_contain_text(str(len(set(PAYLOADS))), timeout=4 * BUSY_MS)
    sources.locator(".list").evaluate(
        "async list => { for (let y = 0; y < list.scrollHeight; y += 150) { list.scrollTop = y; await new Promise(requestAnimationFrame); } }"
    )
    sources.get_by_role("button", name="Failed").click()
    expect(sources.get_by_role("row").first).to_contain_text("is empty", timeout=BUSY_MS)
    sources.get_by_role("row").first.focus()
    expect(sources.locator(".detail")).to_be_visible()
    sources.get_by_label("Filter by name").fill("script")
    search.get_by_role("button", name="More hits").click()
    expect(search.locator(".place").nth(25)).to_be_attached(timeout=BUSY_MS)
    for button in search.get_by_role("button", name="Whole passage").all()[:10]:
        button.click()
    search.locator(".place").first.click()
    expect(search.get_by_role("region", name="Text of").locator("mark")).to_be_visible(timeout=BUSY_MS)
    for payload in PAYLOADS[:3]:
        chat.get_by_label("Your question").fill(f"{payload} dense arm")
        chat.get_by_role("button", name="Send").click()
        expect(chat.get_by_role("button", name="Send")).to_be_visible(timeout=4 * BUSY_MS)
    chat.get_by_role("button", name="quote").first.click()
    chat.get_by_role("button", name="Citation 1").first.click()
    expect(chat.get_by_role("region", name="Text of").locator("mark")).to_be_visible(timeout=BUSY_MS)
    chat.get_by_role("button", name="Sources used").click()
    chat.get_by_role("button", name="Chats", exact=True).click()
    expect(chat.get_by_role("group", name="Chats")).to_contain_text("6 messages", timeout=BUSY_MS)
    for box in (sources, search, chat, jobs, viewer):
        assert box.locator(MADE).count() == 0
        assert "sbfHarm" in (box.text_content() or "")  # it is there, as words
    assert tab.evaluate(HARM)
    assert observed.foreign == []
