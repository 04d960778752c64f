"""Highlights: the words of a hit that match, at exact offsets."""

from __future__ import annotations

import pytest

from sbf_kernel.models import sparse
from sbf_kernel.search.highlights import highlights


@pytest.mark.parametrize(
    ("text", "query", "language", "marked"),
    [
        ("Whales breathe air.", "breathing whale", "en", ["Whales", "breathe"]),
        ("Die alten Häuser.", "altes Haus", "de", ["alten", "Häuser"]),
        ("火山灰は空に", "火山灰", "ja", ["火山灰"]),
        ("山と火山と山火", "火山", "ja", ["火山"]),
        ("ﬁsh and ﬁsh", "fish", "en", ["ﬁsh", "ﬁsh"]),
        ("in İstanbul", "istanbul", "xx", ["İstanbul"]),
        ("cafe\u0301 noir", "café", "xx", ["cafe\u0301"]),
        ("हिन्दी भाषा", "भाषा", "xx", ["भाषा"]),
        ("the the the", "the", "en", []),
        ("nothing here", "elsewhere", "en", []),
        ("", "word", "en", []),
        ("x" * 10 + " word", "word", "en", ["word"]),
        ("well-known e-mail", "mail", "en", ["mail"]),
    ],
)
def test_these_words_are_marked(text: str, query: str, language: str, marked: list[str]) -> None:
    wanted = set(sparse.encode_query(query, [language]))
    assert [text[a:b] for a, b in highlights(text, wanted, language)] == marked


def test_overlapping_pairs_become_one_span_and_separate_words_stay_apart() -> None:
    wanted = set(sparse.encode_query("東京都庁 foo bar", ["ja"]))
    assert highlights("東京都庁 foo bar", wanted, "ja") == ((0, 4), (5, 8), (9, 12))


def test_a_query_without_words_marks_nothing() -> None:
    assert highlights("any text", set(), "en") == ()
