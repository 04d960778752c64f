"""Names and search words in one form: what looks the same is the same."""

from __future__ import annotations

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sbf_kernel import operations as op
from sbf_kernel.chat.history import title_of

NFC, NFD = "Caf\u00e9", "Cafe\u0301"
PERSIAN = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
FAMILY = "\U0001f469\u200d\U0001f4bb"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (NFD, NFC),
        ("two\nlines", "two lines"),
        ("two\r\nlines", "two lines"),
        ("a\tb\u2028c\u2029d\x85e\x0bf\x0cg", "a b c d e f g"),
        ("  \n around \t", "around"),
        (PERSIAN, PERSIAN),
        (f"team {FAMILY}!", f"team {FAMILY}!"),
        ("\u2764\ufe0f\u200d\U0001f525", "\u2764\ufe0f\u200d\U0001f525"),
        ("ad\u200da\u200c", "ada"),
        ("\u202eevil\u0007\u200b\u2066\ufeff", "evil"),
        ("e\u200b\u0301", "\u00e9"),
    ],
)
def test_a_name_is_one_line_without_what_cannot_be_seen(given: str, kept: str) -> None:
    assert op.CreateNotebook(name=given).name == kept
    assert op.CreateNote(notebook_id=uuid4(), title=given).title == kept
    assert op.CreateChat(notebook_id=uuid4(), title=given).title.strip() == kept
    assert op.UpdateChat(chat_id=uuid4(), title=given).title.strip() == kept  # type: ignore[union-attr]
    assert title_of(given) == kept


@pytest.mark.parametrize("name", ["\u200d", "\u200c\u200d\u200d\u200c", "\u200b \u200d\u3000\u200d", "\u202e\n"])
def test_a_name_of_which_nothing_can_be_seen_is_none(name: str) -> None:
    with pytest.raises(ValidationError, match="name"):
        op.CreateNotebook(name=name)


@given(st.text(st.sampled_from("a\u0301 \n\u200c\u200d\u200b\u0645\u3000\u202e\U0001f469"), max_size=12))
def test_one_form_once_is_one_form_for_good(name: str) -> None:
    once = op.CreateChat(notebook_id=uuid4(), title=name).title
    assert op.CreateChat(notebook_id=uuid4(), title=once).title == once


def test_what_is_searched_for_and_tags_have_the_form_of_names() -> None:
    for kind in (op.ListNotebooks, op.ListSources, op.ListChats, op.ListAnswers, op.ListJobs, op.ListReports):
        assert kind(search=NFD).search == NFC
    assert op.ListSources(tag=NFD).tag == NFC
    assert op.UpdateSource(source_id=uuid4(), tags=(NFD,)).tags == (NFC,)
    assert op.Search(query=NFD, tags=(NFD,)).tags == (NFC,)


def test_what_is_searched_in_has_that_form_too() -> None:
    assert op.CreateNotebook(name="n", description=NFD).description == NFC
    assert op.CreateNote(notebook_id=uuid4(), title="t", text=f"{NFD}\n\t{NFD}").text == f"{NFC}\n\t{NFC}"
    assert op.SendMessage(chat_id=uuid4(), text=NFD).text == NFC
