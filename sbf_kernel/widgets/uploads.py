"""Files that arrive from the browser in pieces.

A message of more than 10 MB is lost between browser and kernel without a
word, so files come in pieces of at most 1 MB, each acknowledged by its reply.
"""

from __future__ import annotations

import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, Any

from sbf_kernel.display.escaping import clean, one_line
from sbf_kernel.errors import InvalidInput, NotFound, SourceTooLarge

PIECE_BYTES = 1 << 20
"""Longest piece that is taken."""
IN_MEMORY_BYTES = 8 << 20
"""Larger files are kept on disk until they are whole."""
MOST = 64
"""Files that may be on their way at once."""


@dataclass
class Upload:
    """A file on its way."""

    name: str
    path: str
    media_type: str
    size: int
    file: IO[bytes] = field(default_factory=lambda: _spooled())
    got: int = 0


def _spooled() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)


class Uploads:
    """The files of one widget that are on their way.

    Parameters
    ----------
    limit_mb
        Largest file that is taken.
    """

    def __init__(self, limit_mb: int) -> None:
        self._limit_mb = limit_mb
        self._open: dict[str, Upload] = {}
        self._lock = threading.Lock()

    def begin(self, key: str, path: str, size: int, media_type: str) -> None:
        """Expect a file of ``size`` bytes.

        Raises
        ------
        SourceTooLarge
            It is larger than the settings allow.
        InvalidInput
            Too many are on their way.
        """
        path = "/".join(part for part in PurePosixPath(clean(path)).parts if part not in ("/", "..", "."))
        name = one_line(path.rpartition("/")[2])[:300] or "file"
        if size > self._limit_mb << 20:
            raise SourceTooLarge(
                f"{name} has {size >> 20} MB, more than {self._limit_mb}", hint="split it, or set SBF_MAX_SOURCE_MB"
            )
        with self._lock:
            if len(self._open) >= MOST:
                raise InvalidInput(f"{MOST} files are on their way already", hint="wait until some have arrived")
            self._open[key] = Upload(name, path[:3_000] or name, one_line(media_type)[:200], size)

    def take(self, key: str, at: int, piece: bytes) -> int:
        """Add the piece that begins at byte ``at`` and return how many bytes are here; the same piece twice counts once.

        Raises
        ------
        NotFound
            Nothing was begun, or it was dropped.
        InvalidInput
            The piece is too long, or not the next one.
        """
        upload = self._get(key)
        if len(piece) > PIECE_BYTES or at > upload.got or at + len(piece) > upload.size:
            raise InvalidInput(f"a piece of {upload.name} does not fit", hint="drop the file again")
        if at == upload.got:
            upload.file.write(piece)
            upload.got += len(piece)
        return upload.got

    def finish(self, key: str) -> tuple[Upload, bytes]:
        """Return a file that is whole, and forget it.

        Raises
        ------
        InvalidInput
            Something is missing.
        """
        upload = self._get(key)
        if upload.got != upload.size:
            raise InvalidInput(f"{upload.name} has arrived in part only", hint="drop the file again")
        with self._lock:
            del self._open[key]
        with upload.file as file:
            file.seek(0)
            return upload, file.read()

    def drop(self, key: str) -> None:
        """Forget a file; one that is not there is forgotten already."""
        with self._lock:
            upload = self._open.pop(key, None)
        if upload is not None:
            upload.file.close()

    def _get(self, key: Any) -> Upload:
        with self._lock:
            found = self._open.get(key)
        if found is None:
            raise NotFound("this file is not on its way", hint="drop it again")
        return found
