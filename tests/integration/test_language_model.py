"""Language models against a real HTTP server that speaks the OpenAI protocol, well and badly."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from sbf_kernel.errors import InvalidInput, ModelError, ModelUnavailable
from sbf_kernel.models.language import LanguageModel, Patience, load_language_model
from sbf_kernel.settings import Settings
from tests.integration.model_server import Provider, begin, event, refuse, say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.server import BaseHTTPRequestHandler

pytest.importorskip("pydantic_ai")
SECRET = "sk-very-secret-0123456789"
QUICK = Patience(first_token=20, idle=20, retries=2, longest_pause=1)
IMPATIENT = Patience(first_token=20, idle=0.5, retries=2)


@pytest.fixture
def provider() -> Iterator[Provider]:
    running = Provider()
    yield running
    running.close()


def model(provider: Provider, patience: Patience = QUICK) -> LanguageModel:
    return LanguageModel("openai:fake-1", base_url=provider.url, api_key=SECRET, patience=patience)


async def read(language_model: LanguageModel) -> str:
    completion = language_model.complete("be brief", "say hello", max_tokens=50)
    return "".join([piece async for piece in completion.text()])


async def test_tokens_arrive_one_by_one_with_usage(provider: Provider) -> None:
    provider.script = lambda h, n: say(h, "One", " two", " three", pause=0.15)
    completion = model(provider).complete("be brief", "count", max_tokens=50)
    arrivals = [(time.perf_counter(), piece) async for piece in completion.text()]
    assert [piece for _, piece in arrivals] == ["One", " two", " three"]
    assert arrivals[-1][0] - arrivals[0][0] > 0.2
    assert (completion.usage.input_tokens, completion.usage.output_tokens) == (11, 3)
    assert (completion.finish, completion.model) == ("stop", "openai:fake-1")


async def test_each_step_may_be_another_task(provider: Provider) -> None:
    """As the synchronous façade does it."""
    provider.script = lambda h, n: say(h, "One", " two", " three", pause=0.05)
    stream = model(provider).complete("", "count", max_tokens=50).text()
    end = "(end)"
    words = []
    while (word := await asyncio.create_task(asyncio.wait_for(anext(stream, end), 5))) != end:
        words.append(word)
    assert words == ["One", " two", " three"]

    provider.script = lambda h, n: say(h, *["word "] * 300, pause=0.02)
    stream = model(provider).complete("", "talk", max_tokens=500).text()
    await asyncio.create_task(asyncio.wait_for(anext(stream), 5))
    await asyncio.create_task(asyncio.wait_for(stream.aclose(), 5))
    assert await asyncio.to_thread(provider.closed_early.wait, 5)


async def test_the_request_is_what_we_meant(provider: Provider) -> None:
    await read(model(provider))
    (request,) = provider.requests
    assert request["path"] == "/v1/chat/completions"
    assert request["model"] == "fake-1"
    assert [m["content"] for m in request["messages"]] == ["be brief", "say hello"]
    assert request["temperature"] == 0
    assert request["stream"] is True
    assert 50 in (request.get("max_tokens"), request.get("max_completion_tokens"))


async def test_an_endpoint_without_key_does_not_get_the_key_of_openai(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    await read(LanguageModel("openai:llama3:8b", base_url=provider.url, patience=QUICK))
    assert SECRET not in str(provider.headers)
    assert provider.requests[0]["model"] == "llama3:8b"


async def test_closing_closes_the_request(provider: Provider) -> None:
    provider.script = lambda h, n: say(h, *["word "] * 300, pause=0.02)
    async with aclosing(model(provider).complete("", "talk", max_tokens=500).text()) as pieces:
        assert await anext(pieces) == "word "
    assert await asyncio.to_thread(provider.closed_early.wait, 5)


async def test_cancelling_closes_the_request(provider: Provider) -> None:
    provider.script = lambda h, n: say(h, *["word "] * 300, pause=0.02)
    task = asyncio.create_task(read(model(provider)))
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(provider.closed_early.wait, 5)


@pytest.mark.parametrize(
    ("status", "kind", "words", "requests"),
    [
        (401, ModelUnavailable, "refused the key", 1),
        (403, ModelUnavailable, "refused the key", 1),
        (404, ModelUnavailable, "does not know", 1),
        (400, ModelError, "refused the request", 1),
        (413, ModelError, "refused the request", 1),
        (429, ModelUnavailable, "rate limit", 3),
        (500, ModelUnavailable, "internal error", 3),
        (503, ModelUnavailable, "internal error", 3),
    ],
)
async def test_refusals(provider: Provider, status: int, kind: type[ModelError], words: str, requests: int) -> None:
    provider.script = lambda h, n: refuse(h, status, f"bad key {SECRET}", Retry_After="0")
    with pytest.raises(kind, match=words) as caught:
        await read(model(provider))
    assert "openai:fake-1" in str(caught.value)
    assert caught.value.hint
    assert SECRET not in str(caught.value) + repr(caught.value.details)
    assert len(provider.requests) == requests


async def test_a_second_attempt_may_succeed(provider: Provider) -> None:
    provider.script = lambda h, n: refuse(h, 503, Retry_After="0") if n == 1 else say(h, "fine")
    assert await read(model(provider)) == "fine"


async def test_a_long_pause_is_not_waited_for(provider: Provider) -> None:
    provider.script = lambda h, n: refuse(h, 429, Retry_After="120")
    with pytest.raises(ModelUnavailable, match="120 s") as caught:
        await read(model(provider))
    assert len(provider.requests) == 1
    assert caught.value.details["retry_after"] == 120


async def test_silence_before_the_first_token(provider: Provider) -> None:
    provider.script = lambda h, n: time.sleep(5)
    begin = time.perf_counter()
    with pytest.raises(ModelUnavailable, match="did not answer"):
        await read(model(provider, Patience(first_token=0.6)))
    assert time.perf_counter() - begin < 4
    assert len(provider.requests) == 1


async def test_silence_in_the_middle(provider: Provider) -> None:
    provider.script = lambda h, n: say(h, "Hel", "lo", pause=4)
    with pytest.raises(ModelError, match="stopped in the middle"):
        await read(model(provider, IMPATIENT))


async def test_heartbeats_are_not_an_answer(provider: Provider) -> None:
    def script(h: BaseHTTPRequestHandler, n: int) -> None:
        begin(h)
        for _ in range(60):
            event(h, delta={"role": "assistant", "content": ""})
            time.sleep(0.1)

    provider.script = script
    with pytest.raises(ModelUnavailable, match="did not answer"):
        await read(model(provider, Patience(first_token=1)))


async def test_half_a_stream_is_an_error_and_not_asked_again(provider: Provider) -> None:
    provider.script = lambda h, n: say(h, "The ans", finish=None)
    with pytest.raises(ModelError, match="broke off"):
        await read(model(provider))
    assert len(provider.requests) == 1


@pytest.mark.parametrize(
    "garbage",
    [b"data: {not json\n\n", b"data: []\n\n", b"\xff\xfe\n\n", b'data: {"error": {"message": "overloaded"}}\n\n', b""],
)
async def test_garbage_is_a_typed_error(provider: Provider, garbage: bytes) -> None:
    def script(h: BaseHTTPRequestHandler, n: int) -> None:
        begin(h)
        h.wfile.write(garbage)

    provider.script = script
    with pytest.raises(ModelError):
        await asyncio.wait_for(read(model(provider, Patience(first_token=2, retries=0))), 10)


async def test_cut_by_length_says_so(provider: Provider) -> None:
    provider.script = lambda h, n: say(h, "The", finish="length")
    completion = model(provider).complete("", "x", max_tokens=1)
    assert [piece async for piece in completion.text()] == ["The"]
    assert completion.finish == "length"


async def test_nobody_listens() -> None:
    with pytest.raises(ModelUnavailable, match="cannot be reached"):
        await read(
            LanguageModel("openai:x", base_url="http://127.0.0.1:9/v1", patience=Patience(retries=1, longest_pause=0.1))
        )


async def test_no_key_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(ModelUnavailable) as caught:
        await read(LanguageModel("openai:gpt-4o-mini", patience=QUICK))
    assert "SBF_MODEL_API_KEY" in caught.value.hint


async def test_unknown_provider() -> None:
    with pytest.raises(InvalidInput, match="cannot be used"):
        await read(LanguageModel("nobody:nothing", patience=QUICK))


async def test_keys_are_not_logged(provider: Provider, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        await read(model(provider))
        provider.script = lambda h, n: refuse(h, 401, SECRET)
        with pytest.raises(ModelUnavailable):
            await read(model(provider))
    assert SECRET not in caplog.text


@pytest.mark.parametrize("name", ["gpt-4o", "openai:", ":x", ""])
def test_bad_ids(name: str) -> None:
    with pytest.raises(InvalidInput):
        LanguageModel(name)


def test_the_configured_key_stays_with_its_provider() -> None:
    settings = Settings(model="openai:a", model_api_key=SecretStr(SECRET))
    assert load_language_model(settings)._api_key == SECRET  # type: ignore[union-attr]
    assert load_language_model(settings, "openai:b")._api_key == SECRET  # type: ignore[union-attr]
    assert load_language_model(settings, "anthropic:c")._api_key is None  # type: ignore[union-attr]
    assert load_language_model(settings, "extractive") is None
