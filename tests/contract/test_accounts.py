"""Users and tokens, by what a workspace offers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from sbf_kernel import operations as op
from sbf_kernel.errors import Conflict, InvalidInput, NotFound, NotSignedIn
from sbf_kernel.records import LOCAL, Principal, User

if TYPE_CHECKING:
    from sbf_kernel.workspace import Workspace

PASSWORD = "correct horse battery"


@pytest.fixture
def admin(
    open_workspace: Callable[[str, Principal], Workspace], backend_name: str, new_user: Callable[..., Principal]
) -> Workspace:
    """The workspace of an administrator."""
    return open_workspace(backend_name, new_user(role="admin"))


@pytest.fixture
def user(admin: Workspace) -> User:
    return admin.users.create(f"Ann.{uuid4().hex}", PASSWORD)


@pytest.fixture
def theirs(open_workspace: Callable[[str, Principal], Workspace], backend_name: str, user: User) -> Workspace:
    """The user's own workspace."""
    return open_workspace(backend_name, Principal(user_id=str(user.id), roles=("member",)))


def sign_in(workspace: Workspace, name: str, password: str = PASSWORD) -> Any:
    return workspace.call(op.SignIn(name=name, password=password))  # type: ignore[arg-type]


def test_a_user_is_made_found_and_listed(admin: Workspace, user: User) -> None:
    assert (user.role, user.status, user.name) == ("member", "active", user.name.lower())
    assert user.created_at is not None
    assert admin.users.get(user.id) == admin.users.get(user.name.upper()) == admin.users.get(user) == user
    found = admin.users.list(user.name[4:12].upper())
    assert (found.items, found.total) == ((user,), 1)
    assert admin.users.list(user.name, status="suspended").total == 0
    assert user.name in repr(found)
    with pytest.raises(NotFound, match="nobody-of-this-name"):
        admin.users.get("nobody-of-this-name")


def test_pages_of_users_hold_each_once_and_newest_first_when_asked(admin: Workspace) -> None:
    mark = uuid4().hex
    made = [admin.users.create(f"{letter}-{mark}", PASSWORD) for letter in "bca"]
    pages = [admin.users.list(mark, limit=2, offset=offset) for offset in (0, 2)]
    assert [page.total for page in pages] == [3, 3]
    assert [user.name[0] for page in pages for user in page] == ["a", "b", "c"]
    assert list(admin.users.list(mark, sort="created")) == made[::-1]


def test_a_name_is_taken_in_all_its_spellings(admin: Workspace) -> None:
    mark = uuid4().hex
    admin.users.create(f"stra\u00dfe-{mark}", PASSWORD)
    for same in (f"STRASSE-{mark}", f" Strasse-{mark} ".upper()):
        with pytest.raises(Conflict, match="already"):
            admin.users.create(same, PASSWORD)


@pytest.mark.parametrize("name", ["", "  ", "a b", "hub:ann", "a/b", "x" * 101, "a\nb", "<b>"])
def test_names_that_could_be_mistaken_are_refused(admin: Workspace, name: str) -> None:
    with pytest.raises(InvalidInput, match="name"):
        admin.users.create(name, PASSWORD)


def test_short_passwords_are_refused_and_not_shown(admin: Workspace) -> None:
    with pytest.raises(InvalidInput) as caught:
        admin.users.create("ann", "hunter2")
    assert "hunter2" not in str(caught.value)


def test_signing_in_gives_tokens_that_can_be_exchanged_once(admin: Workspace, user: User) -> None:
    first = sign_in(admin, user.name.upper())
    assert first.expires_in == 900
    assert first.access_token not in repr(first)
    second = admin.call(op.RefreshTokens(refresh_token=first.refresh_token))
    assert second.refresh_token != first.refresh_token
    with pytest.raises(NotSignedIn):
        admin.call(op.RefreshTokens(refresh_token=first.refresh_token))
    with pytest.raises(NotSignedIn):  # somebody used it twice: all that came from that sign-in ends
        admin.call(op.RefreshTokens(refresh_token=second.refresh_token))
    third = sign_in(admin, user.name)
    assert admin.call(op.SignOut(refresh_token=third.refresh_token)) is None
    with pytest.raises(NotSignedIn):
        admin.call(op.RefreshTokens(refresh_token=third.refresh_token))


def test_a_wrong_password_an_unknown_name_and_a_suspended_user_get_the_same_answer(
    admin: Workspace, user: User
) -> None:
    told = []
    for name, password in ((user.name, "wrong password"), ("nobody-at-all", PASSWORD)):
        with pytest.raises(NotSignedIn) as caught:
            sign_in(admin, name, password)
        told.append(caught.value.as_dict())
    admin.users.suspend(user)
    with pytest.raises(NotSignedIn) as caught:
        sign_in(admin, user.name)
    assert told == [caught.value.as_dict()] * 2


def test_a_suspended_user_is_out_until_reinstated(admin: Workspace, user: User) -> None:
    held = sign_in(admin, user.name)
    assert admin.users.suspend(user).status == "suspended"
    assert admin.users.list(user.name, status="suspended").total == 1
    with pytest.raises(NotSignedIn):
        admin.call(op.RefreshTokens(refresh_token=held.refresh_token))
    assert admin.users.reinstate(user.name).status == "active"
    with pytest.raises(NotSignedIn):  # what was void stays void
        admin.call(op.RefreshTokens(refresh_token=held.refresh_token))
    assert sign_in(admin, user.name)


def test_changing_ones_password_needs_the_old_one_and_ends_what_was_before(
    admin: Workspace, open_workspace: Callable[[str, Principal], Workspace], backend_name: str
) -> None:
    user = admin.users.create(f"Ann.{uuid4().hex}", PASSWORD, role="admin")  # whose token may do all they may
    theirs = open_workspace(backend_name, Principal(user_id=str(user.id), roles=("admin",)))
    held = sign_in(admin, user.name)
    with pytest.raises(NotSignedIn):
        theirs.call(op.ChangePassword(password="wrong", new_password="another password"))  # type: ignore[arg-type]
    theirs.call(op.ChangePassword(password=PASSWORD, new_password="another password"))  # type: ignore[arg-type]
    with pytest.raises(NotSignedIn):
        admin.call(op.RefreshTokens(refresh_token=held.refresh_token))
    with pytest.raises(NotSignedIn):
        sign_in(admin, user.name)
    assert sign_in(admin, user.name, "another password")


def test_an_invitation_makes_one_user_with_its_role(admin: Workspace) -> None:
    invitation = admin.users.invite(role="admin", hours=1)
    assert invitation.secret not in repr(invitation)
    assert timedelta(minutes=55) < invitation.expires_at - datetime.now(UTC) < timedelta(minutes=65)
    accept = op.AcceptInvitation(invitation=invitation.secret, name=f"eve-{uuid4().hex}", password=PASSWORD)  # type: ignore[arg-type]
    made = admin.call(accept)
    assert (made.role, made.name) == ("admin", accept.name)
    with pytest.raises(NotSignedIn):
        admin.call(accept.model_copy(update={"name": "second"}))
    admin.users.create(f"another-{uuid4().hex}", PASSWORD, role="admin")
    admin.users.delete(made)
    with pytest.raises(NotFound):
        admin.users.get(made.id)


def test_who_i_am(theirs: Workspace, user: User) -> None:
    assert theirs.me() == user


def test_a_workspace_without_login_has_one_user_and_no_tokens(
    open_workspace: Callable[[str, Principal], Workspace],
) -> None:
    local = open_workspace("local", LOCAL)
    assert (local.me().name, local.me().role, local.me()) == ("local", "admin", local.me())
    for call in (lambda: local.tokens.create("t"), local.tokens.list):
        with pytest.raises(Conflict, match="no login"):
            call()
    with pytest.raises(NotFound):
        local.tokens.revoke(uuid4())


def test_tokens_are_made_listed_and_revoked_and_the_secret_is_shown_once(admin: Workspace) -> None:
    before = admin.tokens.list().items  # over HTTP there is one already
    later = datetime.now(UTC) + timedelta(days=1)
    made = admin.tokens.create("laptop", ("write", "read", "read"), expires_at=later)
    assert made.secret.startswith("sbf_")
    assert made.secret not in repr(made)
    assert (made.token.scopes, made.token.expires_at) == (("read", "write"), later)
    other = admin.tokens.create("server")
    assert other.token.scopes == ("read",)
    assert admin.tokens.list().items == (other.token, made.token, *before)
    assert admin.tokens.list("LAP").items == (made.token,)
    assert admin.tokens.list(limit=1, offset=1).items == (made.token,)
    for token in (made, other.token):
        admin.tokens.revoke(token)
    assert admin.tokens.list().items == before
    with pytest.raises(NotFound):
        admin.tokens.revoke(uuid4())


def test_a_token_of_somebody_else_is_not_found(
    admin: Workspace,
    open_workspace: Callable[[str, Principal], Workspace],
    backend_name: str,
    new_user: Callable[..., Principal],
) -> None:
    token = admin.tokens.create("mine").token
    stranger = open_workspace(backend_name, new_user())
    assert stranger.tokens.list("mine").total == 0
    with pytest.raises(NotFound):
        stranger.tokens.revoke(token)
    assert admin.tokens.list("mine").total == 1


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"scopes": ()}, "scopes"),
        ({"scopes": ("all",)}, "scopes"),
        ({"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, "past"),
        ({"expires_at": "4070908800"}, "expires_at"),
    ],
    ids=["no scope", "unknown scope", "past", "seconds"],
)
def test_tokens_that_make_no_sense_are_refused(admin: Workspace, fields: dict[str, Any], match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        admin.tokens.create("senseless", **fields)
    assert admin.tokens.list("senseless").total == 0


def test_a_change_without_change_ends_no_sign_in(admin: Workspace, user: User) -> None:
    held = sign_in(admin, user.name)
    assert admin.users.update(user) == user
    assert admin.call(op.RefreshTokens(refresh_token=held.refresh_token))


def test_deleting_a_user_takes_everything_of_theirs_along(admin: Workspace, theirs: Workspace, user: User) -> None:
    theirs.notebooks.create("Notes").add_text("Quartz scratches glass.", "quartz")
    assert theirs.search("quartz")
    admin.users.delete(user)
    with pytest.raises(NotFound):
        admin.users.get(user.id)
    with pytest.raises(NotSignedIn):
        sign_in(admin, user.name)


def test_an_unknown_user_cannot_be_changed_or_deleted(admin: Workspace) -> None:
    unknown = UUID(int=7)
    for call in (admin.users.suspend, admin.users.delete, admin.users.get):
        with pytest.raises(NotFound, match=str(unknown)):
            call(unknown)
