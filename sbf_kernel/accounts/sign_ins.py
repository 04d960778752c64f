"""Signing in, staying signed in, signing out."""

from __future__ import annotations

from uuid import UUID

from sbf_kernel.accounts import tokens
from sbf_kernel.accounts.gate import gate_of
from sbf_kernel.errors import NotSignedIn
from sbf_kernel.records import Tokens
from sbf_kernel.runtime import Runtime
from sbf_kernel.storage import accounts, credentials


async def sign_in(runtime: Runtime, name: str, password: str) -> Tokens:
    """Return tokens for name and password.

    Each call costs a hash (64 MiB, about 0.1 s of a core), for unknown names
    too: whoever lets strangers call it counts their attempts before.

    Raises
    ------
    NotSignedIn
        Unknown, suspended, or a wrong password: the same words, after the same time.
    """
    gate = gate_of(runtime)
    async with runtime.db.accounts() as connection:
        known = await accounts.password_of(connection, name)
    user_id, stored, token_epoch, active = known or (None, None, 0, False)
    right, renewed = await gate.passwords.verify(password, stored)
    if user_id is None or not right or not active:
        raise wrong_password()
    secret = tokens.new_secret(tokens.REFRESH)
    async with runtime.db.accounts() as connection:
        if renewed and stored:
            await accounts.replace_hash(connection, user_id, stored, renewed)
        sign_in_id = await credentials.open_sign_in(
            connection, user_id, token_epoch, tokens.fingerprint(secret), tokens.REFRESH_DAYS
        )
    return _tokens(runtime, user_id, sign_in_id, token_epoch, secret)


async def refresh(runtime: Runtime, refresh_token: str) -> Tokens:
    """Return new tokens for a refresh token, which is used up.

    A second use revokes the sign-in with all its tokens: one of the two was a
    thief's, and nobody can tell which. That holds for uses at the same moment
    too: one gets tokens, and they end with the sign-in.

    Raises
    ------
    NotSignedIn
        It is not good, or no longer.
    """
    secret = tokens.new_secret(tokens.REFRESH)
    async with runtime.db.accounts() as connection:  # commits the revocation before anything is raised
        rotated = await credentials.rotate(
            connection, tokens.fingerprint(refresh_token), tokens.fingerprint(secret), tokens.REFRESH_DAYS
        )
    if rotated is None:
        raise tokens.refused()
    sign_in_id, user_id, token_epoch = rotated
    return _tokens(runtime, user_id, sign_in_id, token_epoch, secret)


async def sign_out(runtime: Runtime, refresh_token: str) -> None:
    """End the sign-in a refresh token came from, with its access tokens; an unknown one is no error."""
    async with runtime.db.accounts() as connection:
        await credentials.revoke_sign_in(connection, tokens.fingerprint(refresh_token))


def wrong_password() -> NotSignedIn:
    """Return the one error of a sign-in that fails."""
    return NotSignedIn("the name or the password is wrong", hint="check both; an administrator can set a new password")


def _tokens(runtime: Runtime, user_id: UUID, sign_in_id: UUID, token_epoch: int, secret: str) -> Tokens:
    claims = tokens.Claims(user_id, sign_in_id, token_epoch)
    return Tokens(
        access_token=tokens.issue(gate_of(runtime).keys, claims),
        refresh_token=secret,
        expires_in=tokens.ACCESS_SECONDS,
    )
