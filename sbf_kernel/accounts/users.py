"""Users: how they come, change and go."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import NAMESPACE_URL, UUID, uuid5

from sbf_kernel.accounts import tokens
from sbf_kernel.accounts.gate import gate_of
from sbf_kernel.accounts.sign_ins import wrong_password
from sbf_kernel.errors import Conflict, Forbidden, InvalidInput
from sbf_kernel.records import Invitation, NewApiToken, Principal, TokenScope, User, UserRole, UserStatus
from sbf_kernel.runtime import Runtime
from sbf_kernel.storage import accounts, credentials, tenants


async def create(runtime: Runtime, name: str, password: str, role: UserRole) -> User:
    """Make a user who signs in by password.

    Raises
    ------
    Conflict
        The name is taken.
    """
    hashed = await gate_of(runtime).passwords.hash(password)
    async with runtime.db.accounts() as connection:
        return await accounts.create(connection, name, hashed, role)


async def invite(runtime: Runtime, role: UserRole, hours: int) -> Invitation:
    """Make an invitation that is good once."""
    secret = tokens.new_secret(tokens.INVITATION)
    async with runtime.db.accounts() as connection:
        return await credentials.create_invitation(connection, secret, tokens.fingerprint(secret), role, hours)


async def accept(runtime: Runtime, invitation: str, name: str, password: str) -> User:
    """Make the user an invitation allows. It is used up only when that succeeds.

    Raises
    ------
    NotSignedIn
        The invitation is not good, or no longer.
    Conflict
        The name is taken.
    """
    secret = tokens.fingerprint(invitation)
    async with runtime.db.accounts() as connection:  # before a stranger costs us a hash
        if not await credentials.invitation_is_good(connection, secret):
            raise tokens.refused()
    hashed = await gate_of(runtime).passwords.hash(password)
    async with runtime.db.accounts() as connection:
        role = await credentials.use_invitation(connection, secret)
        if role is None:
            raise tokens.refused()
        return await accounts.create(connection, name, hashed, role)


async def me(runtime: Runtime, principal: Principal) -> User:
    """Return who asks; in a workspace without login that is nobody in the table."""
    user_id = _id_of(principal)
    if user_id is None:
        role: UserRole = "admin" if "admin" in principal.roles else "member"
        return User(id=uuid5(NAMESPACE_URL, principal.author), name=principal.author, role=role)
    async with runtime.db.accounts() as connection:
        return await accounts.get(connection, user_id)


async def change_password(runtime: Runtime, principal: Principal, password: str, new_password: str) -> None:
    """Change one's own password; every token of before is void.

    Raises
    ------
    NotSignedIn
        The present password is wrong.
    """
    gate, user_id = gate_of(runtime), account_of(principal)
    async with runtime.db.accounts() as connection:
        user = await accounts.get(connection, user_id)
        known = await accounts.password_of(connection, user.name)
    right, _ = await gate.passwords.verify(password, known[1] if known else None)
    if not right:
        raise wrong_password()
    await update(runtime, user_id, password=new_password)


async def update(
    runtime: Runtime,
    user_id: UUID,
    *,
    status: UserStatus | None = None,
    role: UserRole | None = None,
    password: str | None = None,
) -> User:
    """Change what is not None; every token of before is void, here at once, elsewhere within seconds.

    Raises
    ------
    NotFound
        There is no such user.
    Conflict
        No active administrator would be left.
    """
    if status is None and role is None and password is None:
        async with runtime.db.accounts() as connection:
            return await accounts.get(connection, user_id)
    gate = gate_of(runtime)
    hashed = None if password is None else await gate.passwords.hash(password)
    async with runtime.db.accounts() as connection:
        user = await accounts.change(connection, user_id, status=status, role=role, password_hash=hashed)
    gate.credentials.forget()
    return user


async def delete(runtime: Runtime, user_id: UUID) -> None:
    """Delete a user with all data and tokens.

    The user is suspended first, so that nothing comes in while the data go;
    stopped in between, it can be done again.

    Raises
    ------
    NotFound
        There is no such user.
    Conflict
        It is the last active administrator.
    """
    await update(runtime, user_id, status="suspended")
    await tenants.purge(runtime.db, Principal(user_id=str(user_id)))
    async with runtime.db.accounts() as connection:
        await accounts.remove(connection, user_id)
    gate_of(runtime).credentials.forget()


async def create_api_token(
    runtime: Runtime, principal: Principal, name: str, scopes: tuple[TokenScope, ...], expires_at: datetime | None
) -> NewApiToken:
    """Make a token for programs, which can do no more than who makes it.

    Raises
    ------
    Forbidden
        A scope the principal does not have; ``admin`` is for administrators.
    InvalidInput
        It would be over already.
    """
    user_id = account_of(principal)
    lacking = [scope for scope in scopes if scope not in principal.scopes]
    if lacking or ("admin" in scopes and "admin" not in principal.roles):
        raise Forbidden(f"you cannot give the scope {(lacking or ['admin'])[0]!r}", hint="leave it out")
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise InvalidInput("expires_at lies in the past", hint="leave it out, or choose a time to come")
    secret = tokens.new_secret(tokens.API)
    async with runtime.db.accounts() as connection:
        token = await credentials.create_api_token(
            connection, user_id, tokens.fingerprint(secret), name, tuple(sorted(set(scopes))), expires_at
        )
    return NewApiToken(token=token, secret=secret)


async def revoke_api_token(runtime: Runtime, principal: Principal, token_id: UUID) -> None:
    """Make one of one's own tokens useless: here at once, elsewhere within seconds.

    Raises
    ------
    NotFound
        There is no such token.
    """
    user_id = _id_of(principal)
    if user_id is None:
        raise credentials.no_token(token_id)
    async with runtime.db.accounts() as connection:
        await credentials.revoke_api_token(connection, user_id, token_id)
    gate_of(runtime).credentials.forget()


def account_of(principal: Principal) -> UUID:
    """Return the id of the user who asks.

    Raises
    ------
    Conflict
        The workspace has no login, so there is neither password nor token.
    """
    user_id = _id_of(principal)
    if user_id is None:
        raise Conflict(
            "this workspace has no login, so no passwords and tokens of its own",
            hint="make a user with ws.users.create(), and a token for it with: sbf users token NAME",
        )
    return user_id


def _id_of(principal: Principal) -> UUID | None:
    try:
        return UUID(principal.author)
    except ValueError:
        return None
