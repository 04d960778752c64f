"""Raw bytes of sources, stored by what they contain (SHA-256), never overwritten."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from sbf_kernel.errors import StoreError


class Blobs:
    """A folder of immutable files named by their SHA-256."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, sha256: bytes) -> Path:
        """Return where the blob lies (whether or not it exists)."""
        name = sha256.hex()
        return self._root / name[:2] / name

    def put(self, content: bytes) -> bytes:
        """Store ``content`` durably and return its SHA-256 (32 bytes). Atomic; the same content costs nothing.

        Raises
        ------
        StoreError
            Disk full or not writable.
        """
        digest = hashlib.sha256(content).digest()
        target = self.path(digest)
        if target.exists():
            return digest
        try:
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
                try:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                    os.replace(file.name, target)
                except BaseException:
                    os.unlink(file.name)
                    raise
        except OSError as error:
            raise StoreError(
                f"cannot store {len(content)} bytes in {self._root}: {error.strerror or error}",
                hint="free disk space or set SBF_HOME to another place",
            ) from error
        return digest

    def get(self, sha256: bytes) -> bytes:
        """Return the content.

        Raises
        ------
        StoreError
            The blob is gone.
        """
        try:
            return self.path(sha256).read_bytes()
        except OSError as error:
            raise StoreError(
                f"the raw file {sha256.hex()[:12]}… is missing from {self._root}",
                hint="add the source again from its original",
            ) from error
