"""The keys that sign access tokens: from the setting, or in a file that processes of one home share.

The first signs, all are taken. So a key is replaced without logging anybody
out: a new one goes first, the old one stays until what it signed is over.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sbf_kernel.errors import Conflict, InvalidInput, NotFound, StoreUnavailable
from sbf_kernel.settings import Settings

MINIMUM_BYTES = 32
"""HMAC-SHA256 wants a key as long as its output (RFC 7518, 3.2)."""
KEPT = timedelta(hours=1)
"""A key that no longer signs is removed by a rotation so long after: four times the life of an access token."""
_KID = re.compile(r"[\w.:-]{1,64}", re.ASCII)

Keys = Mapping[str, bytes]
"""Key id → secret; the first signs."""


def keys_of(settings: Settings) -> Callable[[], Keys]:
    """Return a function that returns the keys as they are now.

    Raises
    ------
    InvalidInput
        The setting is no JSON object, or a key is too short.
    """
    if settings.signing_keys is None:
        return KeyFile(settings.home).keys
    where = "SBF_SIGNING_KEYS"
    try:
        given = json.loads(settings.signing_keys.get_secret_value())
    except ValueError:
        given = None
    if not isinstance(given, dict) or not given:
        raise InvalidInput(f"{where} is no JSON object", hint='it looks like {"2026-11": "…", "2026-10": "…"}')
    keys = {kid: _checked(kid, secret, where) for kid, secret in given.items()}
    return lambda: keys


def _checked(kid: Any, secret: Any, where: str) -> bytes:
    if not isinstance(kid, str) or not _KID.fullmatch(kid):
        raise InvalidInput(f"{where} has a key with a wrong id", hint="letters, digits and . _ : - only, at most 64")
    raw = secret.encode() if isinstance(secret, str) else b""
    if len(raw) < MINIMUM_BYTES:
        raise InvalidInput(
            f"the key {kid!r} of {where} has {len(raw)} bytes",
            hint=f"it needs {MINIMUM_BYTES} random ones: python -c 'import secrets; print(secrets.token_urlsafe(48))'",
        )
    return raw


class KeyFile:
    """``signing-keys.json`` in a home, for its owner only; made when first needed, read again when it has changed."""

    def __init__(self, home: Path) -> None:
        self.path = home / "signing-keys.json"
        self._read_as: tuple[int, ...] = ()
        self._keys: Keys = {}

    def keys(self) -> Keys:
        """Return the keys as they are now; costs one look at the file's time.

        Raises
        ------
        StoreUnavailable
            The file cannot be made or read.
        InvalidInput
            It is damaged, or others may read it.
        """
        try:
            found = self.path.stat()
        except FileNotFoundError:
            with self._changing() as entries:
                if not entries:
                    entries.append(_new())
            found = self.path.stat()
        identity = (found.st_ino, found.st_mtime_ns, found.st_size)
        if identity != self._read_as:
            # Others of the group are let in: Kubernetes gives a volume's files to a group.
            if found.st_mode & 0o007:
                raise InvalidInput(f"others may read {self.path.name}", hint=f"chmod 600 {self.path}")
            self._keys = {e["kid"]: _checked(e["kid"], e["secret"], self.path.name) for e in self._entries()}
            self._read_as = identity
        return self._keys

    def listed(self) -> list[tuple[str, str]]:
        """Return id and time of making of each key, the signing one first."""
        self.keys()
        return [(entry["kid"], entry["created_at"]) for entry in self._entries()]

    def rotate(self) -> str:
        """Let a new key sign, and return its id; remove those that signed nothing which is still good."""
        with self._changing() as entries:
            replaced = [datetime.now(UTC), *(datetime.fromisoformat(entry["created_at"]) for entry in entries)]
            entries[:] = [entry for entry, at in zip(entries, replaced, strict=False) if datetime.now(UTC) - at < KEPT]
            entries.insert(0, _new())
            return str(entries[0]["kid"])

    def retire(self, kid: str) -> None:
        """Remove a key: what it signed is refused from now on.

        Raises
        ------
        NotFound
            There is no such key.
        Conflict
            It is the one that signs.
        """
        with self._changing() as entries:
            known = [entry["kid"] for entry in entries]
            if kid not in known:
                raise NotFound(f"there is no key {kid!r}", hint="sbf keys list shows all", kid=kid)
            if kid == known[0]:
                raise Conflict(f"the key {kid!r} signs", hint="sbf keys rotate puts a new one in its place", kid=kid)
            del entries[known.index(kid)]

    def _entries(self) -> list[dict[str, Any]]:
        try:
            entries: list[dict[str, Any]] = json.loads(self.path.read_bytes())["keys"]
            _ = [(entry["kid"], entry["secret"], datetime.fromisoformat(entry["created_at"])) for entry in entries]
            if not entries:
                raise ValueError
            return entries
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreUnavailable(
                f"cannot read {self.path.name}: {error.strerror}", hint="check its rights"
            ) from error
        except (ValueError, TypeError, KeyError) as error:
            raise InvalidInput(
                f"{self.path.name} is damaged", hint=f"remove {self.path}: all will have to sign in again"
            ) from error

    @contextmanager
    def _changing(self) -> Iterator[list[dict[str, Any]]]:
        """Yield the entries to be changed, while no other process changes them; readers see the old or the new file."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.with_suffix(".lock").open("ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                entries = self._entries()
                yield entries
                self._replace(json.dumps({"keys": entries}, indent=1).encode())
        except OSError as error:
            raise StoreUnavailable(
                f"cannot write {self.path.name}: {error.strerror}",
                hint="set SBF_SIGNING_KEYS, or check the home's rights",
            ) from error

    def _replace(self, content: bytes) -> None:
        draft = self.path.with_suffix(f".{os.getpid()}.{secrets.token_hex(4)}")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path)
        finally:
            draft.unlink(missing_ok=True)


def _new() -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "kid": f"{now:%Y-%m-%d}-{secrets.token_hex(4)}",
        "secret": secrets.token_urlsafe(48),
        "created_at": now.isoformat(),
    }
