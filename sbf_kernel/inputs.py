"""What people hand to ``add()`` → single sources: files, folders, globs, URLs, DataFrames, texts."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sbf_kernel.errors import InvalidInput, SourceBroken

if TYPE_CHECKING:
    import pandas as pd

Thing = "str | os.PathLike[str] | pd.DataFrame"

# Never what somebody means by "this folder".
_SKIPPED_FOLDERS = {"__pycache__", "node_modules", "site-packages"}


@dataclass(frozen=True)
class Input:
    """One source to add: ``url``, or bytes at ``path`` or in ``content``."""

    name: str
    origin: str
    path: Path | None = None
    content: bytes | None = None
    url: str | None = None
    media_type: str = ""

    def read(self) -> bytes | None:
        """Return the bytes, or None for a URL.

        Raises
        ------
        SourceBroken
            The file cannot be read.
        """
        if self.path is None:
            return self.content
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise SourceBroken(
                f"{self.name} cannot be read: {error.strerror or error}", hint="check the file's permissions"
            ) from error


def gather(things: tuple[Any, ...], scope: str) -> list[Input]:
    """Return the single sources that ``things`` mean, in order, each once.

    Parameters
    ----------
    things
        Paths, folders (with all below, without hidden files), globs with
        ``**``, ``http(s)`` URLs and DataFrames.
    scope
        What makes the origin of nameless things unique, such as a notebook id.

    Raises
    ------
    InvalidInput
        A path that does not exist, a glob or folder without files, or an object of an unknown kind.
    """
    found: dict[str, Input] = {}
    for thing in things:
        for item in _inputs(thing, scope):
            found.setdefault(item.origin, item)
    return list(found.values())


def _inputs(thing: Any, scope: str) -> Iterator[Input]:
    if isinstance(thing, Input):
        yield thing
    elif isinstance(thing, str) and thing.partition("://")[0].lower() in ("http", "https"):
        yield Input(thing[:300], thing, url=thing)
    elif isinstance(thing, str | os.PathLike):
        yield from _from_path(os.fspath(thing))
    elif hasattr(thing, "to_csv") and hasattr(thing, "columns"):
        yield from_frame(thing, "", scope)
    else:
        raise InvalidInput(
            f"cannot add a {type(thing).__name__}",
            hint="give paths, folders, globs, URLs or DataFrames; text goes to add_text()",
        )


def _from_path(text: str) -> Iterator[Input]:
    if not text.strip():
        raise InvalidInput("an empty path", hint="give '.' for the present folder")
    try:
        files = _files(Path(text).expanduser())
    except (OSError, RuntimeError, ValueError) as error:  # too long, not permitted, a user nobody knows, a NUL
        raise InvalidInput(
            f"{_shown(text)[:80]} cannot be looked up: {getattr(error, 'strerror', None) or error}",
            hint="give a path; text goes to add_text()",
        ) from error
    if not files:
        problem = "has no files in it" if Path(text).expanduser().is_dir() else "does not exist"
        raise InvalidInput(f"{_shown(text)} {problem}", hint="check the path; a glob such as docs/**/*.md works too")
    for file in files:
        absolute = file.absolute()
        yield Input(_shown(file.name), absolute.as_uri(), path=absolute)


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return list(_walk(path))
    if path.is_file():
        return [path]
    if path.exists():
        raise InvalidInput(
            f"{_shown(str(path))} is neither a file nor a folder",
            hint="pipes and devices have no end that SBF could wait for",
        )
    return sorted(match for match in map(Path, glob.glob(str(path), recursive=True)) if match.is_file())


def _shown(name: str) -> str:
    """Return a file name that was not UTF-8 with its odd bytes replaced."""
    return os.fsencode(name).decode("utf-8", "replace")


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):  # does not follow links: no cycles
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SKIPPED_FOLDERS)
        yield from (
            Path(root, name) for name in sorted(files) if not name.startswith(".") and Path(root, name).is_file()
        )


def from_text(text: str, name: str, scope: str) -> Input:
    """Return a text as a source. The same ``name`` in the same notebook again is a new version."""
    if not name:
        raise InvalidInput("a text needs a name", hint="add_text(text, name='Interview 1')")
    return Input(name, f"text:{scope}/{name}", content=text.encode("utf-8", "replace"), media_type="text/plain")


def from_frame(frame: pd.DataFrame, name: str, scope: str) -> Input:
    """Return a DataFrame as a table source; citations will name its rows."""
    named_index = frame.index.name is not None or frame.index.nlevels > 1
    content = frame.to_csv(index=named_index).encode("utf-8", "replace")
    name = name or f"table {hashlib.sha256(content).hexdigest()[:8]}"
    return Input(name, f"table:{scope}/{name}", content=content, media_type="text/csv")


def from_sql(query: str, connection: Any, name: str, scope: str) -> Input:
    """Return the result of a query as a table source.

    Parameters
    ----------
    connection
        Anything :func:`pandas.read_sql` takes: a SQLAlchemy engine, a URL, a DB-API connection.
    """
    try:
        import pandas as pd
    except ImportError as error:
        from sbf_kernel.errors import MissingExtra

        raise MissingExtra("pandas is not installed", hint="pip install pandas") from error
    return from_frame(pd.read_sql(query, connection), name or query[:80], scope)
