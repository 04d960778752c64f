"""Asking, end to end: embedded database, real embedder and cross-encoder, a model server that speaks HTTP."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from sbf_kernel.errors import NotFound
from sbf_kernel.records import Answer, AnswerDelta

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sbf_kernel.runtime import Runtime
    from sbf_kernel.workspace import NotebookHandle, Workspace

BEES = """# Bees

Honey bees live in colonies of up to 60,000 workers. A queen can lay 2,000 eggs a day. She may live for five years.

Beekeepers move their hives in spring. The price of honey rose in 2021.
"""
WASPS = "A wasp queen founds her nest alone in spring. Wasps do not store honey."


@pytest.fixture
def filled(notebook: NotebookHandle) -> NotebookHandle:
    notebook.add_text(BEES, "bees.md")
    notebook.add_text(WASPS, "wasps.txt")
    return notebook


def check_quotes(workspace: Workspace, answer: Answer) -> None:
    for cited in answer.citations:
        text = workspace.sources.text(cited.source_id, version_id=cited.version_id).text
        assert text[cited.start : cited.end] == cited.quote


def test_an_extractive_answer_is_quoted_stored_and_rechecked(workspace: Workspace, filled: NotebookHandle) -> None:
    *deltas, answer = filled.ask_stream("How many eggs does a queen bee lay a day?")
    assert isinstance(answer, Answer)
    assert all(isinstance(delta, AnswerDelta) for delta in deltas)
    assert "".join(delta.text for delta in deltas if isinstance(delta, AnswerDelta)) == answer.text
    assert answer.answered
    assert "A queen can lay 2,000 eggs a day." in answer.text
    assert answer.citations[0].source == "bees.md"
    assert {c.status for c in answer.citations} == {"verified"}
    assert answer.provenance.model == "extractive"
    check_quotes(workspace, answer)
    assert workspace.answers.get(answer.id) == answer
    assert [a.id for a in workspace.answers.list(search="EGGS")] == [answer.id]
    rechecked = workspace.recheck(answer)
    assert rechecked.ok
    assert all(item.current for item in rechecked.items)


def test_what_the_sources_do_not_say(filled: NotebookHandle) -> None:
    answer = filled.ask("Which treaty ended the Thirty Years' War?")
    assert not answer.answered
    assert answer.text.startswith("The sources do not answer this question.")


def test_an_empty_notebook(notebook: NotebookHandle) -> None:
    answer = notebook.ask("Anything at all?", model="openai:must-not-be-called")
    assert not answer.answered
    assert len(answer.citations) == 0


def test_other_tenants_see_nothing(workspace: Workspace, stranger: Workspace, filled: NotebookHandle) -> None:
    answer = filled.ask("How many eggs does a queen bee lay a day?")
    with pytest.raises(NotFound):
        stranger.answers.get(answer.id)
    with pytest.raises(NotFound):
        stranger.recheck(answer)
    assert stranger.answers.list().total == 0
    assert not stranger.ask("How many eggs does a queen bee lay a day?").answered


class Endpoint(BaseHTTPRequestHandler):
    """Says that a queen lays eggs, and cites the passage that says so."""

    protocol_version = "HTTP/1.1"
    prompts: list[str] = []  # noqa: RUF012 - shared on purpose

    def do_POST(self) -> None:
        prompt = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"][-1]["content"]
        self.prompts.append(prompt)
        label = next(
            line.split("]")[0][1:] for line in prompt.splitlines() if line.startswith("[") and "bees.md" in line
        )
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for word in (
            "A queen lays up to 2,000 ",
            "eggs in a day [",
            f"{label}",
            ", 77]. She ",
            f"writes poems [{label}].",
        ):
            self.event({"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]})
        self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self.event({"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}})

    def event(self, data: dict[str, Any]) -> None:
        chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "fake", **data}
        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def endpoint(runtime: Runtime) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    before = runtime.settings
    runtime.settings = before.model_copy(update={"model_base_url": f"http://127.0.0.1:{server.server_address[1]}/v1"})
    yield "openai:fake"
    runtime.settings = before
    server.shutdown()
    server.server_close()


def test_a_language_model_answers(workspace: Workspace, filled: NotebookHandle, endpoint: str) -> None:
    pytest.importorskip("pydantic_ai")
    question = "How many eggs does a queen bee lay a day? {passages} {{7*7}}"
    *deltas, answer = filled.ask_stream(question, model=endpoint)
    assert isinstance(answer, Answer)
    assert "".join(delta.text for delta in deltas if isinstance(delta, AnswerDelta)) == answer.text
    assert Endpoint.prompts[-1].endswith(question)
    first, second = answer.citations
    assert (first.status, first.source) == ("verified", "bees.md")
    assert "2,000 eggs" in first.quote
    assert second.status == "unverified"
    assert answer.provenance.unknown_markers == 1
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (100, 20)
    assert answer.budget.used + answer.budget.reserved <= answer.budget.window
    assert len(answer.provenance.prompt_sha256) == 64
    check_quotes(workspace, answer)
    rechecked = workspace.recheck(answer)
    assert [item.holds for item in rechecked.items] == [True, False]
