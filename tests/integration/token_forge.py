"""Makes tokens by hand, the right ones and every wrong one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from sbf_kernel.accounts.tokens import Claims

GONE = object()
"""In place of a value: the field is left out."""


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass
class Forge:
    """What a genuine token would say, and the key it would be signed with."""

    kid: str
    key: bytes
    claims: Claims

    def __call__(
        self,
        *,
        header: dict[str, Any] | None = None,
        key: bytes | None = None,
        digest: Callable[..., Any] = hashlib.sha256,
        **said: Any,
    ) -> str:
        """Return a token with these parts changed; without any it is genuine."""
        now = int(time.time())
        payload = {
            "iss": "sbf",
            "aud": "sbf-api",
            "typ": "access",
            "sub": str(self.claims.user_id),
            "sid": str(self.claims.sign_in_id),
            "epoch": self.claims.token_epoch,
            "jti": uuid4().hex,
            "iat": now,
            "exp": now + 900,
        }
        return self.signed(
            _without({"alg": "HS256", "typ": "JWT", "kid": self.kid} | (header or {})),
            json.dumps(_without(payload | said)).encode(),
            self.key if key is None else key,
            digest,
        )

    @staticmethod
    def signed(header: Any, payload: bytes, key: bytes, digest: Callable[..., Any] = hashlib.sha256) -> str:
        head = header if isinstance(header, bytes) else json.dumps(header).encode()
        signing = f"{b64(head)}.{b64(payload)}"
        return f"{signing}.{b64(hmac.new(key, signing.encode(), digest).digest())}"


def _without(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not GONE}


def _unsigned(alg: str) -> Callable[[Forge], str]:
    def make(forge: Forge) -> str:
        return forge(header={"alg": alg}).rpartition(".")[0] + "."

    return make


def _same_bytes(forge: Forge) -> str:
    """Set the two bits of the last letter that base64 throws away."""
    token = forge()
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + letters[letters.index(token[-1]) | 1]


def _altered(forge: Forge) -> str:
    head, _, signature = forge().split(".")
    return ".".join((head, forge(sub=str(uuid4())).split(".")[1], signature))


FORGED: dict[str, Callable[[Forge], str]] = {
    "alg none without signature": _unsigned("none"),
    "alg None": _unsigned("None"),
    "alg nOnE": _unsigned("nOnE"),
    "alg none with a signature": lambda f: f(header={"alg": "none"}),
    "no alg": lambda f: f(header={"alg": GONE}),
    "HS512 with the right key": lambda f: f(header={"alg": "HS512"}, digest=hashlib.sha512),
    "HS384 with the right key": lambda f: f(header={"alg": "HS384"}, digest=hashlib.sha384),
    "alg says RS256, signed by HMAC": lambda f: f(header={"alg": "RS256"}),
    "alg says ES256, signed by HMAC": lambda f: f(header={"alg": "ES256"}),
    "a critical extension": lambda f: f(header={"crit": ["exp"], "exp": 1}),
    "critical b64": lambda f: f(header={"crit": ["b64"], "b64": True}),
    "detached payload": lambda f: f(header={"crit": ["b64"], "b64": False}),
    "header typ at+jwt": lambda f: f(header={"typ": "at+jwt"}),
    "a key in the header": lambda f: f(header={"jwk": {"kty": "oct", "k": b64(b"k" * 32)}}, key=b"k" * 32),
    "an address of keys": lambda f: f(header={"jku": "http://127.0.0.1/keys"}),
    "a certificate's address": lambda f: f(header={"x5u": "http://127.0.0.1/c"}),
    "no kid": lambda f: f(header={"kid": GONE}),
    "kid null": lambda f: f(header={"kid": None}),
    "kid a number": lambda f: f(header={"kid": 1}),
    "kid a list": lambda f: f(header={"kid": [f.kid]}),
    "kid empty": lambda f: f(header={"kid": ""}),
    "kid a path to an empty file": lambda f: f(header={"kid": "../../../../dev/null"}, key=b""),
    "kid an injection": lambda f: f(header={"kid": "' union select 'k' --"}, key=b"k"),
    "kid unknown": lambda f: f(header={"kid": "2020-01-01-00000000"}),
    "another key under our kid": lambda f: f(key=b"x" * 48),
    "a short key": lambda f: f(key=b"secret"),
    "an empty key": lambda f: f(key=b""),
    "the kid as key": lambda f: f(key=f.kid.encode()),
    **{
        f"no {claim}": (lambda f, claim=claim: f(**{claim: GONE}))  # type: ignore[misc]
        for claim in ("exp", "iat", "sub", "jti", "aud", "iss", "typ", "epoch", "sid")
    },
    "expired beyond the leeway": lambda f: f(exp=int(time.time()) - 31, iat=int(time.time()) - 931),
    "not valid yet": lambda f: f(nbf=int(time.time()) + 60),
    "issued in the future": lambda f: f(iat=int(time.time()) + 60),
    "exp no number": lambda f: f(exp="never"),
    "exp null": lambda f: f(exp=None),
    "exp endless": lambda f: f.signed(
        {"alg": "HS256", "typ": "JWT", "kid": f.kid}, b'{"exp": Infinity, "iat": 1, "sub": "x"}', f.key
    ),
    "for another audience": lambda f: f(aud="sbf-web"),
    "for several audiences": lambda f: f(aud=["sbf-api", "other"]),
    "of another issuer": lambda f: f(iss="https://evil.example"),
    "a refresh token by typ": lambda f: f(typ="refresh"),
    "typ a list": lambda f: f(typ=["access"]),
    "another user's sign-in": lambda f: f(sub=str(uuid4())),
    "sub no id": lambda f: f(sub="admin"),
    "sub a number": lambda f: f(sub=1),
    "sub with NUL": lambda f: f(sub=str(f.claims.user_id) + "\0"),
    "sign-in unknown": lambda f: f(sid=str(uuid4())),
    "sid no id": lambda f: f(sid="' or true --"),
    "an old epoch": lambda f: f(epoch=f.claims.token_epoch - 1),
    "an epoch to come": lambda f: f(epoch=f.claims.token_epoch + 1),
    "epoch true": lambda f: f(epoch=bool(f.claims.token_epoch)),
    "epoch a word": lambda f: f(epoch=str(f.claims.token_epoch)),
    "signature cut": lambda f: f()[:-1],
    "no signature": lambda f: f().rpartition(".")[0] + ".",
    "signature missing altogether": lambda f: f().rpartition(".")[0],
    "another token's signature": lambda f: f().rpartition(".")[0] + "." + f(jti="x").rpartition(".")[2],
    "payload altered": _altered,
    "the same bytes spelled otherwise": _same_bytes,
    "padding": lambda f: f() + "=",
    "a newline at the end": lambda f: f() + "\n",
    "a space before": lambda f: " " + f(),
    "the scheme twice": lambda f: "Bearer " + f(),
    "a header smuggled in": lambda f: f() + "\r\nX-Admin: 1",
    "a NUL at the end": lambda f: f() + "\0",
    "a letter that looks the same": lambda f: f().replace("e", "\u0435", 1),
    "four parts": lambda f: f() + ".x",
    "dots only": lambda f: "..",
    "no JSON": lambda f: f.signed(b"\xff\xfe", b"{}", f.key),
    "a payload that is no object": lambda f: f.signed({"alg": "HS256", "typ": "JWT", "kid": f.kid}, b"[]", f.key),
    "a header that is no object": lambda f: f.signed(b"[]", b"{}", f.key),
    "JSON deep in the header": lambda f: f.signed(b"[" * 200, b"{}", f.key),
    "JSON deep in the payload": lambda f: f.signed(
        {"alg": "HS256", "typ": "JWT", "kid": f.kid}, b'{"a":' + b"[" * 500 + b"]" * 500 + b"}", f.key
    ),
    "a number of 5,000 digits": lambda f: f(exp=10**4000),
    "huge": lambda f: f(x="y" * 200_000),
    "empty": lambda f: "",
    "garbage": lambda f: "garbage",
    "another deployment's": lambda f: Forge(f.kid, b"another deployment's key, 32 bytes!", f.claims)(),
    "nobody's": lambda f: Forge(f.kid, f.key, Claims(UUID(int=0), UUID(int=0), 0))(),
}
"""What is wrong → how it is made. None of these needs the database to know the user."""
