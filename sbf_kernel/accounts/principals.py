"""From what a request carries to who asks: one function for every kind of credential."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sbf_kernel.accounts import hub, tokens
from sbf_kernel.accounts.gate import Gate, gate_of
from sbf_kernel.records import Principal
from sbf_kernel.runtime import Runtime
from sbf_kernel.storage import credentials

if TYPE_CHECKING:
    from sbf_kernel.storage.credentials import Credential

_BEARER = re.compile(r"[\x21-\x7e]{1,4096}")


async def authenticate(runtime: Runtime, bearer: str) -> Principal:
    """Return who sends this token: an access token, an API token, or one of the JupyterHub.

    What was revoked, and whoever was suspended, deleted, given another role or
    password, is out within :data:`~sbf_kernel.accounts.gate.CREDENTIAL_SECONDS`.

    Raises
    ------
    NotSignedIn
        It is not good; the same words whatever the cause.
    RemoteError
        The JupyterHub could not be asked.
    """
    found = await _credential(runtime, gate_of(runtime), bearer) if _BEARER.fullmatch(bearer) else None
    if found is None or not found.good or (found.expires_at is not None and found.expires_at <= datetime.now(UTC)):
        raise tokens.refused()
    return Principal(user_id=str(found.user_id), roles=(found.role,), scopes=found.scopes)


async def _credential(runtime: Runtime, gate: Gate, bearer: str) -> Credential | None:
    if bearer.startswith(tokens.API):
        return await _of_api_token(runtime, gate, tokens.fingerprint(bearer))
    if tokens.looks_signed(bearer):
        return await _of_access_token(runtime, gate, bearer)
    if bearer.startswith((tokens.REFRESH, tokens.INVITATION)) or not runtime.settings.jupyterhub_api_url:
        return None
    return await _of_hub_token(runtime, gate, bearer)


async def _of_api_token(runtime: Runtime, gate: Gate, token_hash: bytes) -> Credential | None:
    async def look_up() -> Credential | None:
        async with runtime.db.accounts() as connection:
            return await credentials.of_api_token(connection, token_hash)

    return await gate.credentials.get(token_hash, look_up)


async def _of_access_token(runtime: Runtime, gate: Gate, token: str) -> Credential | None:
    claims = tokens.read(gate.keys, token)
    if claims is None:
        return None

    async def look_up() -> Credential | None:
        async with runtime.db.accounts() as connection:
            return await credentials.of_sign_in(connection, claims.sign_in_id)

    found = await gate.credentials.get(claims.sign_in_id, look_up)
    same = found is not None and (found.user_id, found.token_epoch) == (claims.user_id, claims.token_epoch)
    return found if same else None


async def _of_hub_token(runtime: Runtime, gate: Gate, token: str) -> Credential | None:
    name = await gate.hub_names.get(tokens.fingerprint(token), lambda: hub.name_of(runtime.settings, token))
    if name is None:
        return None

    async def look_up() -> Credential:
        async with runtime.db.accounts() as connection:
            return await credentials.of_hub_user(connection, hub.PREFIX + name)

    return await gate.credentials.get(hub.PREFIX + name, look_up)
