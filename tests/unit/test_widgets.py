"""The widgets without a browser: what they answer to what a browser sends, and what is shown without one."""

from __future__ import annotations

import threading
from base64 import b64decode
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from sbf_kernel import widgets
from sbf_kernel.display.escaping import clean
from sbf_kernel.errors import MissingExtra
from sbf_kernel.records import Citation, Hit, Location
from sbf_kernel.samples import own
from tests.conftest import CountingEmbedder, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sbf_kernel.workspace import NotebookHandle, Workspace

pytest.importorskip("anywidget")
from sbf_kernel.widgets import insertions, rows, uploads

TEXT = (
    "The lexical arm finds exact words such as names and codes.\n\n"
    "The dense arm compares embeddings and finds passages that say the same in other words.\n\n"
    "A passage that both arms rank high is almost always worth reading."
)
LIMIT = 60_000
PLACED: dict[str, Any] = {
    "source_id": uuid4(), "version_id": uuid4(), "version": 1, "chunk_id": uuid4(), "start": 0, "end": 3, "location": Location(page=2),
}  # fmt: skip


class Wire:
    """Stands where the browser's end of the channel is: keeps what is sent."""

    def __init__(self) -> None:
        self.comm_id = uuid4().hex
        self.sent: list[dict[str, Any]] = []
        self.arrived = threading.Lock()

    def send(self, data: dict[str, Any], buffers: Any = None, **_: Any) -> None:
        with self.arrived:
            self.sent.append(data)

    def on_msg(self, *_: Any) -> None: ...

    def close(self, *_: Any, **__: Any) -> None: ...


class Browser:
    """Asks a widget as its page would."""

    def __init__(self, widget: Any) -> None:
        self.widget, self.wire, self.count = widget, Wire(), 0
        widget.comm = self.wire

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What was said to the page, without changes of the state."""
        with self.wire.arrived:
            return [data["content"] for data in self.wire.sent if data["method"] == "custom"]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message.get("event") == name]

    def send(self, action: str, buffers: list[bytes] | None = None, **fields: Any) -> str:
        self.count += 1
        call = f"c{self.count}"
        self.widget._handle_custom_msg({"call": call, "action": action, **fields}, buffers or [])
        return call

    def reply(self, call: str) -> dict[str, Any]:
        until(lambda: any(message.get("reply") == call for message in self.messages))
        return next(message for message in self.messages if message.get("reply") == call)

    def ask(self, action: str, buffers: list[bytes] | None = None, **fields: Any) -> Any:
        reply = self.reply(self.send(action, buffers, **fields))
        assert "error" not in reply, reply["error"]
        return reply["result"]

    def told(self, action: str, **fields: Any) -> dict[str, Any]:
        """Ask for what changes a chat; returns the state that all views were told."""
        self.ask(action, **fields)
        state: dict[str, Any] = self.events("now")[-1]["state"]
        return state

    def refused(self, action: str, buffers: list[bytes] | None = None, **fields: Any) -> dict[str, str]:
        error: dict[str, str] = self.reply(self.send(action, buffers, **fields))["error"]
        return error


@pytest.fixture
def filled(notebook: NotebookHandle) -> NotebookHandle:
    notebook.add_text(TEXT, "two arms.txt")
    return notebook


def test_a_call_is_acknowledged_before_it_is_answered(filled: NotebookHandle) -> None:
    browser = Browser(filled.widgets.search())
    call = browser.send("search", query="dense arm")
    browser.reply(call)
    said = [message for message in browser.messages if call in (message.get("ack"), message.get("reply"))]
    assert [next(iter(message)) for message in said] == ["ack", "reply"]


def test_whatever_goes_wrong_is_told_with_what_to_do_next(filled: NotebookHandle) -> None:
    browser = Browser(filled.widgets.search())
    assert browser.refused("search", query="  ")["code"] == "invalid_input"
    assert "cannot fly" in browser.refused("fly")["message"]
    assert browser.refused("text", source_id=str(uuid4()))["code"] == "not_found"
    assert "see" not in browser.refused("search", nonsense=1)["hint"]
    assert browser.refused("__init__")["code"] == "invalid_input"


def test_a_file_arrives_in_pieces_and_becomes_a_source(notebook: NotebookHandle) -> None:
    browser = Browser(notebook.widgets.sources())
    content = (TEXT * 40).encode()
    browser.ask("upload_begin", key="k", path="folder/two arms.txt", size=len(content), media_type="text/plain")
    for at in range(0, len(content), 3_000):
        assert browser.ask("upload_piece", [memoryview(content[at : at + 3_000])], key="k", at=at) == min(  # type: ignore[list-item]
            len(content), at + 3_000
        )
    assert browser.ask("upload_piece", [content[:10]], key="k", at=0) == len(content)  # sent twice, kept once
    row = browser.ask("upload_end", key="k")
    assert row["name"] == "two arms.txt"
    until(lambda: any(event["row"]["status"] == "ready" for event in browser.events("source")))
    (source,) = notebook.sources.list()
    assert source.origin == f"upload:{notebook.id}/folder/two arms.txt"
    until(lambda: browser.events("settled"))


def test_an_empty_file_fails_with_the_reason(notebook: NotebookHandle) -> None:
    browser = Browser(notebook.widgets.sources())
    browser.ask("upload_begin", key="k", path="nothing.txt", size=0)
    browser.ask("upload_end", key="k")
    until(lambda: any(event["row"]["reason"] == "source_empty" for event in browser.events("source")))


def test_pieces_that_do_not_fit_are_refused(notebook: NotebookHandle) -> None:
    browser = Browser(notebook.widgets.sources())
    assert browser.refused("upload_piece", [b"x"], key="never", at=0)["code"] == "not_found"
    browser.ask("upload_begin", key="k", path="a.txt", size=10)
    assert browser.refused("upload_piece", [b"x" * 11], key="k", at=0)["code"] == "invalid_input"
    assert browser.refused("upload_piece", [b"x"], key="k", at=5)["code"] == "invalid_input"
    assert "in part" in browser.refused("upload_end", key="k")["message"]
    browser.ask("upload_drop", key="k")
    assert browser.refused("upload_end", key="k")["code"] == "not_found"
    assert browser.refused("upload_begin", key="big", path="big", size=201 << 20)["code"] == "source_too_large"


def test_a_path_that_climbs_stays_inside_its_notebook() -> None:
    arriving = uploads.Uploads(1)
    for path in ("../../etc/passwd", "/etc/passwd", "a/../../b", "\x00\x1b", ""):
        arriving.begin("k", path, 0, "")
        upload, content = arriving.finish("k")
        assert content == b""
        assert ".." not in upload.path.split("/") and not upload.path.startswith("/")
        assert upload.name


def test_text_and_links_are_added(notebook: NotebookHandle) -> None:
    browser = Browser(notebook.widgets.sources())
    assert browser.ask("add_text", text=TEXT, name="Pasted")["name"] == "Pasted"
    row = browser.ask("add_url", url="http://127.0.0.1:9/secret")
    until(lambda: any(e["row"]["id"] == row["id"] and e["row"]["status"] == "failed" for e in browser.events("source")))
    assert browser.refused("add_url", url="file:///etc/passwd")["code"] == "invalid_input"
    assert browser.refused("add_text", text=TEXT, name="")["code"] == "invalid_input"


def test_a_source_is_removed_and_put_back(filled: NotebookHandle) -> None:
    browser = Browser(filled.widgets.sources())
    (source,) = filled.sources.list()
    browser.ask("remove", source_id=str(source.id))
    assert browser.ask("page")["total"] == 0
    assert browser.ask("restore", source_id=str(source.id))["name"] == source.name
    assert len(browser.events("moved")) == 2  # all views look again
    assert browser.ask("page")["total"] == 1


def test_pages_filters_and_counts(notebook: NotebookHandle) -> None:
    for number in range(5):
        notebook.add_text(f"{TEXT} {number}", f"text {number}")
    browser = Browser(notebook.widgets.sources())
    assert [row["name"] for row in browser.ask("page", limit=2)["rows"]] == ["text 4", "text 3"]
    assert [row["name"] for row in browser.ask("page", limit=2, offset=4, sort="name")["rows"]] == ["text 4"]
    assert browser.ask("page", search="text 2")["total"] == 1
    assert browser.ask("page", status="failed")["total"] == 0
    assert browser.ask("counts") == {"pending": 0, "processing": 0, "ready": 5, "failed": 0}
    hello = browser.ask("hello")
    assert hello["state"]["total"] == 5 and hello["can_add"]


def test_a_search_gives_marked_parts_and_both_ranks(filled: NotebookHandle) -> None:
    box = filled.widgets.search()
    browser = Browser(box)
    found = browser.ask("search", query="dense embeddings")
    (hit,) = box.hits
    (row,) = found["rows"]
    assert "embeddings" in [text for text, on in row["parts"] if on]
    assert (row["lexical_rank"], row["dense_rank"]) == (1, 1)
    assert "".join(text for text, _ in row["full"] or row["parts"]).split() == hit.text.split()
    browser.ask("select", rank=1)
    assert box.selected == hit
    browser.ask("inserted", text=row["cell"])
    assert box.last_insert == row["cell"]
    assert box.state["found"]["query"] == "dense embeddings"
    assert browser.ask("search", query="dense", media_types=["application/pdf"])["rows"] == []


def test_the_text_of_a_source_comes_in_pieces_that_join(notebook: NotebookHandle) -> None:
    words = "\n".join(f"Line {number} speaks of 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 and other things." for number in range(3_000))
    source = notebook.add_text(words, "long")
    browser = Browser(notebook.widgets.sources())
    whole = notebook.sources.text(source).text
    start = whole.index("Line 1500 ")
    piece = browser.ask("text", source_id=str(source.id), start=start, end=start + 9)
    assert [text for text, on in piece["parts"] if on] == ["Line 1500"]
    version = piece["version_id"]
    before, after = [], []
    first, last = piece["from"], piece["to"]
    while first > 0:
        earlier = browser.ask("text", source_id=str(source.id), version_id=version, at=first, toward="start")
        before.insert(0, earlier)
        assert earlier["to"] == first
        first = earlier["from"]
    while last < piece["length"]:
        later = browser.ask("text", source_id=str(source.id), version_id=version, at=last)
        after.append(later)
        assert later["from"] == last
        last = later["to"]
    read = "".join(text for part in [*before, piece, *after] for text, _ in part["parts"])
    assert read == whole
    assert len(before) + len(after) > 3


def test_a_page_of_a_pdf_is_drawn(notebook: NotebookHandle, tmp_path: Path) -> None:
    source = notebook.add(next(path for path in own(tmp_path) if path.suffix == ".pdf"))[0]
    viewer = notebook.widgets.viewer(source)
    piece = viewer.state["piece"]
    assert piece["pages"] == source.page_count
    drawn = Browser(viewer).ask(
        "picture", source_id=piece["source_id"], version_id=piece["version_id"], page=2, width=500
    )
    assert (drawn["page"], drawn["media_type"]) == (2, "image/webp")
    assert b64decode(drawn["image"])[8:12] == b"WEBP"


def test_a_viewer_shows_a_hit_at_its_words(filled: NotebookHandle, workspace: Workspace) -> None:
    (hit,) = filled.search("dense embeddings")
    viewer = filled.widgets.viewer(hit)
    assert "".join(text for text, on in viewer.state["piece"]["parts"] if on) == hit.text
    assert filled.widgets.viewer("two arms.txt").state["piece"]["name"] == "two arms.txt"
    workspace.notebooks.create("elsewhere").add_text("Another text of that name.", "two arms.txt")
    assert filled.widgets.viewer("two arms.txt").state["piece"]["name"] == "two arms.txt"


def test_a_chat_streams_and_its_citations_lead_to_the_words(filled: NotebookHandle) -> None:
    box = filled.widgets.chat()
    browser = Browser(box)
    assert box.state["chat"] is None
    state = browser.told("ask", text="What does the dense arm compare?")
    asked, answered = state["rows"]
    assert (asked["role"], asked["text"]) == ("user", "What does the dense arm compare?")
    assert "".join(event["text"] for event in browser.events("delta")) == answered["text"]
    assert [event["piece"] for event in browser.events("delta")] == list(range(1, len(browser.events("delta")) + 1))
    cited = answered["citations"][0]
    piece = browser.ask(
        "text", source_id=cited["source_id"], version_id=cited["version_id"], start=cited["start"], end=cited["end"]
    )
    assert "".join(text for text, on in piece["parts"] if on) == cited["quote"]
    assert answered["budget"]["passages"] >= 1
    assert state["chats"][0]["messages"] == 2


def test_a_chat_is_kept_renamed_left_and_deleted(filled: NotebookHandle) -> None:
    browser = Browser(filled.widgets.chat())
    first = browser.told("ask", text="What does the dense arm compare?")["chat"]
    assert browser.told("open", chat_id=None)["rows"] == []
    second = browser.told("ask", text="What does the lexical arm find?")["chat"]
    assert second["id"] != first["id"]
    assert len(browser.told("open", chat_id=first["id"])["rows"]) == 2
    renamed = browser.told("rename", chat_id=first["id"], title="Arms")
    assert renamed["chat"]["title"] == "Arms"
    left = browser.told("delete", chat_id=first["id"])
    assert left["chat"] is None
    assert [chat["id"] for chat in left["chats"]] == [second["id"]]
    again = filled.widgets.chat(second["id"])
    assert [row["role"] for row in again.state["rows"]] == ["user", "assistant"]


def test_what_becomes_of_a_chat_elsewhere_is_told_to_all_views(filled: NotebookHandle) -> None:
    browser = Browser(filled.widgets.chat())
    state = browser.told("ask", text="What does the dense arm compare?")
    browser.ask("renew")
    assert len(browser.events("now")) == 1  # nothing has changed
    (chat,) = filled._ws.chats.list(notebook_id=filled.id)
    filled._ws.chats.get(chat.id).send("What does the lexical arm find?")
    assert len(browser.told("renew")["rows"]) == 4
    filled._ws.chats.delete(chat.id)
    refused = browser.refused("ask", text="And a passage that both rank high?")
    assert (refused["message"], refused["hint"]) == ("this chat was deleted", "send it again: a new chat begins")
    left = browser.events("now")[-1]["state"]
    assert left["gone"] and left["chat"] is None and left["written"] is None
    again = browser.told("ask", text="What does the dense arm compare?")
    assert again["chat"]["id"] != state["chat"]["id"] and not again["gone"]


def test_a_question_that_fails_ends_for_all_views(filled: NotebookHandle, monkeypatch: pytest.MonkeyPatch) -> None:
    box = filled.widgets.chat()
    browser = Browser(box)

    def gone(*_: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr(box, "_read", gone)
    monkeypatch.setattr(box, "_now", gone)
    assert browser.refused("ask", text="What does the dense arm compare?")["code"] == "error"
    assert browser.events("begun") and browser.events("now")[-1]["state"]["written"] is None


def test_an_empty_notebook_says_how_to_add_sources(notebook: NotebookHandle) -> None:
    chat, search = Browser(notebook.widgets.chat()), Browser(notebook.widgets.search())
    assert chat.refused("ask", text="Why?")["message"] == "this notebook is empty"
    assert "nb.widgets.sources()" in chat.ask("hello")["state"]["empty"]
    assert "nb.widgets.sources()" in search.ask("search", query="herons")["advice"]
    notebook.add_text(TEXT, "two arms.txt")
    assert chat.told("renew")["empty"] == ""
    found = search.ask("search", query="herons", media_types=["application/pdf"])
    assert found["advice"].startswith("Try other words")


def test_a_level_is_set_before_and_after_the_first_question(filled: NotebookHandle) -> None:
    browser = Browser(filled.widgets.chat())
    (source,) = filled.sources.list()
    assert browser.ask("level", source_id=str(source.id), level="off")["levels"] == {str(source.id): "off"}
    answered = browser.told("ask", text="What does the dense arm compare?")["rows"][-1]
    assert answered["answered"] is False
    assert browser.ask("level", source_id=str(source.id), level="full")["levels"] == {str(source.id): "full"}
    assert browser.refused("level", source_id=str(source.id), level="much")["code"] == "invalid_input"


def test_an_answer_becomes_a_note_and_cells(filled: NotebookHandle) -> None:
    browser = Browser(filled.widgets.chat())
    answered = browser.told("ask", text="What does the dense arm compare?")["rows"][-1]
    title = browser.ask("note", message_id=answered["id"])
    (note,) = filled.notes.list()
    assert note.title == title
    assert [str(cited.source_id) for cited in note.citations] == [cited["source_id"] for cited in answered["citations"]]
    (cell,) = browser.ask("cells", message_id=answered["id"])
    assert "“" in cell and "two arms" in cell
    assert browser.ask("cells", message_id=None)[0].startswith("### What does")
    assert browser.refused("stop")["code"] == "not_found"
    assert browser.refused("cells", message_id=str(uuid4()))["code"] == "not_found"


def test_earlier_messages_come_when_they_are_asked_for(filled: NotebookHandle) -> None:
    chat = filled.chat()
    for number in range(17):
        chat.send(f"What does the dense arm compare? {number}")
    box = filled.widgets.chat(chat)
    assert (len(box.state["rows"]), box.state["offset"]) == (30, 4)
    earlier = Browser(box).ask("earlier", offset=4)
    assert (len(earlier["rows"]), earlier["offset"]) == (4, 0)
    assert earlier["rows"][0]["text"].endswith("compare? 0")


def test_a_job_is_followed_cancelled_and_tried_again(
    notebook: NotebookHandle, workspace: Workspace, embedder: CountingEmbedder
) -> None:
    embedder.allowed = 0
    sources, browser = Browser(notebook.widgets.sources()), Browser(workspace.widgets.jobs())
    sources.ask("add_text", text=TEXT, name="slow")
    until(lambda: embedder.waiting)
    (row,) = browser.ask("page")["rows"]
    assert (row["subject"], row["status"]) == ("slow", "running")
    assert browser.ask("cancel", job_id=row["id"])["status"] == "cancelled"
    until(lambda: any(event["row"]["status"] == "cancelled" for event in browser.events("job")))
    embedder.allowed = float("inf")
    assert browser.ask("retry", job_id=row["id"])["status"] in ("queued", "running", "done")
    until(lambda: any(event["row"]["status"] == "done" for event in browser.events("job")))
    assert browser.ask("page", status="done")["total"] == 1


def test_a_job_that_found_nothing_to_read_is_not_called_done(notebook: NotebookHandle, workspace: Workspace) -> None:
    notebook.add_text(TEXT, "good")
    sources, jobs = Browser(notebook.widgets.sources()), Browser(workspace.widgets.jobs())
    sources.ask("upload_begin", key="k", path="blank.txt", size=0)
    sources.ask("upload_end", key="k")
    until(lambda: sources.events("settled"))
    assert {row["subject"]: row["failed"] for row in jobs.ask("page")["rows"]} == {"good": False, "blank.txt": True}


def test_a_source_is_cancelled_while_it_is_processed(notebook: NotebookHandle, embedder: CountingEmbedder) -> None:
    embedder.allowed = 0
    browser = Browser(notebook.widgets.sources())
    row = browser.ask("add_text", text=TEXT, name="slow")
    until(lambda: any(event["row"]["status"] == "processing" for event in browser.events("source")))
    assert browser.ask("cancel", source_id=row["id"])["status"] == "pending"
    until(lambda: browser.events("settled"))
    embedder.allowed = float("inf")
    browser.ask("retry", source_id=row["id"])
    until(lambda: any(event["row"]["status"] == "ready" for event in browser.events("source")))


MAKERS: dict[str, Callable[[NotebookHandle], Any]] = {
    "sources": lambda nb: nb.widgets.sources(),
    "search": lambda nb: nb.widgets.search("dense"),
    "chat": lambda nb: nb.widgets.chat(),
    "viewer": lambda nb: nb.widgets.viewer(nb.sources.list()[0]),
    "jobs": lambda nb: nb._ws.widgets.jobs(),
}


@pytest.mark.parametrize("name", MAKERS)
def test_without_a_kernel_there_is_a_page_to_read(filled: NotebookHandle, name: str) -> None:
    box = MAKERS[name](filled)
    assert filled._ws.settings.static
    static = box._repr_mimebundle_()
    assert set(static) == {"text/plain", "text/html", "text/markdown"}
    filled._ws.settings = filled._ws.settings.model_copy(update={"static": False})
    live, _ = box._repr_mimebundle_()
    assert live["application/vnd.jupyter.widget-view+json"]["model_id"] == box.model_id
    assert live["text/html"].startswith("<section") and "object at 0x" not in live["text/plain"]
    assert repr(box).startswith(f"<{type(box).__name__}")


@pytest.mark.parametrize("name", MAKERS)
def test_a_module_is_small_and_asks_nobody_else(filled: NotebookHandle, name: str) -> None:
    box = MAKERS[name](filled)
    module = box._esm
    assert len(module.encode()) + len(box._css.encode()) <= LIMIT
    assert module.count("export default") == 1
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "document.write",
        "fetch(",
        "XMLHttp",
        "import(",
        "import ",
        "eval(",
        "Function(",
    ):
        assert word not in module, word
    assert [
        part
        for part in module.split()
        if "//" in part and "http" in part and "w3.org" not in part and "https?" not in part and "https://…" not in part
    ] == []
    assert "url(" not in box._css and "@import" not in box._css


def test_two_widgets_of_a_notebook_do_not_hear_each_other(filled: NotebookHandle) -> None:
    one, other = Browser(filled.widgets.search()), Browser(filled.widgets.search())
    one.ask("search", query="dense")
    assert other.messages == []


def test_a_browser_gets_no_control_characters_and_whole_parts() -> None:
    text = "ab\u202ecd 𝔘x\x1b end"
    hit = Hit(
        **{
            **PLACED,
            "rank": 1,
            "score": 0.5,
            "source": "a\nb\u202e",
            "text": text,
            "highlights": ((1, 4), (3, 6), (6, 8)),
        }
    )
    row = rows.hit_row(hit)
    assert row["source"] == "a b\ufffd"
    assert "".join(part for part, _ in row["parts"]) == clean(text)
    assert [part for part, on in row["parts"] if on] == ["b\ufffdc", "d ", "𝔘x"]


def test_what_is_inserted_is_words_and_never_markup() -> None:
    evil = "![x](http://evil.example/p.png) <img src=x onerror=alert(1)>\n# head\n[a](javascript:alert(1))"
    cited = Citation(**{**PLACED, "marker": 1, "status": "verified", "source": evil, "quote": evil})
    cell = insertions.citation_cell(cited, cited.quote)
    assert "![x](" not in cell and "<img" not in cell and "](javascript" not in cell
    assert all(line.startswith(">") for line in cell.split("\n"))


def test_without_anywidget_the_cure_is_named(monkeypatch: pytest.MonkeyPatch, filled: NotebookHandle) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "anywidget", None)
    for name in [name for name in sys.modules if name.startswith("sbf_kernel.widgets.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingExtra, match="pip install"):
        filled.widgets.sources()
    with pytest.raises(AttributeError):
        _ = widgets.Nonsense


def test_several_calls_are_answered_each(filled: NotebookHandle) -> None:
    browser = Browser(filled.widgets.search())
    calls = [browser.send("search", query=f"dense {number}") for number in range(5)]
    assert [browser.reply(call)["result"]["query"] for call in calls] == [f"dense {number}" for number in range(5)]
