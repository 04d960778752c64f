"""An answer, its markers, and the words of the sources that they lead to."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from sbf_kernel.display.escaping import Markup, View, element, join, markdown, one_line, paragraphs, static
from sbf_kernel.display.style import view
from sbf_kernel.display.tables import Status, Verbatim, table

if TYPE_CHECKING:
    from collections.abc import Iterable

_MARKER = re.compile(r"\[(\d{1,4}(?:\s*,\s*\d{1,4})*)\]")


_NEAREST = "Nearest passages, for you to judge"


def _anchor(record: Any) -> str:
    """Return a prefix for the ids of one answer: the same for the same answer, other for another one."""
    said = f"{record.question}\0{record.text}".encode("utf-8", "replace")
    return "sbf-" + hashlib.sha256(said).hexdigest()[:10]


def _linked(text: str, known: set[int], anchor: str) -> list[str]:
    """Return the text in pieces, with markers that have a citation as links to it."""
    pieces: list[str] = []
    at = 0
    for found in _MARKER.finditer(text):
        numbers = [int(number) for number in found[1].split(",")]
        if known.issuperset(numbers):
            pieces += [text[at : found.start()].rstrip(" "), _links(numbers, anchor)]
            at = found.end()
    return [*pieces, text[at:]]


def _links(numbers: Iterable[int], anchor: str) -> Markup:
    links = [element("a", f"[{n}]", href=f"#{anchor}-{n}", aria_label=f"source {n}") for n in numbers]
    return element("sup", *links, class_="sbf-marker")


def _where(record: Any) -> str:
    return " · ".join(filter(None, [record.location.label(), f"characters {record.start:,}–{record.end:,}"]))


def _reference(record: Any, identity: str | None) -> tuple[Markup, str, str]:
    """Return one citation as HTML, Markdown and plain text."""
    status, where, words = Status(record.status), _where(record), one_line(record.quote)
    parts = (
        element("span", f"[{record.marker}]", class_="sbf-rank"),
        element("bdi", one_line(record.source), class_="sbf-source"),
        element("span", where, class_="sbf-muted"),
        status.badge(),
    )
    card = element(
        "li",
        element("div", join(parts, " "), class_="sbf-line"),
        element("blockquote", record.quote.strip(), class_="sbf-quote"),
        class_="sbf-card",
        id=identity,
    )
    head = f"[{record.marker}] {status.plain} · {one_line(record.source)} · {where}"
    return (
        card,
        f"- {markdown(head)}  \n  “{markdown(words)}”",
        f"{paragraphs(head, indent='  ')}\n{paragraphs(f'“{words}”', indent='      ')}",
    )


def _references(items: Iterable[Any], anchor: str) -> list[tuple[Markup, str, str]]:
    """Return the citations; the first one of each marker carries the id that markers lead to."""
    seen: set[int] = set()
    written = []
    for record in items:
        written.append(_reference(record, None if record.marker in seen else f"{anchor}-{record.marker}"))
        seen.add(record.marker)
    return written


def _facts(record: Any) -> str:
    """Return the line that says what made the answer and what it saw."""
    budget, usage = record.budget, record.usage
    tokens = f"{budget.used:,} of {budget.window:,} tokens" if budget.window else ""
    cut = f"{budget.cut} left out" if budget.cut else ""
    if budget.cut_sources:
        cut += f" ({one_line(', '.join(budget.cut_sources[:5]))})"
    spent = f"{usage.input_tokens:,} tokens in, {usage.output_tokens:,} out" if usage.output_tokens else ""
    cost = f"${usage.cost_usd:.4f}" if usage.cost_usd else ""
    unknown = record.provenance.unknown_markers
    dropped = f"{unknown} invented marker{'s' * (unknown != 1)} dropped" if unknown else ""
    time = f"{record.milliseconds:,.0f} ms" if record.milliseconds and not static() else ""
    shown = f"{budget.passages} passages seen" if budget.passages else ""
    return " · ".join(
        filter(None, [f"model {one_line(record.provenance.model)}", shown, cut, tokens, spent, cost, dropped, time])
    )


def _doubt(record: Any) -> str:
    """Return a warning when quotes of the answer could not be found in their sources."""
    missing = sum(item.status != "verified" for item in record.citations.items)
    if not missing:
        return ""
    return f"{missing} of {len(record.citations.items)} quotes were not found word for word in their source"


def answer(record: Any) -> View:
    """Return an answer with its markers linked to the quotes below it."""
    anchor, facts, doubt = _anchor(record), _facts(record), _doubt(record)
    references = _references(record.citations.items, anchor)
    known = {item.marker for item in record.citations.items}
    words = _linked(record.text, known, anchor)
    body = [element("p", *words, class_="sbf-text")]
    if not record.answered:
        body = [element("p", Status("not answered").badge(), Markup(" "), *words, class_="sbf-note", role="note")]
    body += [element("p", doubt, class_="sbf-note", role="note")] if doubt else []
    if references:
        name = "Quotes" if record.answered else _NEAREST
        body += [] if record.answered else [element("p", _NEAREST, class_="sbf-head sbf-muted")]
        body.append(element("ol", *(card for card, _, _ in references), class_="sbf-cards", aria_label=name))
    html = view(
        "Answer",
        element("p", element("bdi", one_line(record.question)), class_="sbf-question"),
        *body,
        element("p", facts, class_="sbf-head sbf-muted"),
    )
    return View(
        plain=_plain(record, doubt, facts, [plain for _, _, plain in references]),
        html=html,
        markdown=_markdown(record, doubt, facts, [written for _, written, _ in references]),
    )


def _plain(record: Any, doubt: str, facts: str, references: list[str]) -> str:
    said = record.text if record.answered else f"⚠ not answered: {record.text}"
    parts = [
        paragraphs(one_line(record.question)),
        paragraphs(said.strip(), indent="  "),
        *([f"⚠ {doubt}"] if doubt else []),
    ]
    return "\n\n".join([*parts, *(["\n".join(references)] if references else []), paragraphs(facts)])


def footnotes(record: Any) -> str:
    """Return what stands below the text of an answer, for a terminal that has shown the text already."""
    doubt, references = _doubt(record), _references(record.citations.items, "")
    parts = [f"⚠ {doubt}" if doubt else "", "\n".join(plain for _, _, plain in references), paragraphs(_facts(record))]
    if not record.answered:
        parts.insert(0, "⚠ not answered by the sources" + (f". {_NEAREST}:" if references else ""))
    return "\n\n".join(filter(None, parts))


def _markdown(record: Any, doubt: str, facts: str, references: list[str]) -> str:
    lines = [markdown(line) for line in record.text.split("\n")]
    said = "  \n".join(lines) if record.answered else "**⚠ not answered.** " + " ".join(lines)
    parts = [f"**{markdown(record.question)}**", said, *([f"⚠ {markdown(doubt)}"] if doubt else [])]
    return "\n\n".join([*parts, *(["\n".join(references)] if references else []), markdown(facts)])


def citation(record: Any) -> View:
    """Return one citation with its quote."""
    card, written, plain = _reference(record, None)
    return View(plain=plain, html=view("Citation", element("ol", card, class_="sbf-cards")), markdown=written)


def citations(items: Iterable[Any]) -> View:
    """Return citations as a table, quotes whole."""
    rows = [
        (f"[{c.marker}]", Status(c.status), c.source, c.location.label(), f"{c.start:,}–{c.end:,}", Verbatim(c.quote))
        for c in items
    ]
    return table(
        f"{len(rows)} citation" + "s" * (len(rows) != 1), ("", "status", "source", "where", "characters", "quote"), rows
    )
