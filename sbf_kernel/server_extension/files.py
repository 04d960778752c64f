"""Files of the file browser as sources: what it shows may be added, nothing else on the disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sbf_kernel.errors import Conflict, Forbidden, InvalidInput, NotFound, SourceTooLarge

if TYPE_CHECKING:
    from jupyter_server.services.contents.manager import ContentsManager

    from sbf_kernel.inputs import Input

MAX_FILES = 5_000
"""Files in the folders of one request."""


def gather_files(contents: ContentsManager, path: str) -> list[Input]:
    """Return the sources that an entry of the file browser means: a file, or all files in a folder.

    Parameters
    ----------
    path
        Path inside the contents root, with ``/``.

    Raises
    ------
    NotFound
        There is no such file, or it is hidden and the server shows no hidden files.
    Forbidden
        It leads out of the contents root.
    Conflict
        This server keeps its files elsewhere than on disk.
    """
    from sbf_kernel.inputs import gather

    root, place = _resolve(contents, path)
    inputs = [item for item in gather((place,), "") if item.path and _is_shown(contents, root, item.path)]
    if len(inputs) > MAX_FILES:
        raise InvalidInput(
            f"{path} holds {len(inputs)} files", hint=f"add at most {MAX_FILES} at once, or use nb.add() in a kernel"
        )
    return inputs


def read_file(item: Input, limit_mb: int) -> bytes | None:
    """Return the bytes of a source.

    Raises
    ------
    SourceTooLarge
        It is larger than ``limit_mb``: told before it fills the memory of the server.
    SourceBroken
        It cannot be read.
    """
    if item.path is not None and item.path.is_file() and item.path.stat().st_size > limit_mb << 20:
        raise SourceTooLarge(f"{item.name} has more than {limit_mb} MB", hint="split it, or set SBF_MAX_SOURCE_MB")
    return item.read()


def _resolve(contents: ContentsManager, path: str) -> tuple[Path, Path]:
    """Return the contents root and the place a path means, both without links."""
    from jupyter_server.services.contents.fileio import FileManagerMixin

    if not isinstance(contents, FileManagerMixin):
        raise Conflict(
            f"{path} is not on the disk of this Jupyter server", hint="download it and upload it in the sidebar"
        )
    root = Path(contents.root_dir).resolve()
    asked = root / path.strip("/")
    try:
        place = asked.resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:  # not there, a circle of links, a NUL
        raise NotFound(f"there is no file {path!r}", hint="refresh the file browser") from error
    if not place.is_relative_to(root) or ".." in asked.parts:
        raise Forbidden(f"{path!r} leads out of the folder of this Jupyter server", hint="copy it there first")
    if not _is_shown(contents, root, asked):
        raise NotFound(f"there is no file {path!r}", hint="refresh the file browser")
    return root, place


def _is_shown(contents: ContentsManager, root: Path, path: Path) -> bool:
    """Tell whether a path, and what it leads to, is inside the root and not hidden."""
    from jupyter_core.paths import is_hidden

    place = path.resolve()
    return place.is_relative_to(root) and (
        contents.allow_hidden or not any(is_hidden(str(it), str(root)) for it in (path, place))
    )
