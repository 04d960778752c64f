"""Text → sparse vector: the lexical side of search, as real BM25.

A chunk becomes ``{term id: BM25 weight}`` and a query ``{term id: idf}``, so
that their inner product *is* the BM25 score (Robertson & Zaragoza 2009, "The
Probabilistic Relevance Framework", in the variant that Lucene computes, with
idf = ln(1 + (N − df + ½)/(df + ½))). Average length is a constant, so stored
weights never need rewriting when the collection grows.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Set
from math import log
from zlib import crc32

K1 = 1.2
B = 0.75
AVERAGE_LENGTH = 60.0
"""Terms per chunk that count as average; measured in docs/adr/0002-search.md."""

TERM_BITS = 29
"""pgvector's sparsevec holds 10⁹ dimensions at most; 2²⁹ leaves room for a second key per term."""

# Scripts written without spaces between words: indexed as overlapping pairs
# of characters, the standard treatment for Chinese, Japanese, Korean, Thai.
_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f"
# Vowel signs and accents continue a word: without them Hindi, Tamil or pointed Arabic would fall apart into consonants.
_MARKS = "".join(
    c for c in map(chr, (*range(0x300, 0xE00), *range(0xE80, 0x2000))) if unicodedata.category(c) in ("Mn", "Mc")
)
_WORD = re.compile(rf"[{_UNSPACED}]+|[^\W_{_UNSPACED}]+(?:[{_MARKS}]+[^\W_{_UNSPACED}]*)*")
_ASCII_WORD = re.compile(r"[A-Za-z0-9]+")  # the same in half the time
_IS_UNSPACED = re.compile(rf"[{_UNSPACED}]")

STEMMERS = {
    "ar": "arabic",
    "ca": "catalan",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "eu": "basque",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "ne": "nepali",
    "nl": "dutch",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
    "yi": "yiddish",
}
"""ISO 639-1 code → Snowball algorithm; other languages are indexed unstemmed."""

# The words that carry grammar and no topic. Short on purpose: idf already
# pushes frequent words down, so the list only saves space and time.
_STOP_WORDS = {
    "en": "a an and are as at be but by for from had has have if in into is it its no not of on or such that the "
    "their then there these they this to was were what when where which who why will with how do does did s t",
    "de": "aber als am an auch auf aus bei bin bis bist da das dass dem den der des die du ein eine einem einen einer "
    "eines er es für hat ich ihr im in ist mit nach nicht oder sein sich sie sind so über um und uns von vor was "
    "wie wir wird zu zum zur wer wo wann welche welcher welches",
    "es": "a al como con de del el en entre era es esta este fue ha la las lo los más no o para pero por que qué se "
    "sin sobre su sus un una y ya cuál cuándo dónde quién cómo",
    "fr": "à au aux avec ce ces cette dans de des du elle en est et il ils je la le les leur mais ne nous on ou par "
    "pas pour qu que qui sa se ses son sur un une vous quel quelle où quand",
    "it": "a ad al alla che chi con da dal dei del della di e è ed gli ha i il in la le lo ma nel nella non o per più "
    "quale quando si sono su un una dove",
    "pt": "a ao as com como da das de do dos e é em entre era foi mais mas na nas no nos não o os ou para pela pelo "
    "por qual quando que quem se sua um uma onde",
    "nl": "aan als bij dat de den der die dit door een en er het hij ik in is je met na naar niet of om onder op over "
    "te tot uit van voor was wat wie wordt zijn ze welke waar",
}


@functools.cache
def _stop_words(language: str) -> frozenset[str]:
    return frozenset(_STOP_WORDS.get(language, "").split())


@functools.lru_cache(maxsize=1 << 16)
def _stem(language: str, word: str) -> str:
    stemmer = _stemmer(language)
    return stemmer(word) if stemmer else word


@functools.cache
def _stemmer(language: str):  # type: ignore[no-untyped-def]
    if language not in STEMMERS:
        return None
    import Stemmer

    return Stemmer.Stemmer(STEMMERS[language]).stemWord


def fold(text: str) -> str:
    """Return ``text`` as the index sees it: NFKC, lower case; the Turkish capital İ is a plain i."""
    return unicodedata.normalize("NFKC", text).lower().replace("i\u0307", "i")


def _word_in(text: str) -> re.Pattern[str]:
    return _ASCII_WORD if text.isascii() else _WORD


def terms(text: str, language: str) -> Iterator[str]:
    """Yield the index terms of ``text`` in order, with repetitions.

    Parameters
    ----------
    language
        ISO 639-1 code that chooses stemmer and stop words.
    """
    return (term for _, _, term in _spans(fold(text), language))


def spans(text: str, language: str, words: Container[str] | None = None) -> Iterator[tuple[int, int, str]]:
    """Yield ``(start, end, term)`` of each index term, with offsets into ``text`` as it stands.

    Folding can change the length of a text, so words are found in the text
    itself and folded one by one.

    Parameters
    ----------
    words
        Only words among these, as they stand in the text; None for all.
    """
    for match in _word_in(text).finditer(text):
        word = match.group()
        if words is None or word in words:
            offset = match.start()
            for start, end, term in _pieces(word, language):
                yield offset + start, offset + end, term


def words_with(text: str, language: str, wanted: Set[int]) -> set[str]:
    """Return the words of ``text``, as they stand, that have an index term whose id is ``wanted``."""
    return {word for word in set(_word_in(text).findall(text)) if not wanted.isdisjoint(_ids(word, language))}


@functools.lru_cache(maxsize=1 << 16)
def _ids(word: str, language: str) -> tuple[int, ...]:
    return tuple(term_id(term) for *_, term in _pieces(word, language))


@functools.lru_cache(maxsize=1 << 16)
def _pieces(word: str, language: str) -> tuple[tuple[int, int, str], ...]:
    """Return the terms of a word as it stands, kept because hits on one topic share most of their words."""
    folded = fold(word)
    pieces = tuple(_spans(folded, language))  # folding may bring up a border: ½ becomes 1⁄2
    if len(folded) == len(word):
        return pieces
    return tuple((0, len(word), term) for _, _, term in pieces)  # a folded word of another length is marked as a whole


def _spans(folded: str, language: str) -> Iterator[tuple[int, int, str]]:
    stop = _stop_words(language)
    for match in _word_in(folded).finditer(folded):
        for start, end, term in _split(match.group(), stop, language):
            yield match.start() + start, match.start() + end, term


def _split(word: str, stop: frozenset[str], language: str) -> Iterator[tuple[int, int, str]]:
    if _IS_UNSPACED.match(word):
        if len(word) == 1:
            yield 0, 1, word
        for i in range(len(word) - 1):
            yield i, i + 2, word[i : i + 2]
    elif word not in stop:
        yield 0, len(word), _stem(language, word)


def term_id(term: str) -> int:
    """Return the dimension of ``term``: 0 … 2²⁹ − 1 (stable across machines and versions)."""
    return crc32(term.encode()) & ((1 << TERM_BITS) - 1)


def encode_passage(text: str, language: str) -> dict[int, float]:
    """Return the BM25 weights of a chunk: ``{term id: weight}``, at most k₁ + 1 each."""
    counts = Counter(map(term_id, terms(text, language)))
    norm = K1 * (1 - B + B * sum(counts.values()) / AVERAGE_LENGTH)
    return {term: tf * (K1 + 1) / (tf + norm) for term, tf in counts.items()}


def encode_query(text: str, languages: Iterable[str]) -> dict[int, int]:
    """Return ``{term id: count}`` of a query, with its words stemmed in each of ``languages``.

    A word gets one term per language in which its stem differs; a chunk holds
    only the one of its own language, so nothing is counted twice.
    """
    counts: dict[int, int] = {}
    for language in languages:
        for term, count in Counter(map(term_id, terms(text, language))).items():
            counts[term] = max(counts.get(term, 0), count)
    return counts


def idf(df: int, total: int) -> float:
    """Return Lucene's inverse document frequency, never negative."""
    return log(1 + (total - df + 0.5) / (df + 0.5))
