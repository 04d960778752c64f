"""The lexical encoding: stable ids, BM25 by its formula, exact spans in any script."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from math import log

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sbf_kernel.models import sparse
from sbf_kernel.search.highlights import highlights

TEXT = st.text(
    st.one_of(
        st.sampled_from("aAbBeEsStT  .,-'’_1290ÄäÖöÜüßéÉñçİıﬁﬀœŒ½²①ＡｂĳǄΣσςЖж"),
        st.sampled_from("日本語火山灰の地震한국어ไทยाहिन्दी\u0301\u0307\u0308\u064e\u200d𠀀🦑"),
        st.characters(codec="utf-8"),
    ),
    max_size=60,
)
LANGUAGE = st.sampled_from(["en", "de", "es", "fr", "ru", "tr", "zh", "ja", "th", "hi", "xx", ""])


@pytest.mark.parametrize(
    ("term", "number"), [("whale", 247_923_781), ("", 0), ("straß", 409_099_163), ("火山", 50_234_135)]
)
def test_term_ids_are_what_is_stored_in_databases(term: str, number: int) -> None:
    assert sparse.term_id(term) == number


@given(st.text(max_size=30))
def test_a_term_id_fits_pgvector_with_room_for_a_second_key(term: str) -> None:
    assert 0 <= sparse.term_id(term) < 1 << 29


@given(st.text(st.characters(codec="ascii"), max_size=60), LANGUAGE)
def test_the_shortcut_for_ascii_finds_the_same_words(text: str, language: str) -> None:
    after_a_foreign_word = [term for _, _, term in sparse.spans(f"ж {text}", language)][1:]
    assert [term for _, _, term in sparse.spans(text, language)] == after_a_foreign_word


@pytest.mark.parametrize(
    ("text", "language", "terms"),
    [
        ("The whales were breathing.", "en", ["whale", "breath"]),
        ("Die Häuser stehen in der Straße", "de", ["haus", "steh", "strass"]),
        ("STRASSE", "de", ["strass"]),
        ("las lentejas cocinadas", "es", ["lentej", "cocin"]),
        ("don't e-mail_me", "en", ["don", "e", "mail", "me"]),
        ("火山灰", "zh", ["火山", "山灰"]),
        ("山", "zh", ["山"]),
        ("GPT4は速い", "ja", ["gpt4", "は速", "速い"]),
        ("ﬁsh ＡＢＣ", "en", ["fish", "abc"]),
        ("İstanbul ISTANBUL", "xx", ["istanbul", "istanbul"]),
        ("हिन्दी भाषा", "xx", ["हिन्दी", "भाषा"]),
        ("cafe\u0301", "xx", ["café"]),
        ("x\u0307y", "xx", ["ẋy"]),
        ("1,000.5 and C++", "xx", ["1", "000", "5", "and", "c"]),
        ("", "en", []),
        (" ... ", "en", []),
        ("the of and", "en", []),
    ],
)
def test_words_become_these_terms(text: str, language: str, terms: list[str]) -> None:
    assert list(sparse.terms(text, language)) == terms


@given(TEXT, LANGUAGE)
@example("İ½ﬁ㍿", "en")
@example("ΑΣ'Α", "el")
@settings(max_examples=400, deadline=None)
def test_spans_are_ordered_lie_in_the_text_and_hold_its_terms(text: str, language: str) -> None:
    spans = list(sparse.spans(text, language))
    assert all(0 <= start < end <= len(text) for start, end, _ in spans)
    assert [start for start, _, _ in spans] == sorted(start for start, _, _ in spans)
    for start, end, term in spans:
        assert term in set(sparse.terms(text[start:end], language)), (text[start:end], term)


@given(st.lists(st.text(st.sampled_from("aABbßÄéİñﬁ１日火山ЖжΣ"), min_size=1, max_size=6), max_size=8), LANGUAGE)
@settings(max_examples=300, deadline=None)
def test_spans_of_ordinary_words_give_the_terms_of_the_index(words: list[str], language: str) -> None:
    text = " ".join(words)
    assert [term for _, _, term in sparse.spans(text, language)] == list(sparse.terms(text, language))


@given(TEXT, LANGUAGE)
@settings(max_examples=200, deadline=None)
def test_a_text_that_is_searched_for_itself_is_marked_at_disjoint_ordered_spans(text: str, language: str) -> None:
    found = highlights(text, set(sparse.encode_query(text, [language])), language)
    assert all(start < end for start, end in found)
    assert all(end < start for (_, end), (start, _) in pairwise(found))
    if list(sparse.spans(text, language)):
        assert found or set(sparse.terms(text, language)).isdisjoint(term for *_, term in sparse.spans(text, language))


@given(
    st.lists(
        st.lists(st.sampled_from(["aal", "abt", "ack", "adz", "aft"]), min_size=1, max_size=80), min_size=1, max_size=8
    ),
    st.data(),
)
@settings(max_examples=100, deadline=None)
def test_the_inner_product_is_bm25(documents: list[list[str]], data: st.DataObject) -> None:
    query = data.draw(st.lists(st.sampled_from(["aal", "abt", "ack", "adz", "zzz"]), min_size=1, max_size=4))
    total = len(documents)
    for document in documents:
        expected = 0.0
        for word, times in Counter(query).items():
            df = sum(word in other for other in documents)
            tf = document.count(word)
            idf = log(1 + (total - df + 0.5) / (df + 0.5))
            norm = 1 - sparse.B + sparse.B * len(document) / sparse.AVERAGE_LENGTH
            expected += times * idf * tf * (sparse.K1 + 1) / (tf + sparse.K1 * norm)
        stored = sparse.encode_passage(" ".join(document), "xx")
        asked = sparse.encode_query(" ".join(query), ["xx"])
        frequency = {term: sum(term in sparse.encode_passage(" ".join(d), "xx") for d in documents) for term in asked}
        score = sum(count * sparse.idf(frequency[term], total) * stored.get(term, 0.0) for term, count in asked.items())
        assert score == pytest.approx(expected)


@given(TEXT, LANGUAGE)
@settings(max_examples=100, deadline=None)
def test_weights_are_positive_and_bounded(text: str, language: str) -> None:
    assert all(0 < weight < sparse.K1 + 1 for weight in sparse.encode_passage(text, language).values())


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_idf_is_never_negative_and_falls_with_frequency(df: int, more: int) -> None:
    total = df + more
    assert sparse.idf(df, total) > 0
    assert sparse.idf(df, total) >= sparse.idf(total, total)


def test_a_query_takes_each_stem_once_whatever_the_languages() -> None:
    once = sparse.encode_query("breathing whales whales", ["en"])
    assert once == {sparse.term_id("breath"): 1, sparse.term_id("whale"): 2}
    assert sparse.encode_query("breathing whales whales", ["en", "en"]) == once
    both = sparse.encode_query("breathing", ["en", "xx"])
    assert both == {sparse.term_id("breath"): 1, sparse.term_id("breathing"): 1}
    assert sparse.encode_query("anything", []) == {}
