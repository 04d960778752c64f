"""Finding words again that somebody copied, with small changes, out of a text.

Models change spaces, dashes, quotation marks and line breaks when they copy.
Text is compared in a normal form in which these do not count, and every
character of the normal form knows where it came from.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

SIMILAR: Final = 90.0
"""Least similarity of a fuzzy match in percent: 100 × (1 − edits / length). Below, it is other words."""
_DASHES: Final = frozenset("-‐‑‒–—―−﹘﹣－")
_SINGLE: Final = frozenset("'‘’‚‛′ʼ`´")
_DOUBLE: Final = frozenset('"“”„‟″«»')
_INVISIBLE: Final = frozenset("\u00ad\u200b\u200c\u200d\u2060\ufeff")
_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)*")
_NEGATION: Final = re.compile(
    r"\b(?:not|no|never|none|nor|neither|without|cannot|\w+n't|nicht|kein\w*|nie|ohne|ne|pas|jamais|sin|nunca)\b"
)
_SMALL: Final = {
    word: str(n)
    for n, word in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    )
}


@dataclass(frozen=True)
class Normal:
    """A text in normal form; ``origin[i]`` is where its character ``i`` stood."""

    text: str
    origin: list[int]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the span of the original behind ``text[start:end]``."""
        return self.origin[start], self.origin[end - 1] + 1


def normal(text: str) -> Normal:
    """Return ``text`` folded: NFKC, lower case, one kind of dash and quotation mark, one blank per white space.

    Dashes between letters vanish, together with white space behind them, so that
    ``co-operate``, ``cooperate`` and ``co-`` ``operate`` on two lines agree; a
    minus before a number stays.
    """
    chars: list[str] = []
    origin: list[int] = []
    i = 0
    while i < len(text):
        char = text[i]
        if char in _DASHES and (skip := _joint(text, i)):
            i = skip
            continue
        folded = _fold(char, chars)
        chars += folded
        origin += [i] * len(folded)
        i += 1
    if chars and chars[-1] == " ":
        chars.pop()
        origin.pop()
    return Normal("".join(chars), origin)


def _joint(text: str, i: int) -> int:
    """Return where to go on behind a dash between two letters, else 0."""
    after = i + 1
    while after < len(text) and text[after] == "\n":
        after += 1
    letters = i > 0 and text[i - 1].isalpha() and after < len(text) and text[after].isalpha()
    return after if letters else 0


def _fold(char: str, before: list[str]) -> str:
    if char.isspace():
        return "" if not before or before[-1] == " " else " "
    if char in _INVISIBLE:
        return ""
    if char in _DASHES:
        return "-"
    if char in _SINGLE:
        return "'"
    if char in _DOUBLE:
        return '"'
    return unicodedata.normalize("NFKC", char).casefold().replace(" ", "")


def find(phrase: str, text: str) -> tuple[int, int] | None:
    """Return where ``phrase`` stands in ``text``: verbatim, else in normal form, else nearly.

    Parameters
    ----------
    phrase
        The words as they were copied.
    text
        Where they should stand.

    Returns
    -------
    tuple of int, or None
        ``(start, end)`` in ``text``. A near match has the same numbers and
        negations: one digit or one "not" is a small edit and another statement.

    Notes
    -----
    Near matches by rapidfuzz's ``partial_ratio_alignment`` (normalised indel
    similarity of the best window).
    """
    phrase = unicodedata.normalize("NFC", phrase).strip()
    at = text.find(phrase)
    if not phrase or at >= 0:
        return (at, at + len(phrase)) if phrase else None
    wanted, there = normal(phrase), normal(text)
    if not wanted.text or len(wanted.text) > len(there.text):
        return None
    at = there.text.find(wanted.text)
    if at >= 0:
        return there.span(at, at + len(wanted.text))
    return _near(wanted.text, there)


def _near(wanted: str, there: Normal) -> tuple[int, int] | None:
    from rapidfuzz.fuzz import partial_ratio_alignment

    found = partial_ratio_alignment(wanted, there.text, score_cutoff=SIMILAR)
    if found is None or found.dest_end <= found.dest_start:
        return None
    start, end = _whole_words(there.text, found.dest_start, found.dest_end)
    copied = there.text[start:end]
    same = numbers(wanted) == numbers(copied) and negations(wanted) == negations(copied)
    return there.span(start, end) if same else None


def _whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """Widen or trim a span so that it neither cuts a word nor begins or ends with a blank."""
    while start and text[start].isalnum() and text[start - 1].isalnum():
        start -= 1
    while end < len(text) and text[end - 1].isalnum() and text[end].isalnum():
        end += 1
    while text[start] == " ":
        start += 1
    while text[end - 1] == " ":
        end -= 1
    return start, end


def numbers(text: str) -> set[str]:
    """Return the numbers in ``text``: without thousands separators, small number words as digits."""
    found = {re.sub(r"[.,](?=\d{3}\b)", "", match) for match in _NUMBER.findall(text)}
    return found | {_SMALL[word] for word in re.findall(r"[a-z]+", text.casefold()) if word in _SMALL}


def negations(text: str) -> int:
    """Return how many words of ``text`` negate."""
    return len(_NEGATION.findall(text.casefold().replace("’", "'")))
