"""Sentence borders with exact offsets, for any language, in linear time.

Rules, not a model: they are deterministic, need no download and read three
megabytes in well under a second. ``sentencex`` (MIT, Rust) was tried and is
faster, but never ends a sentence inside quotation marks: one inch mark or an
unclosed quote swallows the rest of the paragraph (16 000 characters as one
"sentence" in a chat log), which is no use for quoting and packing.
"""

from __future__ import annotations

import re
from typing import Final

_CLOSERS: Final = "\"'”’»›)\\]}」』）】》〉*_"
_OPENERS: Final = "\"'“‘„‚«‹([{「『（【《〈¿¡*_–—-•"

# One pass finds every place where a sentence may end. No alternative can fail
# after it has consumed a run, so that a million dots cost a million steps
# (possessive quantifiers; a condition on what follows would make it quadratic).
_CANDIDATE: Final = re.compile(
    r"(?P<gap>\n[ \t]*(?=\n))"
    r"|(?P<item>\n(?=[ \t]*(?:[-*+•‣◦▪·–—]|\(?\d{1,3}[.)]|\(?[A-Za-z][)])[ \t]))"
    rf"|(?P<full>[。！？｡।॥؟۔։።។။](?:[。！？｡।॥؟۔!?…]|[{_CLOSERS}])*+)"
    rf"|(?P<stop>[.!?…‽](?:[ ]?[.!?…‽])*+[{_CLOSERS}]*+(?:[ ]»)?(?:\[\d{{1,3}}(?:[,–-][ ]?\d{{1,3}}){{0,9}}\])*+)"
)

_WORD: Final = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_DOTTED: Final = re.compile(r"(?:[^\W\d_]{1,2}\.)+[^\W\d_]{1,2}")
_SPACE: Final = re.compile(r"\s*")
_LOOK: Final = 24
"""Characters read before and after a full stop: longer than any abbreviation, so each decision costs the same."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Lower case, without the last full stop. Whatever follows, the sentence goes on.
_NEVER: Final = _words(
    "dr mr mrs ms mx prof st ste rev hon gen col maj sgt capt cpt lt cmdr adm gov sen rep pres messrs mme mlle "
    "e.g eg i.e ie cf viz vs v approx ca resp incl excl esp a.k.a fig figs eq eqs sec sect chap ref refs tab ed eds "
    "hr hrn fr frl bzw z.b d.h u.a o.ä s.o s.u vgl evtl ggf inkl zzgl ca usw.u abs art aufl bd hrsg sr sra srta dra "
    "ud uds p.ej pág págs núm mons sig sig.ra dott avv ing geb gest tel abt"
)
# The sentence goes on when a number follows.
_BEFORE_NUMBER: Final = _words(
    "no nos nr nrs n num art arts p pp pg vol vols ch para paras ver bd s seite kap abb app tab § sect cap § div pt"
)
# It ends only when a capital begins a word that usually opens a sentence.
_MAY_END: Final = _words(
    "inc ltd co corp bros plc llc gmbh jr sr esq dept dist univ assn est min max al et.al ave blvd rd mt ft lb lbs oz "
    "jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun u.s usw m.w"
)
_STARTERS: Final = _words(
    "a after all also although an and any as at because before both but by each even every finally first for from he "
    "her here his how however i if in it its many more most my no not now of on one only or other our since she so "
    "some such that the their then there therefore these they this those though thus to today two until we what when "
    "where whether which while who why with yes yet you your mr mrs ms dr prof der die das ein eine er sie es wir ich "
    "im in und aber wenn als auch le la les un une il elle ils nous mais dans el los las una en pero il lo gli"
)
_MONTHS_AFTER_ORDINAL: Final = _words(
    "januar jänner februar märz april mai juni juli august september oktober november dezember jahrhundert leden únor"
)


def sentences(text: str, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """Return the sentences of ``text[start:end]``, in order.

    A blank line and the start of a list item always end a sentence; other
    line breaks do not, since many sources are wrapped.

    Parameters
    ----------
    text
        Any text; three megabytes take a fraction of a second.
    start, end
        The range to look at, in code points; white space at either side of a
        sentence belongs to no sentence.

    Returns
    -------
    list of tuple of int
        ``(start, end)`` in code points of ``text``: trimmed, sorted, apart.
        Together they hold every character that is not white space.
    """
    end = len(text) if end is None else min(end, len(text))
    cased = not text[start:end].islower()
    spans: list[tuple[int, int]] = []
    begin = start
    for match in _CANDIDATE.finditer(text, start, end):
        kind = match.lastgroup
        if kind in ("gap", "item"):
            cut = match.start()
        elif _full_ends(text, match, end) if kind == "full" else _stop_ends(text, match, begin, end, cased):
            cut = match.end()
        else:
            continue
        begin = _add(spans, text, begin, cut)
    _add(spans, text, begin, end)
    return spans


def _add(spans: list[tuple[int, int]], text: str, begin: int, cut: int) -> int:
    """Append ``text[begin:cut]`` trimmed, unless it is blank; return where the next sentence begins."""
    piece = text[begin:cut]
    size = len(piece.strip())
    if size:
        begin += len(piece) - len(piece.lstrip())
        spans.append((begin, begin + size))
    return max(begin, cut)


def _full_ends(text: str, match: re.Match[str], end: int) -> bool:
    """Whether a full stop of a script that needs no blank after it (。！？।) ends a sentence."""
    after = match.end()
    quoted = len(match.group()) > 1 and text[after - 1] in '」』）】》〉”’"'
    # 「…。」と言った: the quotation is a part of the sentence around it.
    return not (quoted and text[after : min(after + 1, end)] in tuple("と、，,"))


def _stop_ends(text: str, match: re.Match[str], begin: int, end: int, cased: bool) -> bool:
    """Whether a Western full stop, question mark, exclamation mark or ellipsis ends a sentence."""
    after = match.end()
    if after >= end or not text[after].isspace():
        return after >= end
    word = _word_after(text, after, end)
    goes_on = cased and word[:1].islower() and not word[1:2].isupper()  # "iPhone" may open a sentence
    if match.group()[0] != "." or match.group().startswith((". .", "..")):
        return not goes_on
    before = _word_before(text, match.start(), begin)
    if before.isdecimal() and match.start() - begin < _LOOK and text[begin : match.start()].strip() == before:
        return False  # the number of a list item
    return not goes_on and _full_stop_ends(before, word, cased)


def _full_stop_ends(before: str, after: str, cased: bool) -> bool:
    """Whether the full stop between two words is more than the mark of an abbreviation."""
    key = before.lower()
    opens = after.lower() in _STARTERS and (after[:1].isupper() or not cased)
    if key in _NEVER:
        return False
    if key in _BEFORE_NUMBER and after[:1].isdecimal():
        return False
    if before.isdecimal() and len(before) <= 2:  # German ordinals: "3. Oktober"
        return after.lower() not in _MONTHS_AFTER_ORDINAL
    if len(before) == 1 and before.isalpha():  # initials; lower case ones are abbreviations: "c. 1990"
        return opens or not after
    if key in _MAY_END or _DOTTED.fullmatch(before):
        return opens or not after
    return not (key == "etc" and not after[:1].isupper())


def _word_before(text: str, stop: int, begin: int) -> str:
    """Return the word, dots included, that ends at ``stop``.

    White space before the full stop is passed over (tokenised corpora write
    ``word . Next``).
    """
    words = text[max(begin, stop - _LOOK) : stop].split()
    return words[-1].lstrip(_OPENERS) if words else ""


def _word_after(text: str, after: int, end: int) -> str:
    """Return the first word behind ``after``, quotation marks and brackets passed over, or ``""``."""
    begin = _SPACE.match(text, after, min(after + _LOOK, end)).end()  # type: ignore[union-attr]
    match = _WORD.match(text[begin : min(begin + _LOOK, end)].lstrip(_OPENERS))
    return match.group() if match else ""
