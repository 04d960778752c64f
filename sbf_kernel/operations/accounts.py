"""Users of a deployment, and the tokens they come with."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field, PlainSerializer, SecretStr, StringConstraints

from sbf_kernel import records
from sbf_kernel.operations.operation import IN_BODY, Limit, Moment, Offset, Operation, Words


def caseless(name: Any) -> Any:
    """Return one form for all spellings of a name that look alike but for case (Unicode 16, D145, then NFC)."""
    if not isinstance(name, str):
        return name
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name.strip()).casefold())


UserName = Annotated[
    str, StringConstraints(min_length=1, max_length=100, pattern=r"^[a-z0-9_.@+-]+$"), BeforeValidator(caseless)
]
Secret = Annotated[
    SecretStr,
    Field(min_length=1, max_length=1_000),
    PlainSerializer(lambda secret: secret.get_secret_value(), return_type=str, when_used="json-unless-none"),
]
"""Hidden wherever it is shown or logged; as it is only on the wire."""
NewPassword = Annotated[Secret, Field(min_length=10)]


class SignIn(Operation):
    """Get an access and a refresh token for name and password."""

    method, path, result = "POST", "/auth/sign-in", records.Tokens
    public = True
    secretive = True
    name: UserName
    password: Secret


class RefreshTokens(Operation):
    """Exchange a refresh token for new tokens. It works once: a second use revokes all that came from that sign-in."""

    method, path, result = "POST", "/auth/refresh", records.Tokens
    public = True
    secretive = True
    refresh_token: Secret


class SignOut(Operation):
    """End a sign-in: its refresh tokens stop working."""

    method, path, result = "POST", "/auth/sign-out", None
    public = True
    refresh_token: Secret


class AcceptInvitation(Operation):
    """Become a user by an invitation."""

    method, path, result = "POST", "/auth/accept", records.User
    public = True
    invitation: Secret
    name: UserName
    password: NewPassword


class GetMe(Operation):
    """Return who asks."""

    method, path, result = "GET", "/me", records.User
    access = "viewer"


class ChangePassword(Operation):
    """Change one's own password; every token of before stops working."""

    method, path, result = "POST", "/me/password", None
    password: Secret
    new_password: NewPassword


class CreateApiToken(Operation):
    """Make a token for programs. Its secret is shown this once."""

    method, path, result = "POST", "/me/tokens", records.NewApiToken
    creates = True
    secretive = True
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
    scopes: Annotated[tuple[records.TokenScope, ...], Field(min_length=1, max_length=3)] = ("read",)
    expires_at: Moment | None = None


class ListApiTokens(Operation):
    """List one's own tokens, without their secrets."""

    method, path, result = "GET", "/me/tokens", records.ApiTokenList
    search: Words = ""
    limit: Limit = 20
    offset: Offset = 0


class RevokeApiToken(Operation):
    """Make a token useless, within seconds everywhere."""

    method, path, result = "DELETE", "/me/tokens/{token_id}", None
    token_id: UUID


class CreateUser(Operation):
    """Make a user."""

    method, path, result = "POST", "/users", records.User
    creates = True
    admin = True
    name: UserName
    password: NewPassword
    role: records.UserRole = "member"


class InviteUser(Operation):
    """Make an invitation. Its secret is shown this once; who has it may become a user."""

    method, path, result = "POST", "/users/invitations", records.Invitation
    creates = True
    admin = True
    secretive = True
    role: records.UserRole = "member"
    hours: Annotated[int, Field(ge=1, le=24 * 30), IN_BODY] = 72


class ListUsers(Operation):
    """List users; ``search`` matches part of the name."""

    method, path, result = "GET", "/users", records.UserList
    admin = True
    search: Words = ""
    status: records.UserStatus | None = None
    sort: Literal["name", "created"] = "name"
    limit: Limit = 20
    offset: Offset = 0


class GetUser(Operation):
    """Return one user."""

    method, path, result = "GET", "/users/{user_id}", records.User
    admin = True
    user_id: UUID


class UpdateUser(Operation):
    """Suspend or reinstate a user, change the role or set a password; every token of before stops working."""

    method, path, result = "PATCH", "/users/{user_id}", records.User
    admin = True
    user_id: UUID
    status: records.UserStatus | None = None
    role: records.UserRole | None = None
    password: NewPassword | None = None


class DeleteUser(Operation):
    """Delete a user with all that belongs to them, for good."""

    method, path, result = "DELETE", "/users/{user_id}", None
    admin = True
    user_id: UUID
