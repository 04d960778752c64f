"""Asks a JupyterHub whose token this is.

The hub is the operator's own, named in the settings and usually in a private
network, so it is not asked through the guarded fetcher. Nothing a user sends
decides where the request goes.
"""

from __future__ import annotations

import json
from typing import Any

from sbf_kernel.errors import RemoteError
from sbf_kernel.settings import Settings

PREFIX = "hub:"
"""Begins the names of the hub's users here; no name somebody may choose has a colon."""
_SECONDS = 5
_MOST_BYTES = 1_000_000
_LONGEST_NAME = 300


async def name_of(settings: Settings, token: str) -> str | None:
    """Return the hub's name of the user this token belongs to; None when it is not good, or not for us.

    Parameters
    ----------
    token
        Printable ASCII.

    Raises
    ------
    RemoteError
        The hub cannot be reached or answers nonsense.

    Notes
    -----
    ``GET /user`` of the hub's REST API, as its own ``HubAuth`` does. One of the
    access scopes is enough, as there.
    """
    status, body = await _ask(settings.jupyterhub_api_url.rstrip("/") + "/user", token)
    if status in (401, 403, 404):
        return None
    try:
        said: dict[str, Any] = json.loads(body)
        name, kind, scopes = said["name"], said.get("kind", "user"), set(said.get("scopes") or ())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _failed(f"status {status}, and not what a hub says") from None
    if status != 200 or not isinstance(name, str):
        raise _failed(f"status {status}")
    known = 0 < len(name) <= _LONGEST_NAME and name.isprintable() and kind == "user"
    return name if known and _allowed(settings.jupyterhub_access_scopes, scopes) else None


def _allowed(required: tuple[str, ...], scopes: set[Any]) -> bool:
    """``access:services`` includes ``access:services!service=sbf``."""
    return not required or any(scope in scopes or scope.partition("!")[0] in scopes for scope in required)


async def _ask(url: str, token: str) -> tuple[int, bytes]:
    import aiohttp

    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS), trust_env=False) as session,
            session.get(url, headers={"Authorization": f"token {token}"}, allow_redirects=False) as response,
        ):
            body = bytearray()
            async for piece in response.content.iter_any():
                body += piece
                if len(body) > _MOST_BYTES:
                    raise _failed("an endless answer")
            return response.status, bytes(body)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise _failed(type(error).__name__) from error


def _failed(how: str) -> RemoteError:
    return RemoteError(
        f"the JupyterHub could not tell whose token this is: {how}", hint="try again; see SBF_JUPYTERHUB_API_URL"
    )
