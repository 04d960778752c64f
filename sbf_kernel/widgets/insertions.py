"""What is put into a cell: Markdown in which a source's words are words, never markup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sbf_kernel.display.escaping import markdown

if TYPE_CHECKING:
    from sbf_kernel.records import Citation, Hit, Message


def citation_cell(record: Hit | Citation, words: str) -> str:
    """Return ``words`` as a quotation, with where they stand."""
    place = ", ".join(filter(None, [record.location.label(), f"version {record.version}"]))
    lines = [f"> {markdown(line)}" for line in words.strip().split("\n") if line.strip()]
    return "\n".join([*lines, ">", f"> — **{markdown(record.source)}**, {markdown(place)}"])


def message_cell(message: Message) -> str:
    """Return one message of a chat as a cell: a question as a heading, an answer with its quotes."""
    if message.role == "user":
        return f"### {markdown(message.text)}"
    if message.answer is not None:
        return answer_cell(message)
    return "  \n".join(markdown(line) for line in (message.text or message.error).split("\n"))


def answer_cell(message: Message) -> str:
    """Return an answer and the words it cites, each where they stand."""
    assert message.answer is not None
    said = "  \n".join(_lines(message.text))
    quotes = [
        f"[{c.marker}] **{markdown(c.source)}**{_doubt(c)}, {markdown(c.location.label() or f'version {c.version}')}  \n“{markdown(c.quote)}”"
        for c in message.answer.citations
    ]
    return "\n\n".join(filter(None, [said, *quotes]))


def _lines(text: str) -> list[str]:
    return [markdown(line) for line in text.strip().split("\n")]


def _doubt(citation: Citation) -> str:
    return "" if citation.status == "verified" else " (not found word for word)"
