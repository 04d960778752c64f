"""Users and tokens. Secrets are here only in the one answer that hands them out."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from sbf_kernel import display
from sbf_kernel.records.principal import TokenScope
from sbf_kernel.records.record import Listing, Record

UserRole = Literal["member", "admin"]
UserStatus = Literal["active", "suspended"]


class User(Record):
    """Somebody who may sign in."""

    id: UUID
    name: str
    role: UserRole = "member"
    status: UserStatus = "active"
    created_at: datetime | None = None
    """None for the one user of a workspace without login."""


class UserList(Listing[User]):
    """A page of users."""

    def _view(self) -> display.View:
        rows = [(u.name, u.role, display.Status(u.status), u.created_at) for u in self.items]
        return display.table(f"{self.total} user" + "s" * (self.total != 1), ("user", "role", "status", "since"), rows)


class _Secret(Record):
    """A record that hands out a secret: shown without it."""

    def _view(self) -> display.View:
        shown = {
            name: "…" if name in ("access_token", "refresh_token", "secret") else value
            for name, value in self.model_dump().items()
        }
        return display.fields(type(self).__name__, shown)


class Tokens(_Secret):
    """What a sign-in gives."""

    access_token: str
    refresh_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the name of a scheme
    expires_in: int
    """Seconds the access token is good for."""


class ApiToken(Record):
    """A token for programs, without its secret."""

    id: UUID
    name: str
    scopes: tuple[TokenScope, ...]
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None


class NewApiToken(_Secret):
    """A token that was just made; ``secret`` is shown this once."""

    token: ApiToken
    secret: str


class ApiTokenList(Listing[ApiToken]):
    """A page of tokens."""

    def _view(self) -> display.View:
        rows = [(t.name, ", ".join(t.scopes), t.expires_at, t.last_used_at) for t in self.items]
        return display.table(
            f"{self.total} token" + "s" * (self.total != 1), ("token", "scopes", "expires", "last used"), rows
        )


class Invitation(_Secret):
    """Lets somebody become a user, once."""

    secret: str
    role: UserRole
    expires_at: datetime
