"""Who may do what: roles and scopes, for every operation there is."""

from __future__ import annotations

import pytest

from sbf_kernel import operations as op
from sbf_kernel.accounts import ANONYMOUS, require
from sbf_kernel.accounts.permissions import scope_of
from sbf_kernel.errors import Forbidden
from sbf_kernel.records import LOCAL, Principal

OPERATIONS = [
    kind
    for kind in vars(op).values()
    if isinstance(kind, type) and issubclass(kind, op.Operation) and hasattr(kind, "path")
]
MEMBER = Principal(user_id="m", roles=("member",))
ADMIN = Principal(user_id="a", roles=("admin",))


def allowed(principal: Principal, kind: type[op.Operation]) -> bool:
    try:
        require(principal, kind.model_construct())
        require(principal, kind)
    except Forbidden as error:
        assert kind.__name__ in error.message
        assert error.hint
        return False
    return True


@pytest.mark.parametrize("kind", OPERATIONS, ids=lambda kind: kind.__name__)
def test_members_may_do_all_but_what_is_for_administrators(kind: type[op.Operation]) -> None:
    assert allowed(LOCAL, kind)
    assert allowed(ADMIN, kind)
    assert allowed(MEMBER, kind) == (not kind.admin)
    assert allowed(ANONYMOUS, kind) == kind.public


@pytest.mark.parametrize("kind", OPERATIONS, ids=lambda kind: kind.__name__)
def test_a_token_does_what_its_scope_says_and_no_more(kind: type[op.Operation]) -> None:
    for scope in ("read", "write", "admin"):
        token = ADMIN.model_copy(update={"scopes": (scope,)})
        assert allowed(token, kind) == (kind.public or scope_of(kind) == scope)


def test_reading_writing_and_administration_are_told_apart() -> None:
    for kind in (op.Search, op.Ask, op.GetNotebook, op.ListNotebooks, op.WatchSources, op.GetMe):
        assert scope_of(kind) == "read"
    for kind in (op.AddSource, op.CreateNotebook, op.DeleteSource, op.RevokeApiToken):
        assert scope_of(kind) == "write"
    for kind in (op.ListUsers, op.DeleteUser, op.InviteUser, op.CreateApiToken, op.ChangePassword):
        assert scope_of(kind) == "admin"


READ = {
    op.Search, op.Ask, op.RecheckAnswer, op.WatchSources, op.WatchJobs,
    op.CreateChat, op.SendMessage, op.StopMessage,
}  # fmt: skip
"""What is no GET and yet takes nothing and changes nothing: it reads, or adds to one's own history."""


@pytest.mark.parametrize("kind", OPERATIONS, ids=lambda kind: kind.__name__)
def test_a_read_token_asks_searches_and_chats_and_changes_nothing(kind: type[op.Operation]) -> None:
    reader = ADMIN.model_copy(update={"scopes": ("read",)})
    reads = (kind.method == "GET" and not kind.admin) or kind in READ
    assert allowed(reader, kind) == (reads or kind.public)


def test_a_token_without_full_rights_makes_no_other_tokens() -> None:
    token = MEMBER.model_copy(update={"scopes": ("read", "write")})
    with pytest.raises(Forbidden, match="'admin'") as caught:
        require(token, op.CreateApiToken(name="heir"))
    assert "sign in" in caught.value.hint


def test_every_answer_with_a_secret_is_marked() -> None:
    for kind in OPERATIONS:
        fields = getattr(kind.result, "model_fields", {})
        assert kind.secretive == bool({"secret", "access_token"} & set(fields)), kind
