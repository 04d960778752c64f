"""Users of a deployment, and their tokens."""

from __future__ import annotations

from sbf_kernel import operations as op
from sbf_kernel.records import ApiTokenList, Invitation, NewApiToken, Principal, Tokens, User, UserList
from sbf_kernel.runtime import Runtime


async def sign_in(runtime: Runtime, principal: Principal, o: op.SignIn) -> Tokens:
    """Get an access and a refresh token for name and password."""
    raise NotImplementedError


async def refresh_tokens(runtime: Runtime, principal: Principal, o: op.RefreshTokens) -> Tokens:
    """Exchange a refresh token for new tokens. It works once."""
    raise NotImplementedError


async def sign_out(runtime: Runtime, principal: Principal, o: op.SignOut) -> None:
    """End a sign-in."""
    raise NotImplementedError


async def accept_invitation(runtime: Runtime, principal: Principal, o: op.AcceptInvitation) -> User:
    """Become a user by an invitation."""
    raise NotImplementedError


async def get_me(runtime: Runtime, principal: Principal, o: op.GetMe) -> User:
    """Return who asks."""
    raise NotImplementedError


async def change_password(runtime: Runtime, principal: Principal, o: op.ChangePassword) -> None:
    """Change one's own password."""
    raise NotImplementedError


async def create_api_token(runtime: Runtime, principal: Principal, o: op.CreateApiToken) -> NewApiToken:
    """Make a token for programs. Its secret is shown this once."""
    raise NotImplementedError


async def list_api_tokens(runtime: Runtime, principal: Principal, o: op.ListApiTokens) -> ApiTokenList:
    """List one's own tokens, without their secrets."""
    raise NotImplementedError


async def revoke_api_token(runtime: Runtime, principal: Principal, o: op.RevokeApiToken) -> None:
    """Make a token useless, at once."""
    raise NotImplementedError


async def create_user(runtime: Runtime, principal: Principal, o: op.CreateUser) -> User:
    """Make a user."""
    raise NotImplementedError


async def invite_user(runtime: Runtime, principal: Principal, o: op.InviteUser) -> Invitation:
    """Make an invitation. Its secret is shown this once."""
    raise NotImplementedError


async def list_users(runtime: Runtime, principal: Principal, o: op.ListUsers) -> UserList:
    """List users."""
    raise NotImplementedError


async def get_user(runtime: Runtime, principal: Principal, o: op.GetUser) -> User:
    """Return one user."""
    raise NotImplementedError


async def update_user(runtime: Runtime, principal: Principal, o: op.UpdateUser) -> User:
    """Suspend or reinstate a user, change the role or set a password."""
    raise NotImplementedError


async def delete_user(runtime: Runtime, principal: Principal, o: op.DeleteUser) -> None:
    """Delete a user with all that belongs to them, for good."""
    raise NotImplementedError
