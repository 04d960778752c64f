"""Chats with a language model that speaks HTTP: follow-ups, history, citations on the way, stopping, failing, the bill."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from sbf_kernel.backends.local import LocalBackend
from sbf_kernel.backends.loop import LoopThread
from sbf_kernel.chat import context
from sbf_kernel.errors import Conflict, ModelError, ModelUnavailable, NotFound
from sbf_kernel.records import Message, MessageDelta
from sbf_kernel.runtime import Runtime
from sbf_kernel.workspace import Workspace
from tests.conftest import until
from tests.integration.model_server import Provider, refuse, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from http.server import BaseHTTPRequestHandler

    from sbf_kernel.records import Principal
    from sbf_kernel.settings import Settings
    from sbf_kernel.workspace import NotebookHandle
    from sbf_kernel.workspace.chats import ChatHandle

pytest.importorskip("pydantic_ai")
WHALES = "Whales are marine mammals. Whales breathe air through a blowhole on top of the head. They feed on krill."
BREAD = "Sourdough bread rises slowly. Wild yeast and bacteria ferment the dough overnight."
QUESTION = "How do whales breathe?"
MODEL = "openai:fake-1"
WORDS = [f"word{n} " for n in range(400)]


@pytest.fixture
def provider(runtime: Runtime) -> Iterator[Provider]:
    running, before = Provider(), runtime.settings
    runtime.settings = before.model_copy(update={"model_base_url": running.url})
    yield running
    runtime.settings = before
    running.close()


@pytest.fixture
def library(notebook: NotebookHandle) -> NotebookHandle:
    notebook.add_text(WHALES, "whales")
    notebook.add_text(BREAD, "bread")
    return notebook


@pytest.fixture
def chat(library: NotebookHandle, provider: Provider) -> ChatHandle:
    return library.chat(model=MODEL)


@pytest.fixture
def elsewhere(settings: Settings, principal: Principal, chat: ChatHandle) -> Iterator[ChatHandle]:
    """The same chat in another runtime, which shares nothing but the database."""
    loop = LoopThread()
    other = loop.run(Runtime.open(settings))
    workspace = Workspace(LocalBackend(other, principal), loop, settings)
    yield workspace.chats.get(chat.id)
    workspace.close()


def answering(answer: Callable[[BaseHTTPRequestHandler], None], **asides: str) -> Callable[..., None]:
    """Return a script that answers; ``rewrite`` and ``summary`` are what the model says beside the answer."""

    def script(h: BaseHTTPRequestHandler, n: int, provider: Provider) -> None:
        system = provider.prompts(n - 1)[0]
        for kind, begins in (("rewrite", "You rewrite"), ("summary", "You shorten")):
            if system.startswith(begins):
                say(h, asides[kind]) if kind in asides else refuse(h, 400)
                return
        answer(h)

    return script


def teach(provider: Provider, answer: Callable[[BaseHTTPRequestHandler], None], **asides: str) -> None:
    script = answering(answer, **asides)
    provider.script = lambda h, n: script(h, n, provider)


class Reader(threading.Thread):
    """Reads a stream in the background."""

    def __init__(self, stream: Iterator[MessageDelta | Message]) -> None:
        super().__init__(daemon=True)
        self.stream, self.events, self.error = stream, list[Any](), None
        self.start()

    def run(self) -> None:
        try:
            for event in self.stream:
                self.events.append(event)
        except Exception as error:
            self.error = error

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, MessageDelta))

    def end(self) -> Message:
        self.join(20)
        assert not self.is_alive()
        if self.error:
            raise self.error
        assert isinstance(self.events[-1], Message)
        return self.events[-1]


def label_of(provider: Provider, source: str) -> str:
    return next(
        line.split("]")[0][1:]
        for line in provider.prompts()[1].splitlines()
        if line.startswith("[") and line.endswith(source)
    )


def test_a_rewritten_follow_up_is_what_is_searched_for(chat: ChatHandle, provider: Provider) -> None:
    teach(provider, lambda h: say(h, "They have a blowhole."), rewrite='"What ferments\nthe dough?"')
    assert chat.send(QUESTION).question == QUESTION
    assert len(provider.requests) == 1  # there was nothing to rewrite
    second = chat.send("And that other thing?")
    assert second.question == "What ferments the dough?"
    assert second.answer is not None
    assert second.answer.question == second.question
    assert max(second.answer.provenance.passages, key=lambda p: p.score).source == "bread"
    asked = provider.prompts(1)[1]
    assert "User: How do whales breathe?\n\nAssistant: They have a blowhole." in asked
    assert asked.endswith("Last question: And that other thing?")
    system, prompt = provider.prompts(2)
    assert prompt.endswith("Question: And that other thing?")
    assert "User: How do whales breathe?" in prompt
    assert "CONVERSATION" in system


def test_when_rewriting_fails_the_rule_steps_in(chat: ChatHandle, provider: Provider) -> None:
    teach(provider, lambda h: say(h, "Krill."))
    chat.send(QUESTION)
    assert chat.send("And what do they eat?").question == "whales breathe: And what do they eat?"
    teach(provider, lambda h: say(h, "Krill."), rewrite="x " * 2_000)
    assert chat.send("What is bread?").question == "What is bread?"


@pytest.mark.parametrize("summary", ["They spoke about SUMMARISED matters.", None])
def test_a_long_history_is_compressed_to_its_share_of_the_window(
    runtime: Runtime, chat: ChatHandle, provider: Provider, summary: str | None
) -> None:
    window = 2_000
    runtime.settings = runtime.settings.model_copy(update={"model_context_tokens": window})
    asides = {"rewrite": QUESTION} | ({"summary": summary} if summary else {})
    for turn in range(12):
        teach(provider, lambda h, turn=turn: say(h, f"Answer number {turn}. " + "Whales swim. " * 15), **asides)  # type: ignore[misc]
        chat.send(f"Question number {turn}: how do whales breathe?")
    system, prompt = provider.prompts()
    talk = prompt.partition("END OF CONVERSATION")[0]
    assert context.tokens(talk) <= window // 4 + 50
    assert context.tokens(system + prompt) <= window
    assert "Answer number 10." in talk
    assert "Summary of what was said before:" in talk
    assert talk.count("Whales swim.") < 5 * 15
    shortened = [n for n in range(len(provider.requests)) if provider.prompts(n)[0].startswith("You shorten")]
    assert 1 <= len(shortened) < 8
    if summary:
        assert "SUMMARISED" in talk
        assert any("SUMMARISED" in provider.prompts(n)[1] for n in shortened[1:])  # it goes on from the last one
    else:
        assert "User: Question number" in talk
    assert chat.refresh().message_count == 24


def test_citations_come_checked_as_soon_as_their_marker_is_written(chat: ChatHandle, provider: Provider) -> None:
    def answer(h: BaseHTTPRequestHandler) -> None:
        label = label_of(provider, "whales")
        say(
            h,
            "Whales breathe through a blowhole ",
            f"[{label}",
            "]. ",
            *["More "] * 5,
            f"They sing opera [{label}].",
            pause=0.1,
        )

    teach(provider, answer)
    *events, message = chat.stream(QUESTION)
    assert isinstance(message, Message)
    assert message.answer is not None
    cited = [n for n, event in enumerate(events) if isinstance(event, MessageDelta) and event.citation]
    assert len(cited) == 2
    assert any("More" in event.text for event in events[cited[0] :])
    assert [events[n].citation for n in cited] == list(message.answer.citations)  # type: ignore[union-attr]
    assert [c.status for c in message.answer.citations] == ["verified", "unverified"]
    assert "blowhole" in message.answer.citations[0].quote


def test_who_leaves_closes_the_request_of_the_model_and_keeps_what_was_written(
    chat: ChatHandle, provider: Provider
) -> None:
    teach(provider, lambda h: say(h, *WORDS, pause=0.02))
    stream = chat.stream(QUESTION)
    read = ""
    while len(read) < 60:
        event = next(stream)
        assert isinstance(event, MessageDelta)
        read += event.text
    assert provider.open == 1
    left = time.monotonic()
    stream.close()  # type: ignore[attr-defined]
    until(lambda: provider.open == 0, seconds=1)
    assert time.monotonic() - left < 1
    stopped = chat.messages()[1]
    assert (stopped.status, stopped.answer, stopped.error) == ("stopped", None, "")
    assert stopped.text.startswith(read)
    assert "".join(WORDS).startswith(stopped.text)


@pytest.mark.parametrize("where", ["chat", "elsewhere"])
def test_a_message_is_stopped_from_anywhere(
    chat: ChatHandle, provider: Provider, where: str, request: pytest.FixtureRequest
) -> None:
    other: ChatHandle = request.getfixturevalue(where)
    teach(provider, lambda h: say(h, *WORDS, pause=0.02))
    reader = Reader(chat.stream(QUESTION))
    until(lambda: len(reader.text) > 60)
    began = time.monotonic()
    assert other.stop().status == "stopped"
    message = reader.end()
    assert time.monotonic() - began < 2
    until(lambda: provider.open == 0, seconds=1)
    assert message.status == "stopped"
    assert reader.text == message.text == chat.messages()[1].text
    assert len(message.text) < len("".join(WORDS))
    assert chat.stop(message).status == "stopped"


def test_a_silent_model_can_be_stopped_too(chat: ChatHandle, elsewhere: ChatHandle, provider: Provider) -> None:
    teach(provider, lambda h: time.sleep(15))
    reader = Reader(chat.stream(QUESTION))
    until(lambda: provider.open == 1)
    began = time.monotonic()
    elsewhere.stop()
    assert reader.end().status == "stopped"
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("where", ["chat", "elsewhere"])
def test_a_running_message_is_followed_from_any_character(
    chat: ChatHandle, provider: Provider, where: str, request: pytest.FixtureRequest
) -> None:
    other: ChatHandle = request.getfixturevalue(where)
    words = WORDS[:80]
    teach(provider, lambda h: say(h, *words, pause=0.02))
    reader = Reader(chat.stream(QUESTION))
    until(lambda: len(reader.text) > 60)
    message_id = reader.events[0].message_id
    followers = {after: Reader(other.follow(message_id, after)) for after in (0, 1, 37, 60, 300)}
    next(iter(left := other.follow(message_id)))
    left.close()  # type: ignore[attr-defined]
    message = reader.end()
    assert message.status == "done"
    assert message.text == "".join(words).rstrip() or message.text == "".join(words)
    for after, follower in followers.items():
        assert follower.end() == message
        assert follower.text == message.text[after:]
        starts = [event.start for event in follower.events[:-1]]
        assert starts == sorted(starts)
    assert min(len(follower.events) for follower in followers.values()) > 2  # while it was written, not at the end


def test_half_an_answer_is_kept_with_why_it_failed(chat: ChatHandle, provider: Provider) -> None:
    teach(provider, lambda h: say(h, "Whales breathe", " thr", finish=None))
    reader = Reader(chat.stream(QUESTION))
    with pytest.raises(ModelError, match="broke off"):
        reader.end()
    assert reader.text == "Whales breathe thr"
    failed = chat.messages()[1]
    assert (failed.status, failed.text, failed.answer) == ("failed", "Whales breathe thr", None)
    assert "broke off → ask again" in failed.error
    assert list(chat.follow(failed))[-1] == failed
    assert "broke off" in chat._repr_mimebundle_()["text/html"]
    teach(provider, lambda h: say(h, "Through a blowhole."), rewrite=QUESTION)
    assert chat.send(QUESTION).status == "done"


def test_a_model_that_refuses_leaves_an_empty_failed_message(chat: ChatHandle, provider: Provider) -> None:
    provider.script = lambda h, n: refuse(h, 401)
    with pytest.raises(ModelUnavailable, match="refused the key"):
        chat.send(QUESTION)
    assert [(m.status, m.text) for m in chat.messages()][1] == ("failed", "")


def test_one_message_at_a_time(chat: ChatHandle, elsewhere: ChatHandle, provider: Provider) -> None:
    teach(provider, lambda h: say(h, *WORDS, pause=0.02))
    reader = Reader(chat.stream(QUESTION))
    until(lambda: len(reader.text) > 60)
    for place in (chat, elsewhere):
        with pytest.raises(Conflict, match=str(reader.events[0].message_id)):
            place.send("Another question?")
    chat.stop()
    reader.end()
    assert chat.refresh().message_count == 2


async def _silence(runtime: Runtime, message: Message) -> None:
    await runtime.db.owner_execute(
        "update sbf.messages set status = 'writing', updated_at = now() - interval '2 minutes' where id = %s",
        message.id,
    )


def test_a_message_whose_process_died_has_failed(
    chat: ChatHandle, provider: Provider, runtime: Runtime, loop: LoopThread
) -> None:
    teach(provider, lambda h: say(h, "Through a blowhole."), rewrite=QUESTION)
    message = chat.send(QUESTION)
    loop.run(_silence(runtime, message))
    *_, last = chat.follow(message)
    assert isinstance(last, Message)
    assert (last.status, last.text) == ("failed", message.text)
    assert "died" in last.error
    loop.run(_silence(runtime, message))
    assert chat.send(QUESTION).status == "done"
    assert chat.messages()[1].status == "failed"


def test_a_chat_that_is_deleted_stops_its_model(chat: ChatHandle, provider: Provider) -> None:
    teach(provider, lambda h: say(h, *WORDS, pause=0.02))
    reader = Reader(chat.stream(QUESTION))
    until(lambda: len(reader.text) > 60)
    chat.delete()
    with pytest.raises(NotFound):
        reader.end()
    until(lambda: provider.open == 0, seconds=1)


def test_closing_the_runtime_stops_and_keeps_what_is_being_written(
    chat: ChatHandle, provider: Provider, settings: Settings, principal: Principal
) -> None:
    teach(provider, lambda h: say(h, *WORDS, pause=0.02))
    loop = LoopThread()
    other = loop.run(Runtime.open(settings.model_copy(update={"model_base_url": provider.url})))
    workspace = Workspace(LocalBackend(other, principal), loop, settings)
    reader = Reader(workspace.chats.get(chat.id).stream(QUESTION))
    until(lambda: len(reader.text) > 60)
    loop.run(other.close())
    message = reader.end()
    loop.close()
    until(lambda: provider.open == 0, seconds=1)
    assert message.status == "stopped"
    assert chat.messages()[1] == message


def test_the_bill_has_every_call(
    chat: ChatHandle, library: NotebookHandle, workspace: Workspace, stranger: Workspace, provider: Provider
) -> None:
    teach(provider, lambda h: say(h, "Through a blowhole."), rewrite=QUESTION)
    chat.send(QUESTION)
    chat.send("And then?")
    library.ask(QUESTION, model=MODEL)
    sums = {item.key: item for item in workspace.usage("operation")}
    assert {key: (item.calls, item.input_tokens, item.output_tokens) for key, item in sums.items()} == {
        "ask": (1, 11, 3),
        "chat": (2, 22, 6),
        "rewrite": (1, 11, 3),
    }
    assert {item.cost_usd for item in sums.values()} == {None}  # nobody knows the price of this model
    (model,) = workspace.usage("model")
    assert (model.key, model.calls) == (MODEL, 4)
    (day,) = workspace.usage()
    assert day.calls == 4
    assert len(workspace.usage(after=time_of(day.key, 1))) == len(workspace.usage(before=time_of(day.key, 0))) == 0
    assert len(workspace.usage(after=time_of(day.key, 0), before=time_of(day.key, 1))) == 1
    assert len(stranger.usage()) == 0


def time_of(day: str, later: int) -> Any:
    from datetime import UTC, datetime, timedelta

    return datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=later)


def test_what_was_broken_off_is_on_the_bill_by_estimate(
    chat: ChatHandle, library: NotebookHandle, workspace: Workspace, provider: Provider
) -> None:
    teach(provider, lambda h: say(h, *WORDS, pause=0.02))
    stream = library.ask_stream(QUESTION, model=MODEL)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    until(lambda: len(workspace.usage("operation")))  # over HTTP, nobody waits for it
    (ask,) = workspace.usage("operation")
    assert (ask.key, ask.calls, ask.cost_usd) == ("ask", 1, None)
    assert ask.input_tokens > 100
    assert ask.output_tokens > 0
    provider.script = lambda h, n: refuse(h, 400)
    with pytest.raises(ModelError):
        library.ask(QUESTION, model=MODEL)
    assert [item.calls for item in workspace.usage("operation")] == [1]  # nothing was written


def test_an_answer_is_worth_more_than_its_bill(
    chat: ChatHandle,
    workspace: Workspace,
    provider: Provider,
    runtime: Runtime,
    loop: LoopThread,
    caplog: pytest.LogCaptureFixture,
) -> None:
    teach(provider, lambda h: say(h, "Through a blowhole."))
    loop.run(runtime.db.owner_execute("revoke insert on sbf.usage from sbf_app"))
    try:
        with caplog.at_level(logging.ERROR):
            assert chat.send(QUESTION).status == "done"
    finally:
        loop.run(runtime.db.owner_execute("grant insert on sbf.usage to sbf_app"))
    assert "could not be recorded" in caplog.text
    assert len(workspace.usage()) == 0


def test_the_configured_model_is_listed_and_its_key_is_not(
    workspace: Workspace, runtime: Runtime, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    from pydantic import SecretStr

    runtime.settings = runtime.settings.model_copy(
        update={"model": MODEL, "model_api_key": SecretStr("sk-secret-123"), "model_base_url": "http://user:pw@host/v1"}
    )
    listed = workspace.models()
    (model,) = [m for m in listed if m.id == MODEL]
    assert (model.kind, model.default, model.available) == ("language", True, True)
    assert not next(m for m in listed if m.id == "extractive").default
    assert "sk-secret-123" not in repr(listed)
    assert "pw@" not in listed.model_dump_json()
    assert provider.requests == []
    runtime.settings = runtime.settings.model_copy(update={"model_api_key": None, "model_base_url": None})
    (model,) = [m for m in workspace.models() if m.id == MODEL]
    assert (model.available, "SBF_MODEL_API_KEY" in model.detail) == (False, True)
