"""Users of a deployment, and their tokens. Who may do what was checked before: :mod:`sbf_kernel.accounts.permissions`."""

from __future__ import annotations

from sbf_kernel import operations as op
from sbf_kernel.accounts import sign_ins, users
from sbf_kernel.records import ApiTokenList, Invitation, NewApiToken, Principal, Tokens, User, UserList
from sbf_kernel.runtime import Runtime
from sbf_kernel.storage import accounts, credentials


async def sign_in(runtime: Runtime, principal: Principal, o: op.SignIn) -> Tokens:
    """Get an access and a refresh token for name and password."""
    return await sign_ins.sign_in(runtime, o.name, o.password.get_secret_value())


async def refresh_tokens(runtime: Runtime, principal: Principal, o: op.RefreshTokens) -> Tokens:
    """Exchange a refresh token for new tokens. It works once."""
    return await sign_ins.refresh(runtime, o.refresh_token.get_secret_value())


async def sign_out(runtime: Runtime, principal: Principal, o: op.SignOut) -> None:
    """End a sign-in."""
    await sign_ins.sign_out(runtime, o.refresh_token.get_secret_value())


async def accept_invitation(runtime: Runtime, principal: Principal, o: op.AcceptInvitation) -> User:
    """Become a user by an invitation."""
    return await users.accept(runtime, o.invitation.get_secret_value(), o.name, o.password.get_secret_value())


async def get_me(runtime: Runtime, principal: Principal, o: op.GetMe) -> User:
    """Return who asks."""
    return await users.me(runtime, principal)


async def change_password(runtime: Runtime, principal: Principal, o: op.ChangePassword) -> None:
    """Change one's own password."""
    await users.change_password(runtime, principal, o.password.get_secret_value(), o.new_password.get_secret_value())


async def create_api_token(runtime: Runtime, principal: Principal, o: op.CreateApiToken) -> NewApiToken:
    """Make a token for programs. Its secret is shown this once."""
    return await users.create_api_token(runtime, principal, o.name, o.scopes, o.expires_at)


async def list_api_tokens(runtime: Runtime, principal: Principal, o: op.ListApiTokens) -> ApiTokenList:
    """List one's own tokens, without their secrets."""
    user_id = users.account_of(principal)
    async with runtime.db.accounts() as connection:
        return await credentials.find_api_tokens(connection, user_id, search=o.search, limit=o.limit, offset=o.offset)


async def revoke_api_token(runtime: Runtime, principal: Principal, o: op.RevokeApiToken) -> None:
    """Make a token useless, within seconds everywhere."""
    await users.revoke_api_token(runtime, principal, o.token_id)


async def create_user(runtime: Runtime, principal: Principal, o: op.CreateUser) -> User:
    """Make a user."""
    return await users.create(runtime, o.name, o.password.get_secret_value(), o.role)


async def invite_user(runtime: Runtime, principal: Principal, o: op.InviteUser) -> Invitation:
    """Make an invitation. Its secret is shown this once."""
    return await users.invite(runtime, o.role, o.hours)


async def list_users(runtime: Runtime, principal: Principal, o: op.ListUsers) -> UserList:
    """List users."""
    async with runtime.db.accounts() as connection:
        return await accounts.find(
            connection, search=o.search, status=o.status, sort=o.sort, limit=o.limit, offset=o.offset
        )


async def get_user(runtime: Runtime, principal: Principal, o: op.GetUser) -> User:
    """Return one user."""
    async with runtime.db.accounts() as connection:
        return await accounts.get(connection, o.user_id)


async def update_user(runtime: Runtime, principal: Principal, o: op.UpdateUser) -> User:
    """Suspend or reinstate a user, change the role or set a password."""
    password = None if o.password is None else o.password.get_secret_value()
    return await users.update(runtime, o.user_id, status=o.status, role=o.role, password=password)


async def delete_user(runtime: Runtime, principal: Principal, o: op.DeleteUser) -> None:
    """Delete a user with all that belongs to them, for good."""
    await users.delete(runtime, o.user_id)
