"""Hits, citations, answers: what searching and asking give."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from pydantic import Field

from sbf_kernel import display
from sbf_kernel.records.record import Listing, Record, Records, to_frame

if TYPE_CHECKING:
    import pandas as pd


class Location(Record):
    """Where a span stands in its source; only what applies is set."""

    page: int | None = None
    headings: tuple[str, ...] = ()
    seconds: float | None = None
    cell: int | None = None
    sheet: str | None = None
    row: int | None = None

    def label(self) -> str:
        """Return it for people: ``p. 3 · Methods``, ``12:05``, ``Sheet1 row 7``."""
        parts = [f"p. {self.page}"] if self.page else []
        if self.seconds is not None:
            minutes, seconds = divmod(int(self.seconds), 60)
            hours, minutes = divmod(minutes, 60)
            parts.append(f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}")
        if self.cell:
            parts.append(f"cell {self.cell}")
        if self.sheet or self.row:
            parts.append(" ".join(filter(None, [self.sheet, f"row {self.row}" if self.row else None])))
        return " · ".join([*parts, *self.headings[-1:]])


class Hit(Record):
    """A chunk that answers a query, and which arm of the search found it."""

    rank: int
    score: float
    source_id: UUID
    source: str
    """Name of the source."""
    version_id: UUID
    version: int
    chunk_id: UUID
    start: int
    end: int
    """``text`` is characters ``start`` to ``end`` of the version's text."""
    text: str
    location: Location
    highlights: tuple[tuple[int, int], ...] = ()
    """Spans inside ``text`` that match words of the query."""
    dense_rank: int | None = None
    dense_score: float | None = None
    """Cosine similarity."""
    lexical_rank: int | None = None
    lexical_score: float | None = None
    """BM25."""

    def snippet(self, width: int = 300) -> tuple[int, int]:
        """Return the span of ``text`` of at most about ``width`` characters around the first highlights."""
        return display.window(self.text, self.highlights, width)

    def _view(self) -> display.View:
        return display.hit(self)


class Hits(Records[Hit]):
    """The ranking for one query."""

    query: str
    arm: str
    searched_chunks: int = 0
    """Size of the scope."""
    milliseconds: float = 0.0
    warnings: tuple[str, ...] = ()

    def df(self) -> pd.DataFrame:
        """Return rank, score, both arms' ranks, source, version, page, start, end, text: a row per hit."""
        return to_frame(
            {
                **hit.model_dump(exclude={"location", "highlights"}),
                "page": hit.location.page,
                "location": hit.location.label(),
            }
            for hit in self.items
        )

    def _view(self) -> display.View:
        return display.hits(self)


CitationStatus = Literal["verified", "unverified"]


class Citation(Record):
    """A link from a marker in an answer to exact words of a source version."""

    marker: int
    """The n of ``[n]``."""
    status: CitationStatus
    """``verified``: ``quote`` stands at ``start:end`` of the stored text."""
    source_id: UUID
    source: str
    version_id: UUID
    version: int
    chunk_id: UUID
    start: int
    end: int
    quote: str
    location: Location
    answer_start: int = 0
    answer_end: int = 0
    """The span of the answer's text that the citation supports."""

    def _view(self) -> display.View:
        return display.citation(self)


class Citations(Records[Citation]):
    """All citations of an answer, in the order of the text."""

    def df(self) -> pd.DataFrame:
        """Return a row per citation: marker, status, source, version, page, start, end, quote."""
        return to_frame(
            {**c.model_dump(exclude={"location"}), "page": c.location.page, "location": c.location.label()}
            for c in self.items
        )

    def _view(self) -> display.View:
        return display.citations(self.items)


class Usage(Record):
    """What a model call consumed."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None
    """None when the price is unknown."""


class Budget(Record):
    """How the context window was spent, in tokens, and what did not fit."""

    window: int = 0
    reserved: int = 0
    """Kept free for the answer."""
    used: int = 0
    passages: int = 0
    """Passages shown to the model."""
    cut: int = 0
    """Passages found but left out."""
    cut_sources: tuple[str, ...] = ()


class Passage(Record):
    """Text as it was shown to the model under the label ``[label]``."""

    label: int
    source_id: UUID
    source: str
    version_id: UUID
    version: int
    chunk_id: UUID
    start: int
    end: int
    text: str
    location: Location
    score: float = 0.0


class Provenance(Record):
    """Everything needed to say where an answer came from."""

    model: str
    prompt_sha256: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)
    package_version: str = ""
    passages: tuple[Passage, ...] = ()
    unknown_markers: int = 0
    """Markers the model invented; they were dropped."""


class Answer(Record):
    """A question, its answer, and the exact words that support it."""

    id: UUID
    notebook_id: UUID | None = None
    question: str
    answered: bool
    """False: the sources do not say. ``text`` then tells so."""
    text: str
    citations: Citations
    usage: Usage = Usage()
    budget: Budget = Budget()
    provenance: Provenance
    created_at: datetime
    milliseconds: float = 0.0

    def _view(self) -> display.View:
        return display.answer(self)


class AnswerList(Listing[Answer]):
    """A page of stored answers."""

    def _view(self) -> display.View:
        rows = [
            (
                a.question,
                display.Status("answered" if a.answered else "not answered"),
                len(a.citations),
                a.provenance.model,
                a.created_at,
            )
            for a in self.items
        ]
        return display.table(
            f"{self.total} answer" + "s" * (self.total != 1), ("question", "state", "citations", "model", "asked"), rows
        )


class AnswerDelta(Record):
    """A piece of an answer that is being written; the last event of the stream is the :class:`Answer`."""

    text: str = ""


class RecheckedCitation(Record):
    """Whether a stored citation still holds."""

    marker: int
    source: str
    holds: bool
    """The quote still stands at its offsets of the cited version."""
    current: bool
    """The cited version is the source's newest."""
    quote: str
    detail: str = ""


class Recheck(Record):
    """The outcome of checking all citations of an answer again."""

    answer_id: UUID
    items: tuple[RecheckedCitation, ...]

    @property
    def ok(self) -> bool:
        """Whether every quote still stands where the answer says."""
        return all(item.holds for item in self.items)

    def df(self) -> pd.DataFrame:
        """Return a row per citation."""
        return to_frame(item.model_dump() for item in self.items)

    def _view(self) -> display.View:
        rows = [
            (
                f"[{c.marker}]",
                display.Status("holds" if c.holds else "broken"),
                "newest" if c.current else "older",
                c.source,
                display.Verbatim(c.quote),
                c.detail,
            )
            for c in self.items
        ]
        held = sum(c.holds for c in self.items)
        return display.table(
            f"{held} of {len(self.items)} citations hold", ("", "state", "version", "source", "quote", "detail"), rows
        )
