"""Follow-ups without a language model, and the history of a chat in a prompt."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbf_kernel.chat import context
from sbf_kernel.chat.followups import KEPT_WORDS, completed, refers_back
from sbf_kernel.chat.history import TITLE, History, Turn, clipped, shortened, title_of
from sbf_kernel.operations.operation import one_form
from sbf_kernel.records import Message


@pytest.mark.parametrize(
    ("before", "text", "expected"),
    [
        ("How do whales breathe?", "And what do they eat?", "whales breathe: And what do they eat?"),
        ("How do whales breathe?", "Why?", "whales breathe: Why?"),
        ("How do whales breathe?", "Tell me more", "whales breathe: Tell me more"),
        ("When was the First World War?", "Why did it end?", "First World War: Why did it end?"),
        (
            "How do whales breathe?",
            "Is that true of the blue whale?",
            "whales breathe: Is that true of the blue whale?",
        ),
        ("How do whales breathe?", "Does it hurt?", "whales breathe: Does it hurt?"),
        ("Wo leben Wale?", "Und was fressen sie?", "leben Wale: Und was fressen sie?"),
        ("¿Qué es la fotosíntesis?", "¿Y por qué?", "fotosíntesis: ¿Y por qué?"),
        ("Qu'est-ce que la photosynthèse ?", "Et en hiver ?", "photosynthèse: Et en hiver ?"),
        ("Кто такие киты?", "Что они едят?", "Кто такие киты: Что они едят?"),
        ("鲸鱼吃什么", "为什么？", "鲸鱼吃什么: 为什么？"),
        ("", "And what do they eat?", "And what do they eat?"),
        ("Why?", "And what do they eat?", "And what do they eat?"),
    ],
)
def test_a_follow_up_gets_the_words_it_refers_to(before: str, text: str, expected: str) -> None:
    assert completed(text, before) == expected


@pytest.mark.parametrize(
    "text",
    [
        "What is photosynthesis?",
        "Is there life on Mars?",
        "Wo leben die Bären?",
        "¿Qué animales viven en el mar?",
        "Où vivent les baleines ?",
        "Dove vivono le balene?",
        "光合作用是怎么进行的",
        "What does it mean that a citation is verified?",
        "Is it true that whales sleep?",
        "Which countries signed the treaty that ended the Thirty Years' War, and what did they gain?",
    ],
)
def test_a_question_that_stands_alone_stays_as_it_is(text: str) -> None:
    assert not refers_back(text)
    assert completed(text, "How do whales breathe?") == text


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_text_only_gets_some_words_in_front(text: str, before: str) -> None:
    found = completed(text, before)
    assert found.endswith(text)
    added = found.removesuffix(text)
    assert added == "" or (added.endswith(": ") and len(added.split()) <= KEPT_WORDS)


@given(st.text(max_size=400), st.integers(5, 60))
def test_a_clipped_text_fits_and_is_the_end_of_the_text(text: str, tokens: int) -> None:
    found = clipped(text, tokens)
    assert context.tokens(found) <= tokens
    assert text.endswith(found.removeprefix("…"))
    assert found == text or context.tokens(text) > tokens


@given(st.text(max_size=300))
def test_a_title_is_one_short_line(text: str) -> None:
    title = title_of(text)
    assert len(title) <= TITLE + 1
    assert title == " ".join(title.split())
    assert (title == "") == (one_form(text).split() == [])


def test_markers_of_other_prompts_and_long_turns_do_not_reach_the_prompt() -> None:
    message = Message(
        id=uuid4(), chat_id=uuid4(), role="assistant", text="Air [1][2]. " + "more " * 500, created_at=datetime.now(UTC)
    )
    assert Turn.of(2, message.model_copy(update={"text": "Air [1][2]."}), 100).line == "Assistant: Air."
    assert context.tokens(Turn.of(2, message, 100).text) <= 100


def test_without_a_model_a_summary_is_the_first_sentences() -> None:
    turns = (Turn(1, "user", "How?\nIn detail."), Turn(2, "assistant", "By air. With a blowhole."))
    assert shortened(History("Before.", 0, turns)) == "Before. User: How? Assistant: By air."
