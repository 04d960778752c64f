"""Language models, through pydantic-ai: any provider it knows, and any OpenAI-compatible endpoint.

An id is ``provider:name`` (``openai:gpt-4o-mini``, ``anthropic:…``). With
``SBF_MODEL_BASE_URL`` the name is sent to that endpoint, which need not want a
key (Ollama, vLLM, llama.cpp).
"""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sbf_kernel.errors import InvalidInput, MissingExtra, ModelError, ModelUnavailable, SbfError
from sbf_kernel.records import Usage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from pydantic_ai.messages import ModelMessage, ModelResponse
    from pydantic_ai.models import Model, StreamedResponse
    from pydantic_ai.providers import Provider

    from sbf_kernel.settings import Settings

EXTRACTIVE: Final = "extractive"
"""Stands for no language model: answers are quoted from the sources."""
_EXTRA: Final = "pip install 'sbf-kernel[llm]'"
_KEY: Final = "set SBF_MODEL_API_KEY, or the provider's own variable such as OPENAI_API_KEY"
_LATER: Final = "try again later, or set SBF_MODEL=extractive to answer without a language model"
_NO_KEY: Final = "none"
"""Sent to an endpoint without a key of its own: the client would else send it the key of OpenAI."""
_BODY: Final = 200
"""Characters of a provider's error message that are passed on."""


@dataclass(frozen=True)
class Patience:
    """How long to wait for a model, in seconds, and how often to ask again.

    Connecting is left to the client of pydantic-ai, which waits 5 seconds.
    """

    first_token: float = 30.0
    idle: float = 20.0
    """Between two pieces."""
    retries: int = 2
    """Further attempts, only while nothing has been received."""
    longest_pause: float = 10.0
    """A provider that asks for a longer pause before the next attempt gets no further attempt."""


class Completion:
    """One answer that is being written.

    Iterate over :meth:`text`; :attr:`usage`, :attr:`finish` and :attr:`model`
    are known afterwards.
    """

    def __init__(self, owner: LanguageModel, system: str, prompt: str, max_tokens: int) -> None:
        self.usage = Usage()
        self.finish = ""
        """Why it ended: ``stop``, or ``length`` when ``max_tokens`` cut it off."""
        self.model = owner.id
        """The model that answered, as the provider calls it."""
        self._owner, self._system, self._prompt, self._max_tokens = owner, system, prompt, max_tokens

    async def text(self) -> AsyncGenerator[str]:
        """Yield the pieces as they arrive; closing the iterator closes the request.

        Raises
        ------
        MissingExtra
            The provider's package is not installed.
        ModelUnavailable
            No key, refused key, unknown model, rate limit, unreachable, silent.
        ModelError
            The provider refused the request, or the answer broke off.
        """
        attempt = 0
        while True:
            received = False
            try:
                async with aclosing(self._attempt()) as pieces:
                    async for piece in pieces:
                        received = True
                        yield piece
                return
            except _Failed as failed:
                pause = failed.pause(attempt, self._owner.patience)
                if received or pause is None:
                    raise failed.error from None
            attempt += 1
            await asyncio.sleep(pause)

    async def _attempt(self) -> AsyncGenerator[str]:
        started = False
        try:
            model = await asyncio.to_thread(self._owner.build)  # the first time, this imports for seconds
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(self._owner.patience.first_token) as limit:
                    stream = await self._open(stack, model)
                    events = aiter(stream)
                    event = await anext(events, None)
                while event is not None:
                    piece = _text_of(event)
                    if piece:
                        started = True
                        yield piece
                    # One clock per step: whoever iterates may do so from another task each time.
                    async with asyncio.timeout(self._owner.patience.idle if started else _left(limit)):
                        event = await anext(events, None)
                self._conclude(stream)
        except SbfError as error:
            raise _Failed(error) from None
        except TimeoutError:
            raise _Failed(self._owner.silent(started)) from None
        except Exception as error:  # noqa: BLE001 - providers raise whatever they like; each becomes ours
            raise self._owner.failure(error, started) from None

    async def _open(self, stack: AsyncExitStack, model: Model) -> StreamedResponse:
        from pydantic_ai.direct import model_request_stream
        from pydantic_ai.settings import ModelSettings

        await stack.enter_async_context(model)
        settings = ModelSettings(max_tokens=self._max_tokens, temperature=0.0, max_retries=0)
        return await stack.enter_async_context(model_request_stream(model, self._messages(), model_settings=settings))

    def _messages(self) -> list[ModelMessage]:
        from pydantic_ai.messages import ModelRequest, SystemPromptPart, UserPromptPart

        return [ModelRequest(parts=[SystemPromptPart(self._system), UserPromptPart(self._prompt)])]

    def _conclude(self, stream: StreamedResponse) -> None:
        response = stream.get()
        self.usage = Usage(
            input_tokens=response.usage.input_tokens,
            output_tokens=response.usage.output_tokens,
            cost_usd=_cost(response),
        )
        self.finish = response.finish_reason or ""
        self.model = f"{self._owner.provider}:{response.model_name or self._owner.name}"
        if not self.finish or (self._owner.compatible and "finish_reason" not in (response.provider_details or {})):
            raise self._owner.broke_off()  # pydantic-ai takes a stream without an end for a complete one


class LanguageModel:
    """A language model by its id.

    Parameters
    ----------
    model_id
        ``provider:name``.
    base_url
        An OpenAI-compatible endpoint to use instead of the provider's own.
    api_key
        Without one, the provider's own environment variable is used; never for another endpoint.
    patience
        Time limits.

    Raises
    ------
    InvalidInput
        The id has no provider or no name.
    """

    def __init__(
        self,
        model_id: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.provider, _, self.name = model_id.partition(":")
        if not self.provider or not self.name:
            raise InvalidInput(
                f"{model_id!r} is no model id",
                hint="write provider:name, for example openai:gpt-4o-mini, or extractive",
            )
        self.id = model_id
        self.patience = patience or Patience()
        self.compatible = base_url is not None
        """Whether it is asked by the protocol of OpenAI's chat completions."""
        self._base_url, self._api_key = base_url, api_key

    def complete(self, system: str, prompt: str, *, max_tokens: int) -> Completion:
        """Return the answer to ``prompt``; nothing is sent before its text is iterated."""
        return Completion(self, system, prompt, max_tokens)

    def build(self) -> Model:
        """Return the pydantic-ai model with a client of its own.

        Raises
        ------
        MissingExtra
            pydantic-ai or the provider's package is not installed.
        ModelUnavailable
            The provider is unknown or wants a key.
        """
        try:
            import pydantic_ai.direct  # noqa: F401 - used later, on the event loop, where importing must not happen
            from pydantic_ai.exceptions import UserError
            from pydantic_ai.models import infer_model
        except ImportError as error:
            raise MissingExtra(f"{self.id} needs pydantic-ai", hint=_EXTRA, model=self.id) from error
        try:
            if self._base_url:
                return self._compatible()
            return infer_model(self.id, self._provider)
        except ImportError as error:
            hint = _EXTRA if self.provider.startswith("openai") else f"pip install 'pydantic-ai-slim[{self.provider}]'"
            raise MissingExtra(f"the package for {self.provider} is not installed", hint=hint, model=self.id) from error
        except (UserError, ValueError, TypeError) as error:
            said = f"{self.id} cannot be used: {self._clean(str(error))}"
            if "api_key" in str(error).lower():
                raise ModelUnavailable(said, hint=_KEY, model=self.id) from None
            hint = "write provider:name, for example openai:gpt-4o-mini"
            raise InvalidInput(said, hint=hint, model=self.id) from None

    def _provider(self, name: str) -> Provider[Any]:
        from pydantic_ai.providers import infer_provider, infer_provider_class

        provider: Any = infer_provider_class(name)  # each has its own parameters; all that take a key call it so
        return provider(api_key=self._api_key) if self._api_key else infer_provider(name)

    def _compatible(self) -> Model:
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider

        return OpenAIChatModel(
            self.name, provider=OpenAIProvider(base_url=self._base_url, api_key=self._api_key or _NO_KEY)
        )

    def silent(self, started: bool) -> ModelError:
        """Return the error for a model that says nothing (any more)."""
        if started:
            return ModelError(
                f"{self.id} stopped in the middle of the answer for {self.patience.idle:.0f} s",
                hint=_LATER,
                model=self.id,
            )
        return ModelUnavailable(
            f"{self.id} did not answer within {self.patience.first_token:.0f} s", hint=_LATER, model=self.id
        )

    def broke_off(self) -> ModelError:
        """Return the error for a stream that ended without saying that it ended."""
        return ModelError(f"the answer of {self.id} broke off", hint="ask again", model=self.id)

    def failure(self, error: Exception, started: bool) -> _Failed:
        """Return what an exception of pydantic-ai, its clients or the network means."""
        from pydantic_ai.exceptions import ModelAPIError

        status = getattr(error, "status_code", None)
        retry_after = getattr(error, "retry_after", None)
        if isinstance(status, int):
            return _Failed(
                self._refused(status, error, retry_after),
                again=status in (408, 409, 429) or status >= 500,
                after=retry_after,
            )
        if started:
            return _Failed(self.broke_off())
        if isinstance(error, (ModelAPIError, OSError)) or type(error).__module__.partition(".")[0].startswith(
            ("httpx", "openai")
        ):
            where = f" at {self._base_url}" if self._base_url else ""
            hint = "check SBF_MODEL_BASE_URL and that the server runs" if self._base_url else "check the network"
            return _Failed(
                ModelUnavailable(f"{self.id} cannot be reached{where}", hint=hint, model=self.id), again=True
            )
        return _Failed(
            ModelError(
                f"{self.id} failed: {self._clean(str(error)) or type(error).__name__}", hint=_LATER, model=self.id
            )
        )

    def _refused(self, status: int, error: Exception, retry_after: float | None) -> ModelError:
        facts: dict[str, Any] = {"model": self.id, "upstream_status": status}
        if status in (401, 403):
            return ModelUnavailable(f"{self.id} refused the key ({status})", hint=_KEY, **facts)
        if status == 404:
            return ModelUnavailable(
                f"the provider does not know {self.id} (404)", hint="check SBF_MODEL and SBF_MODEL_BASE_URL", **facts
            )
        if status == 429:
            hint = (
                f"try again in {retry_after:.0f} s"
                if retry_after
                else "try again later, or check the quota of your account"
            )
            return ModelUnavailable(
                f"{self.id} is over its rate limit or quota (429)", hint=hint, retry_after=retry_after, **facts
            )
        if status >= 500:
            return ModelUnavailable(f"{self.id} has an internal error ({status})", hint=_LATER, **facts)
        return ModelError(
            f"{self.id} refused the request ({status}): {self._clean(_message(error))}",
            hint="if the prompt is too long, lower SBF_MODEL_CONTEXT_TOKENS",
            **facts,
        )

    def _clean(self, text: str) -> str:
        """Return the first words of a foreign message, on one line, never with the key."""
        if self._api_key:
            text = text.replace(self._api_key, "…")
        text = " ".join(text.split())
        return text if len(text) <= _BODY else text[:_BODY] + "…"


class _Failed(Exception):
    """An attempt that failed, and whether another may help."""

    def __init__(self, error: SbfError, *, again: bool = False, after: float | None = None) -> None:
        super().__init__(error.message)
        self.error, self._again, self._after = error, again, after

    def pause(self, attempt: int, patience: Patience) -> float | None:
        """Return the seconds to wait before the next attempt, or None for none: exponential with jitter, or as asked."""
        if not self._again or attempt >= patience.retries or (self._after or 0) > patience.longest_pause:
            return None
        if self._after is not None:
            return self._after
        return min(patience.longest_pause, 0.5 * float(2**attempt)) * random.uniform(0.5, 1)  # noqa: S311 - no secret


def _left(limit: asyncio.Timeout) -> float:
    """Return the seconds left until ``limit``, which stood for the first token."""
    when = limit.when()
    return max(0.0, (when or 0.0) - asyncio.get_running_loop().time())


def _text_of(event: object) -> str:
    """Return the text an event adds to the answer; thoughts and tool calls add none."""
    from pydantic_ai.messages import PartDeltaEvent, PartStartEvent, TextPart, TextPartDelta

    if isinstance(event, PartStartEvent) and isinstance(event.part, TextPart):
        return event.part.content
    if isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta):
        return event.delta.content_delta
    return ""


def _message(error: Exception) -> str:
    """Return the provider's own words out of an error body."""
    body = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, dict) else body
    message = inner.get("message") if isinstance(inner, dict) else inner
    return message if isinstance(message, str) else ""


def _cost(response: ModelResponse) -> float | None:
    try:
        cost: float = float(response.cost().total_price)
    except (LookupError, ValueError, AssertionError):
        return None  # no price is known: local and new models
    return cost


def load_language_model(settings: Settings, model_id: str | None = None) -> LanguageModel | None:
    """Return the language model to use, or None for the extractive answerer.

    Parameters
    ----------
    settings
        ``model``, ``model_base_url``, ``model_api_key``.
    model_id
        Instead of the configured model. The configured key goes to the
        configured provider only.

    Raises
    ------
    InvalidInput
        The id has no provider or no name.
    """
    chosen = model_id or settings.model
    if chosen == EXTRACTIVE:
        return None
    same = chosen.partition(":")[0] == settings.model.partition(":")[0] or settings.model_base_url
    key = settings.model_api_key.get_secret_value() if settings.model_api_key and same else None
    return LanguageModel(chosen, base_url=settings.model_base_url, api_key=key)
