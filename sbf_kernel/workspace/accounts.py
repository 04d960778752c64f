"""``ws.users`` for administrators, ``ws.tokens`` for everybody's own."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from sbf_kernel import operations as op
from sbf_kernel.errors import NotFound
from sbf_kernel.operations import build
from sbf_kernel.operations.accounts import caseless
from sbf_kernel.records import ApiToken, ApiTokenList, Invitation, NewApiToken, User, UserList
from sbf_kernel.workspace.references import Ref, all_pages, as_id

if TYPE_CHECKING:
    from sbf_kernel.workspace.workspace import Workspace


class Users:
    """``ws.users``: for administrators, and whoever runs a workspace without login."""

    def __init__(self, workspace: Workspace) -> None:
        self._ws = workspace

    def create(self, name: str, password: str, *, role: str = "member") -> User:
        """Make a user.

        Parameters
        ----------
        name
            Letters, digits and ``. _ @ + -``; upper and lower case are the same.
        password
            10 characters or more.
        role
            ``member`` or ``admin``.

        Raises
        ------
        Conflict
            The name is taken.
        """
        made: User = self._ws.call(build(op.CreateUser, name=name, password=password, role=role))
        return made

    def invite(self, *, role: str = "member", hours: int = 72) -> Invitation:
        """Make an invitation: its ``secret``, shown this once, lets somebody become a user within ``hours``."""
        made: Invitation = self._ws.call(build(op.InviteUser, role=role, hours=hours))
        return made

    def list(
        self, search: str = "", *, status: str | None = None, sort: str = "name", limit: int = 20, offset: int = 0
    ) -> UserList:
        """Return a page of users; ``search`` matches part of the name."""
        found: UserList = self._ws.call(
            build(op.ListUsers, search=search, status=status, sort=sort, limit=limit, offset=offset)
        )
        return found

    def get(self, ref: Ref | User) -> User:
        """Return a user by id or name.

        Raises
        ------
        NotFound
            There is none.
        """
        if (user_id := _id_of(ref)) is not None:
            found: User = self._ws.call(op.GetUser(user_id=user_id))
            return found
        given, users = str(ref).strip(), all_pages(self.list, search=caseless(str(ref)))
        named: list[User] = [user for user in users if user.name in (given, caseless(given))]  # a hub's keep capitals
        if named:
            return named[0]
        raise NotFound(f"there is no user {str(ref)!r}", hint="ws.users.list() shows all")

    def update(
        self, ref: Ref | User, *, status: str | None = None, role: str | None = None, password: str | None = None
    ) -> User:
        """Change status, role or password; every token of before stops working within seconds.

        Raises
        ------
        Conflict
            No active administrator would be left.
        """
        changed: User = self._ws.call(
            build(op.UpdateUser, user_id=self._the(ref), status=status, role=role, password=password)
        )
        return changed

    def suspend(self, ref: Ref | User) -> User:
        """Let a user do nothing more, within seconds; the data stay."""
        return self.update(ref, status="suspended")

    def reinstate(self, ref: Ref | User) -> User:
        """Let a suspended user sign in again."""
        return self.update(ref, status="active")

    def delete(self, ref: Ref | User) -> None:
        """Delete a user with all that belongs to them, for good."""
        self._ws.call(op.DeleteUser(user_id=self._the(ref)))

    def _the(self, ref: Ref | User) -> UUID:
        return _id_of(ref) or self.get(ref).id


class Tokens:
    """``ws.tokens``: one's own tokens for programs."""

    def __init__(self, workspace: Workspace) -> None:
        self._ws = workspace

    def create(
        self, name: str, scopes: tuple[str, ...] = ("read",), *, expires_at: datetime | None = None
    ) -> NewApiToken:
        """Make a token; its ``secret`` is shown this once.

        Parameters
        ----------
        scopes
            Of ``read``, ``write`` and, for administrators, ``admin``.
        expires_at
            With a time zone; None for a token that is good until it is revoked.
        """
        made: NewApiToken = self._ws.call(build(op.CreateApiToken, name=name, scopes=scopes, expires_at=expires_at))
        return made

    def list(self, search: str = "", *, limit: int = 20, offset: int = 0) -> ApiTokenList:
        """Return a page of tokens, newest first, without their secrets."""
        found: ApiTokenList = self._ws.call(build(op.ListApiTokens, search=search, limit=limit, offset=offset))
        return found

    def revoke(self, token: Ref | ApiToken | NewApiToken) -> None:
        """Make a token useless, within seconds everywhere."""
        token = token.token if isinstance(token, NewApiToken) else token
        self._ws.call(build(op.RevokeApiToken, token_id=token.id if isinstance(token, ApiToken) else token))


def _id_of(ref: Ref | User) -> UUID | None:
    return ref.id if isinstance(ref, User) else as_id(ref)
