"""What a search found: ranked passages with the words that matched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sbf_kernel.display.escaping import Markup, View, clean, element, join, markdown, one_line, paragraphs, static
from sbf_kernel.display.style import view

if TYPE_CHECKING:
    from collections.abc import Sequence

_SNIPPET = 320
_SNAP = 24
"""How far the border of a snippet may move to stand between words."""


def spans_within(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans cut to the text, in order, overlapping ones joined."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted((max(0, a), min(len(text), b)) for a, b in spans):
        if end <= start:
            continue
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((start, end))
    return joined


def window(text: str, spans: Sequence[tuple[int, int]], width: int) -> tuple[int, int]:
    """Return the stretch of at most ``width`` characters that shows most spans, its borders between words."""
    if len(text) <= width:
        return 0, len(text)
    first, last = _densest(spans_within(text, spans), width)
    start = max(0, min(first - max(0, width - (last - first)) // 3, len(text) - width))
    end = start + width
    if start:
        space = next((n for n in range(start, min(start + _SNAP, first)) if text[n].isspace()), None)
        start = start if space is None else space + 1
    if end < len(text):
        end = next((n for n in range(end, max(end - _SNAP, last, start), -1) if text[n].isspace()), end)
    return start, end


def _densest(spans: Sequence[tuple[int, int]], width: int) -> tuple[int, int]:
    best, most, right = (0, 0), 0, 0
    for left, (start, _) in enumerate(spans):
        right = max(right, left)
        while right < len(spans) and spans[right][1] - start <= width:
            right += 1
        if right - left > most:
            best, most = (start, spans[right - 1][1]), right - left
    if not most and spans:
        return spans[0][0], min(spans[0][1], spans[0][0] + width)
    return best


def _parts(text: str, spans: Sequence[tuple[int, int]], start: int, end: int) -> list[tuple[str, bool]]:
    """Return the stretch as pieces, each with whether it is highlighted."""
    parts, at = [], start
    for a, b in spans_within(text, spans):
        a, b = max(a, at), min(b, end)
        if a < b:
            parts += [(text[at:a], False), (text[a:b], True)]
            at = b
    return [(piece, marked) for piece, marked in [*parts, (text[at:end], False)] if piece]


def _snippet(record: Any) -> tuple[Markup, str, str]:
    """Return the snippet as HTML, Markdown and plain text."""
    start, end = window(record.text, record.highlights, _SNIPPET)
    parts = _parts(record.text, record.highlights, start, end)
    before, after = "…" if start else "", "…" if end < len(record.text) else ""
    marked = join([before, *(element("mark", piece) if on else piece for piece, on in parts), after])
    bold = "".join(f"**{_inline(piece)}**" if on and not piece.isspace() else _inline(piece) for piece, on in parts)
    lines = [line.strip() for line in clean(record.text[start:end]).split("\n")]
    return marked, before + bold + after, before + "\n".join(filter(None, lines)) + after


def _inline(piece: str) -> str:
    """Return a piece of a line as Markdown, with the white space at its ends."""
    if not piece.strip():
        return " "
    return " " * piece[0].isspace() + markdown(piece) + " " * piece[-1].isspace()


def _found_by(record: Any) -> list[str]:
    """Return which arms of the search found it: ``words #3``, ``meaning #1``."""
    ranks = (("words", record.lexical_rank), ("meaning", record.dense_rank))
    return [f"{arm} #{rank}" for arm, rank in ranks if rank is not None]


def _card(record: Any) -> tuple[Markup, str, str]:
    """Return one hit as HTML, Markdown and plain text."""
    marked, bold, plain = _snippet(record)
    place, arms, score = record.location.label(), _found_by(record), f"{record.score:.3f}"
    line = [element("span", str(record.rank), class_="sbf-rank"), element("bdi", record.source, class_="sbf-source")]
    line += [element("span", place, class_="sbf-muted")] if place else []
    line += [element("span", arm, class_="sbf-badge") for arm in arms]
    line += [element("span", score, class_="sbf-score sbf-muted", title="score")]
    card = element(
        "li",
        element("div", join(line, " "), class_="sbf-line"),
        element("p", marked, class_="sbf-snippet"),
        class_="sbf-card",
    )
    about = " · ".join(filter(None, [one_line(place), ", ".join(arms), score]))
    head = f"{record.rank}. {one_line(record.source)} · {about}"
    return (
        card,
        f"{record.rank}. **{markdown(record.source)}** · {markdown(about)}  \n   {bold}",
        f"{paragraphs(head)}\n{paragraphs(plain, indent='    ')}",
    )


def hits(found: Any) -> View:
    """Return a ranking as cards, best first."""
    cards = [_card(record) for record in found.items]
    count = f"{len(cards)} hit" + "s" * (len(cards) != 1)
    facts = [
        found.arm,
        f"{found.searched_chunks:,} passage{'s' * (found.searched_chunks != 1)} searched"
        if found.searched_chunks
        else "",
        f"{found.milliseconds:.0f} ms" if found.milliseconds and not static() else "",
    ]
    about = " · ".join(filter(None, facts))
    head = element(
        "p",
        element("strong", count),
        " for “",
        element("bdi", one_line(found.query)),
        "” ",
        element("span", about, class_="sbf-muted"),
        class_="sbf-head",
    )
    warnings = [element("p", one_line(warning), class_="sbf-note", role="note") for warning in found.warnings]
    title = f"{count} for “{one_line(found.query)}” · {about}"
    noted = [f"⚠ {one_line(warning)}" for warning in found.warnings]
    return View(
        plain="\n".join([paragraphs(title), *map(paragraphs, noted), "", *(plain for _, _, plain in cards)]).rstrip(),
        html=view(
            f"Hits for {one_line(found.query)}",
            head,
            *warnings,
            element("ol", *(card for card, _, _ in cards), class_="sbf-cards"),
        ),
        markdown="\n\n".join([f"**{markdown(title)}**", *map(markdown, noted), *(bold for _, bold, _ in cards)]),
    )


def hit(record: Any) -> View:
    """Return one hit as a card."""
    card, bold, plain = _card(record)
    return View(plain=plain, html=view("Hit", element("ol", card, class_="sbf-cards")), markdown=bold)
