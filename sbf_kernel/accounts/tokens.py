"""Tokens: signed ones that say who somebody is for minutes, random ones that are looked up."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from types import ModuleType
from typing import NamedTuple
from uuid import UUID, uuid4

from sbf_kernel.accounts.keys import Keys
from sbf_kernel.errors import MissingExtra, NotSignedIn

ACCESS_SECONDS = 15 * 60
"""Life of an access token."""
REFRESH_DAYS = 30
"""Life of a refresh token."""
LEEWAY_SECONDS = 30
"""How far the clocks of two servers may differ."""
API, REFRESH, INVITATION = "sbf_", "sbr_", "sbi_"
"""How random tokens begin, so that people and secret scanners know them."""

_ISSUER, _AUDIENCE, _TYPE, _ALGORITHM = "sbf", "sbf-api", "access", "HS256"
_REQUIRED = ["exp", "iat", "sub", "jti", "aud", "iss", "typ", "epoch", "sid"]
# The signature of HS256 has 43 characters. Everything longer than ours is somebody else's.
_SHAPE = re.compile(r"[\w-]{1,300}\.[\w-]{1,900}\.[\w-]{43}", re.ASCII)


class Claims(NamedTuple):
    """What an access token says."""

    user_id: UUID
    sign_in_id: UUID
    token_epoch: int


def refused() -> NotSignedIn:
    """Return the one error for every token that is not good, whatever the cause: it teaches nothing."""
    return NotSignedIn("the token is not good, or no longer", hint="sign in again, or use another token")


def new_secret(prefix: str) -> str:
    """Return a random token: 32 bytes after its prefix."""
    return prefix + secrets.token_urlsafe(32)


def fingerprint(secret: str) -> bytes:
    """Return what is stored of a random token: its SHA-256."""
    return hashlib.sha256(secret.encode()).digest()


def issue(keys: Keys, claims: Claims) -> str:
    """Return an access token, signed by the first key."""
    kid, secret = next(iter(keys.items()))
    now = int(time.time())
    said = {
        "iss": _ISSUER,
        "aud": _AUDIENCE,
        "typ": _TYPE,
        "sub": str(claims.user_id),
        "sid": str(claims.sign_in_id),
        "epoch": claims.token_epoch,
        "jti": uuid4().hex,
        "iat": now,
        "exp": now + ACCESS_SECONDS,
    }
    signed: str = _jwt().encode(said, secret, algorithm=_ALGORITHM, headers={"kid": kid})
    return signed


def looks_signed(token: str) -> bool:
    """Tell whether a token has the shape of one we sign: such a one is shown to nobody else."""
    return token.count(".") == 2


def read(keys: Keys, token: str) -> Claims | None:
    """Return what an access token says, None unless a key of ours signed exactly this, for this use, for now.

    Notes
    -----
    After RFC 8725. The key's id is looked up and nothing else; a header with
    anything more than we write (``crit``, ``jku``, ``jwk`` …) is refused.
    PyJWT itself refuses, since 2.15, base64 that decodes to the same bytes but
    is not what we wrote.
    """
    jwt = _jwt()
    if not _SHAPE.fullmatch(token):
        return None
    try:
        header = jwt.get_unverified_header(token)
        kid = header.get("kid")
        if not isinstance(kid, str) or header != {"alg": _ALGORITHM, "typ": "JWT", "kid": kid} or kid not in keys:
            return None
        said = jwt.decode(
            token,
            keys[kid],
            algorithms=[_ALGORITHM],
            audience=_AUDIENCE,
            issuer=_ISSUER,
            leeway=LEEWAY_SECONDS,
            options={"require": _REQUIRED, "strict_aud": True},
        )
        if said["typ"] != _TYPE or type(said["epoch"]) is not int:
            return None
        return Claims(UUID(said["sub"]), UUID(said["sid"]), said["epoch"])
    # What the parsers say of JSON that is deep, huge or of wrong types.
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _jwt() -> ModuleType:
    try:
        import jwt
    except ImportError as error:
        raise MissingExtra("pyjwt is not installed", hint="pip install 'sbf-kernel[server]'") from error
    return jwt
