"""The answerer without a language model: exact quotes, or an honest no."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbf_kernel.chat import extractive
from sbf_kernel.models.builtin import Reranker, load_reranker
from sbf_kernel.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from uuid import UUID

    from sbf_kernel.records import Hit

    Versions = Callable[[Sequence[Hit]], dict[UUID, str]]

BEES = (
    "Honey bees live in colonies of up to 60,000 workers. A queen can lay 2,000 eggs a day. She may live for five years.\n\n"
    "Beekeepers move their hives in spring. The price of honey rose in 2021."
)
WASPS = "Wasps are not bees. A wasp queen founds her nest alone in spring."


@pytest.fixture(scope="module")
def judge() -> Iterator[Reranker]:
    loaded = load_reranker(Settings(threads=2))
    yield loaded
    loaded.close()


async def ask(
    question: str, hits: Sequence[Hit], texts: dict[UUID, str], judge: Reranker | None = None, language: str = "en"
) -> extractive.Draft:
    return extractive.compose(await extractive.choose(question, hits, judge, language), texts)


async def test_quotes_the_sentence_that_answers(hit: Callable[..., Hit], versions: Versions, judge: Reranker) -> None:
    hits = [hit(BEES, source="bees.txt", start=10), hit(WASPS, source="wasps.txt", rank=2, score=0.5)]
    texts = versions(hits)
    draft = await ask("How many eggs does a queen bee lay each day?", hits, texts, judge)
    assert draft.answered
    assert draft.text.startswith("“A queen can lay 2,000 eggs a day.")
    first = draft.citations[0]
    assert (first.marker, first.source, first.status) == (1, "bees.txt", "verified")
    assert texts[first.version_id][first.start : first.end] == first.quote
    assert draft.text[first.answer_start : first.answer_end] == first.quote


async def test_says_when_nothing_answers(hit: Callable[..., Hit], versions: Versions, judge: Reranker) -> None:
    hits = [hit(BEES, source="bees.txt")]
    draft = await ask("Who was the queen of Spain in 1995?", hits, versions(hits), judge)
    assert not draft.answered
    assert draft.text == "The sources do not answer this question. The nearest passages are in: bees.txt, p. 1 [1]."
    (lead,) = draft.citations
    assert (lead.status, draft.text[lead.answer_start : lead.answer_end]) == ("verified", "bees.txt, p. 1")


async def test_the_question_itself_is_no_answer(hit: Callable[..., Hit], versions: Versions, judge: Reranker) -> None:
    faq = "Try this: ask('How many eggs does a queen lay?') and see.\n\n" + BEES
    draft = await ask("How many eggs does a queen lay?", [hit(faq)], versions([hit(faq)]), judge)
    assert draft.answered
    assert "Try this" not in draft.text


async def test_nothing_near_names_nothing(hit: Callable[..., Hit], versions: Versions) -> None:
    hits = [hit(BEES)]
    draft = await ask("Kubernetes ingress annotations?", hits, versions(hits))
    assert (draft.answered, draft.text, len(draft.citations)) == (False, "The sources do not answer this question.", 0)


async def test_the_same_twice(hit: Callable[..., Hit], versions: Versions, judge: Reranker) -> None:
    hits = [hit(BEES, source="bees.txt"), hit(WASPS, source="wasps.txt", rank=2)]
    question = "How long does a queen live?"
    assert await ask(question, hits, versions(hits), judge) == await ask(question, hits, versions(hits), judge)


async def test_a_pronoun_brings_its_sentence(hit: Callable[..., Hit], versions: Versions, judge: Reranker) -> None:
    hits = [hit(BEES)]
    draft = await ask("How many years may a queen live?", hits, versions(hits), judge)
    assert "A queen can lay 2,000 eggs a day. She may live for five years." in draft.text


async def test_repetitions_are_quoted_once(hit: Callable[..., Hit], versions: Versions, judge: Reranker) -> None:
    hits = [
        hit(BEES, source="a", rank=1),
        hit(BEES.replace("can lay", "can lay about"), source="b", rank=2),
        hit(BEES, source="c", rank=3),
    ]
    draft = await ask("How many eggs does a queen lay a day?", hits, versions(hits), judge)
    assert draft.text.count("eggs") == 1


@pytest.mark.parametrize(
    ("language", "question", "text", "answer"),
    [
        (
            "de",
            "Wie viele Eier legt eine Königin am Tag?",
            "Bienen leben in Völkern. Eine Königin legt bis zu 2000 Eier am Tag. Der Honig ist süß.",
            "2000",
        ),
        (
            "es",
            "¿Cuántos huevos pone una reina al día?",
            "Las abejas viven en colonias. Una reina pone 2000 huevos al día. La miel es dulce.",
            "2000",
        ),
        ("zh", "蜂王每天产多少卵?", "蜜蜂生活在蜂群中。蜂王每天可产两千枚卵。蜂蜜是甜的。", "两千"),
    ],
)
async def test_other_languages_by_words(
    hit: Callable[..., Hit], versions: Versions, language: str, question: str, text: str, answer: str
) -> None:
    draft = await ask(question, [hit(text)], versions([hit(text)]), None, language)
    assert draft.answered
    assert answer in draft.citations[0].quote


async def test_hostile_text_is_quoted_as_it_stands(hit: Callable[..., Hit], versions: Versions) -> None:
    text = "The launch code question is answered by {{7*7}} {x.__class__} <script>alert(1)</script> [9] 【3】."
    draft = await ask("What is the launch code question answered by?", [hit(text)], versions([hit(text)]))
    assert text in draft.text
    assert draft.citations[0].quote == text
    assert [c.marker for c in draft.citations] == [1]


async def test_tables_are_quoted_by_the_row(hit: Callable[..., Hit], versions: Versions) -> None:
    text = "city | inhabitants\nBerlin | 3,520,031\nHamburg | 1,841,179"
    draft = await ask("How many live in Hamburg?", [hit(text)], versions([hit(text)]))
    assert draft.citations[0].quote == "Hamburg | 1,841,179"


async def test_a_version_that_is_gone_is_not_verified(hit: Callable[..., Hit]) -> None:
    draft = await ask("How many eggs can a queen lay?", [hit(BEES)], {})
    assert {c.status for c in draft.citations} == {"unverified"}


async def test_no_passages() -> None:
    assert not (await ask("Anything?", [], {})).answered


PARTS = st.lists(
    st.sampled_from(
        [
            "Cats sleep.",
            "It is 5 o'clock, he said, and the cats sleep.",
            "a | b | c\n1 | 2 | 3",
            "word " * 150,
            "\n\n",
            "猫睡觉。",
            "x" * 1200,
            "“Cats?” – yes!",
            "• item one\n• cats two",
            "  ",
        ]
    ),
    min_size=1,
    max_size=8,
)


@given(st.lists(PARTS, min_size=1, max_size=4), st.sampled_from(["Do cats sleep?", "cats 5", "猫", "", "word"]))
async def test_every_quote_is_exact(
    hit: Callable[..., Hit], versions: Versions, texts: list[list[str]], question: str
) -> None:
    hits = [
        hit("a" + " ".join(parts), source=f"s{n}", start=3 * n, rank=n + 1, score=1 / (n + 1))
        for n, parts in enumerate(texts)
    ]
    stored = versions(hits)
    draft = await ask(question, hits, stored)
    for c in draft.citations:
        assert c.status == "verified"
        assert stored[c.version_id][c.start : c.end] == c.quote
        shown = draft.text[c.answer_start : c.answer_end]
        assert not draft.answered or shown == " ".join(c.quote.split())
        assert len(c.quote) <= 3 * extractive.LONGEST
    assert "".join(draft.pieces) == draft.text
