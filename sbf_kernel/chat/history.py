"""What was said before, in a form that fits a prompt: the last turns word for word, the older ones summarised."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sbf_kernel.chat import context, ledger
from sbf_kernel.operations.operation import one_form
from sbf_kernel.readers.sentences import sentences

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from sbf_kernel.models.language import LanguageModel
    from sbf_kernel.records import Message, Principal
    from sbf_kernel.runtime import Runtime

SHARE: Final = 4
"""One part in so many of the context window is for the conversation."""
SECONDS: Final = 20.0
"""How long summarising may hold the answer up."""
TITLE: Final = 80
"""Characters of a title that is made from a question."""
_MARKERS: Final = re.compile(r"\s*\[\d{1,3}\]")
_ROLES: Final = {"user": "User", "assistant": "Assistant"}


@dataclass(frozen=True)
class Turn:
    """What one side said, under its number in the chat."""

    number: int
    role: str
    text: str

    @classmethod
    def of(cls, number: int, message: Message, longest: int) -> Turn:
        """Return the turn of a message, of at most ``longest`` tokens; markers mean nothing in another prompt."""
        return cls(number, message.role, clipped(_MARKERS.sub("", message.text).strip(), longest))

    @property
    def line(self) -> str:
        """The turn as it stands in a prompt."""
        return f"{_ROLES[self.role]}: {self.text}"


@dataclass(frozen=True)
class History:
    """A summary of the messages up to the number ``summarised``, and the turns after them."""

    summary: str
    summarised: int
    turns: tuple[Turn, ...]

    @property
    def conversation(self) -> str:
        """The whole as it stands in a prompt; empty at the beginning of a chat."""
        before = [f"Summary of what was said before: {self.summary}"] if self.summary else []
        return "\n\n".join([*before, *(turn.line for turn in self.turns)])


async def compressed(
    runtime: Runtime,
    principal: Principal,
    model: LanguageModel | None,
    summary: str,
    summarised: int,
    messages: Sequence[tuple[int, Message]],
    notebook_id: UUID,
) -> History:
    """Return the history within its share of the window; the caller keeps its summary when ``summarised`` has grown.

    When the turns no longer fit, the newest half of the share stays word for
    word and a language model, or without one a cut after the first sentence,
    shortens the others.

    Parameters
    ----------
    summary, summarised
        What is kept of earlier messages, and the number of the last of them.
    messages
        Those after it, with their numbers, oldest first.
    """
    room = runtime.settings.model_context_tokens // SHARE
    turns = [Turn.of(number, message, room // SHARE) for number, message in messages if message.text.strip()]
    whole = History(summary, summarised, tuple(turns))
    if context.tokens(whole.conversation) <= room:
        return whole
    kept: list[Turn] = []
    while turns and context.tokens("\n\n".join(turn.line for turn in (turns[-1], *kept))) <= room // 2:
        kept.insert(0, turns.pop())
    older = History(summary, summarised, tuple(turns))
    short = await _summary(runtime, principal, model, older, notebook_id, room // SHARE)
    return History(short, turns[-1].number if turns else summarised, tuple(kept))


async def _summary(
    runtime: Runtime,
    principal: Principal,
    model: LanguageModel | None,
    older: History,
    notebook_id: UUID,
    longest: int,
) -> str:
    words = ""
    if model is not None:
        words = await ledger.aside(
            runtime,
            principal,
            model,
            "summary",
            notebook_id=notebook_id,
            seconds=SECONDS,
            max_tokens=longest,
            conversation=older.conversation,
        )
    return clipped(" ".join(words.split()) or shortened(older), longest)


def shortened(history: History) -> str:
    """Return a summary without a language model: the first sentence of each turn; the oldest go when it is too long."""
    return " ".join(filter(None, [history.summary, *(_first(turn) for turn in history.turns)]))


def _first(turn: Turn) -> str:
    spans = sentences(turn.text)
    return f"{_ROLES[turn.role]}: {' '.join(turn.text[slice(*spans[0])].split())}" if spans else ""


def clipped(text: str, tokens: int) -> str:
    """Return ``text``, or its end, cut at a blank, when it has more than ``tokens``: what was said last matters most."""
    if context.tokens(text) <= tokens:
        return text
    low, high = 0, len(text)
    while low < high:  # the longest end that fits
        middle = (low + high) // 2
        low, high = (low, middle) if context.tokens("…" + text[middle:]) <= tokens else (middle + 1, high)
    cut = text[low:]
    return "…" + (cut.partition(" ")[2] or cut)


def title_of(question: str) -> str:
    """Return a title for a chat that begins with ``question``: its first words."""
    line = " ".join(one_form(question).split())
    if len(line) <= TITLE:
        return line
    return (line[:TITLE].rpartition(" ")[0] or line[: TITLE - 1]).rstrip(" ,;:") + "…"
