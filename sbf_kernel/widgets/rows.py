"""Records as the browser gets them: plain values, text without control characters, spans cut into parts.

Positions count characters here and UTF-16 units in a browser, so no position
is ever used there: whatever is to be marked arrives as ``[text, marked]`` parts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sbf_kernel.display.escaping import clean, one_line
from sbf_kernel.widgets.insertions import citation_cell

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sbf_kernel.records import Chat, Citation, Hit, Job, Message, Source

Row = dict[str, Any]
Parts = list[list[Any]]
_BREAKS = re.compile(r"\s*\n\s*")
SNIPPET = 420
"""Characters of a hit that are shown at first."""


def source_row(source: Source) -> Row:
    """Return a source."""
    return {
        "id": str(source.id),
        "name": one_line(source.name),
        "origin": one_line(source.origin)[:300],
        "status": source.status,
        "stage": one_line(source.stage),
        "reason": source.reason,
        "message": one_line(source.message),
        "done": source.done,
        "total": source.total,
        "kind": kind_of(source.media_type),
        "language": one_line(source.language),
        "version": source.version,
        "chunks": source.chunk_count,
        "pages": source.page_count,
    }


def hit_row(hit: Hit) -> Row:
    """Return a hit with its highlights, and why it ranks where it does."""
    start, end = hit.snippet(SNIPPET)
    whole = start == 0 and end == len(hit.text)
    return {
        **_place(hit),
        "rank": hit.rank,
        "score": hit.score,
        "parts": [[_BREAKS.sub(" ", said), on] for said, on in parts(hit.text, hit.highlights, start, end)],
        "before": start > 0,
        "after": end < len(hit.text),
        "full": None if whole else parts(hit.text, hit.highlights, 0, len(hit.text)),
        "lexical_rank": hit.lexical_rank,
        "lexical_score": hit.lexical_score,
        "dense_rank": hit.dense_rank,
        "dense_score": hit.dense_score,
        "cell": citation_cell(hit, hit.text),
    }


def citation_row(citation: Citation) -> Row:
    """Return a citation."""
    return {
        **_place(citation),
        "marker": citation.marker,
        "status": citation.status,
        "quote": clean(citation.quote),
        "cell": citation_cell(citation, citation.quote),
    }


def _place(record: Hit | Citation) -> Row:
    return {
        "source_id": str(record.source_id),
        "source": one_line(record.source),
        "version_id": str(record.version_id),
        "version": record.version,
        "start": record.start,
        "end": record.end,
        "where": one_line(record.location.label()),
        "page": record.location.page,
    }


def parts(text: str, spans: Iterable[tuple[int, int]], start: int, end: int) -> Parts:
    """Return ``text[start:end]`` as ``[text, marked]`` parts; overlapping spans are joined."""
    found: Parts = []
    at = start
    for left, right in sorted(spans):
        left, right = max(left, at), min(right, end)
        if left >= right:
            continue
        if left > at:
            found.append([clean(text[at:left]), False])
        found.append([clean(text[left:right]), True])
        at = right
    return [*found, [clean(text[at:end]), False]] if at < end else found


def chat_row(chat: Chat) -> Row:
    """Return a chat."""
    return {
        "id": str(chat.id),
        "title": one_line(chat.title) or "New chat",
        "messages": chat.message_count,
        "model": one_line(chat.model or ""),
        "levels": {str(source_id): level for source_id, level in chat.levels.items()},
        "updated": chat.updated_at.isoformat(),
    }


def message_row(message: Message) -> Row:
    """Return a message, with the citations and the budget of its answer."""
    answer = message.answer
    row: Row = {
        "id": str(message.id),
        "role": message.role,
        "text": clean(message.text),
        "status": message.status,
        "error": clean(message.error),
        "question": one_line(message.question),
    }
    if answer is None:
        return row
    budget, usage = answer.budget, answer.usage
    return row | {
        "answer_id": str(answer.id),
        "answered": answer.answered,
        "citations": [citation_row(cited) for cited in answer.citations],
        "budget": {
            **budget.model_dump(include={"window", "used", "passages", "cut"}),
            "cut_sources": [one_line(name) for name in budget.cut_sources[:5]],
            "model": one_line(answer.provenance.model),
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cost_usd": usage.cost_usd,
            "milliseconds": round(answer.milliseconds),
        },
    }


def job_row(job: Job) -> Row:
    """Return a job; ``failed`` says that its work was done and found that the source cannot be read."""
    return {
        "id": str(job.id),
        "kind": one_line(job.kind),
        "subject": one_line(job.subject),
        "status": job.status,
        "failed": job.status == "done" and bool(job.reason),
        "done": job.done,
        "total": job.total,
        "attempts": job.attempts,
        "crashes": job.crashes,
        "message": one_line(job.message),
        "run_after": job.run_after.isoformat() if job.run_after else None,
        "created": job.created_at.isoformat(),
    }


_KINDS = (
    ("application/pdf", "PDF"),
    ("text/html", "Web page"),
    ("text/markdown", "Markdown"),
    ("text/csv", "Table"),
    ("application/x-ipynb", "Notebook"),
    ("application/epub", "Book"),
    ("wordprocessing", "Document"),
    ("presentation", "Slides"),
    ("spreadsheet", "Table"),
    ("message/", "Mail"),
    ("subrip", "Subtitles"),
    ("vtt", "Subtitles"),
    ("text/", "Text"),
)


def kind_of(media_type: str) -> str:
    """Return a short word for a media type."""
    return next((word for part, word in _KINDS if part in media_type), "File")
