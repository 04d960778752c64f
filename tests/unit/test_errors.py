"""Errors: one tree, one wire name each, the same on both sides of any border."""

from __future__ import annotations

import copy
import json
import pickle
import re

import pytest

from sbf_kernel import errors
from sbf_kernel.errors import BY_CODE, SbfError, SourceEncrypted

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SbfError)]


def by_name(kind: type[SbfError]) -> str:
    return kind.__name__


def test_every_class_has_a_code_of_its_own_and_is_found_by_it() -> None:
    assert len({kind.code for kind in KINDS}) == len(KINDS)
    assert {kind.code: kind for kind in KINDS} == BY_CODE


@pytest.mark.parametrize("kind", KINDS, ids=by_name)
def test_each_class_owns_a_status_and_a_wire_name(kind: type[SbfError]) -> None:
    assert 400 <= kind.status <= 599
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", kind.code)
    assert kind.__doc__


@pytest.mark.parametrize("kind", KINDS, ids=by_name)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_error_survives_pickling_and_copying(kind: type[SbfError], protocol: int) -> None:
    error = kind("what – happened", hint="do this", source="a.pdf", number=3)
    for again in (pickle.loads(pickle.dumps(error, protocol)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is kind
        assert (again.message, again.hint, again.details, str(again)) == (
            error.message,
            error.hint,
            error.details,
            str(error),
        )


@pytest.mark.parametrize("kind", KINDS, ids=by_name)
def test_an_error_can_be_rebuilt_from_its_wire_form(kind: type[SbfError]) -> None:
    sent = json.loads(json.dumps(kind("what", number=3).as_dict()))
    again = BY_CODE[sent["code"]](sent["message"], hint=sent["hint"], **sent["details"])
    assert type(again) is kind
    assert again.as_dict() == sent


def test_the_hint_stands_after_the_message_and_can_be_left_out() -> None:
    assert str(SourceEncrypted("a.pdf is locked")) == f"a.pdf is locked → {SourceEncrypted.default_hint}"
    assert str(SourceEncrypted("a.pdf is locked", hint="ask its owner")) == "a.pdf is locked → ask its owner"
    assert str(SourceEncrypted("a.pdf is locked", hint="")) == "a.pdf is locked"


def test_the_tree_in_the_module_names_every_class_with_its_place() -> None:
    drawn = dict(re.findall(r"^[\s│├└─]*?([A-Z]\w+)(?: +(\d{3}))?", errors.__doc__ or "", re.MULTILINE))
    drawn.pop("Every", None), drawn.pop("Each", None)
    assert set(drawn) == {kind.__name__ for kind in KINDS}
    for kind in KINDS:
        parent = kind.__mro__[1]
        inherited = getattr(parent, "status", None)
        assert drawn[kind.__name__] in ("", str(kind.status))
        if kind is not SbfError and not drawn[kind.__name__]:
            assert kind.status == inherited, kind


def test_details_may_not_shadow_what_the_constructor_takes() -> None:
    with pytest.raises(TypeError):
        SbfError("a", message="b")


@pytest.mark.parametrize("kind", KINDS, ids=by_name)
def test_no_hint_sends_somebody_looking_for_a_setting_without_its_name(kind: type[SbfError]) -> None:
    assert "setting" not in kind.default_hint or "SBF_" in kind.default_hint
