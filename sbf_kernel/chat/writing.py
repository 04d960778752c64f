"""An answer by a language model: prompt, stream, sentinel, citations."""

from __future__ import annotations

from contextlib import aclosing
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from sbf_kernel.chat import context, prompts
from sbf_kernel.chat.citations import cite, cite_one
from sbf_kernel.chat.markers import MarkerStream
from sbf_kernel.errors import ModelError
from sbf_kernel.records import Provenance, Usage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from uuid import UUID

    from sbf_kernel.chat.context import Context
    from sbf_kernel.models.language import Completion, LanguageModel
    from sbf_kernel.records import Budget, Citation, Citations, Hit, Passage

SENTINEL: Final = "NO_ANSWER"
"""What the model is told to begin with when the passages do not answer."""
_BETWEEN: Final = " .:;,—–-*_\n\t"
"""What may stand between the sentinel and the explanation."""


class Written:
    """An answer that a language model is writing.

    Parameters
    ----------
    model
        Who writes.
    question
        What was asked.
    hits
        Chunks, best first.
    versions
        The stored texts of the hits.
    window
        Tokens the model takes.
    language
        ISO 639-1 code, for finding the words behind a citation.
    conversation
        What was said before in the chat, within a quarter of the window.
    """

    def __init__(
        self,
        model: LanguageModel,
        question: str,
        hits: Sequence[Hit],
        versions: Mapping[UUID, str],
        window: int,
        language: str,
        conversation: str = "",
    ) -> None:
        self.model = model
        talk = [conversation] if conversation else []
        boundary = sha256("\0".join([question, *talk, *(hit.text for hit in hits)]).encode()).hexdigest()[:12]
        self.system = prompts.fill("answer_system", sentinel=SENTINEL, boundary=boundary)
        before = ""
        if talk:
            self.system += "\n\n" + prompts.fill("chat_system", boundary=boundary)
            before = prompts.fill("conversation", boundary=boundary, conversation=conversation) + "\n\n"
        empty = before + prompts.fill("answer", boundary=boundary, passages="", question=question)
        self.context: Context = context.compose(
            hits, versions, window=window, overhead=context.tokens(self.system + empty)
        )
        blocks = "\n\n".join(_block(passage, boundary) for passage in self.context.passages)
        self.prompt = before + prompts.fill("answer", boundary=boundary, passages=blocks, question=question)
        self.answered = True
        self.text = ""
        self._versions, self._language = versions, language
        self._markers = MarkerStream(self.context.evidence.keys())
        self._waiting: str | None = ""
        self._cited = 0
        self.completion: Completion = model.complete(self.system, self.prompt, max_tokens=self.context.budget.reserved)

    async def pieces(self) -> AsyncGenerator[str]:
        """Yield the text as it becomes certain; closing the iterator closes the request.

        Raises
        ------
        ModelError
            ``details["partial"]`` holds what had been written.
        """
        try:
            async with aclosing(self.completion.text()) as stream:
                async for piece in stream:
                    for out in self._pass(self._markers.feed(self._begin(piece))):
                        yield out
        except ModelError as error:
            error.details["partial"] = self.text
            raise
        for out in (*self._pass(self._markers.feed(self._waiting or "")), *self._pass(self._markers.finish())):
            yield out
        if not self.text.strip():
            self.answered = False
            for out in self._pass("The sources do not answer this question."):
                yield out

    def _begin(self, piece: str) -> str:
        """Hold the beginning back until it is clear whether it is the sentinel, and take that off."""
        if self._waiting is None:
            return piece
        self._waiting = (self._waiting + piece).lstrip(_BETWEEN if not self.answered else None)
        if self.answered and self._waiting.startswith(SENTINEL):
            self.answered = False
            self._waiting = self._waiting.removeprefix(SENTINEL).lstrip(_BETWEEN)
        if not self._waiting or (self.answered and SENTINEL.startswith(self._waiting)):
            return ""
        text, self._waiting = self._waiting, None
        return text

    def _pass(self, text: str) -> list[str]:
        self.text += text
        return [text] if text else []

    def citations(self) -> Citations:
        """Return what the finished text cites."""
        return cite(self.text, self._markers.markers, self.context.evidence, self._versions, self._language)

    def fresh(self) -> list[Citation]:
        """Return what the markers cite that were completed since the last call."""
        markers = self._markers.markers
        new, self._cited = markers[self._cited :], len(markers)
        return [
            cite_one(self.text, marker, markers, self.context.evidence[marker.label], self._versions, self._language)
            for marker in new
        ]

    @property
    def budget(self) -> Budget:
        """How the window was spent."""
        return self.context.budget

    @property
    def usage(self) -> Usage:
        """What the call consumed; all zero before it has ended."""
        return self.completion.usage

    @property
    def provenance(self) -> Provenance:
        """What made the answer, and what it saw."""
        return Provenance(
            model=self.completion.model,
            prompt_sha256=self.prompt_sha256,
            parameters=self.parameters,
            passages=self.context.passages,
            unknown_markers=self.unknown_markers,
        )

    def spent(self) -> tuple[str, Usage] | None:
        """Return the model and what the call consumed, however it ended; None when it never began to write.

        A call that broke off does not say what it took: tokens are estimated then, and the cost is unknown.
        """
        if self.completion.finish:
            return self.completion.model, self.completion.usage
        if not self.text:
            return None
        read, wrote = context.tokens(self.system + self.prompt), context.tokens(self.text)
        return self.completion.model, Usage(input_tokens=read, output_tokens=wrote)

    @property
    def unknown_markers(self) -> int:
        """Markers the model invented."""
        return self._markers.unknown

    @property
    def prompt_sha256(self) -> str:
        """SHA-256 of all that was sent, hex."""
        return sha256(f"{self.system}\0{self.prompt}".encode()).hexdigest()

    @property
    def parameters(self) -> dict[str, Any]:
        """What else shaped the answer."""
        return {
            "asked": self.model.id,
            "temperature": 0.0,
            "max_tokens": self.context.budget.reserved,
            "finish": self.completion.finish,
        }


def _block(passage: Passage, boundary: str) -> str:
    place = passage.location.label()
    name = " ".join(f"{passage.source}, {place}".split()) if place else " ".join(passage.source.split())
    return f"[{passage.label}] {boundary} {name}\n{passage.text}"
