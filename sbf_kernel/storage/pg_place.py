"""Where the embedded server keeps its files, and which system user it runs as.

::

    <home>/postgres/           "base"; elsewhere when the server's user cannot reach it, see LOCATION
    ├── data/                  the PostgreSQL data directory
    ├── run/                   0700: the socket, start.lock, server.lock, keeper.lock, wake
    │   └── leases/            one locked file per process that uses the server
    ├── server.log             what the server says
    ├── checked                the machine and binaries that passed the CPU check
    └── LOCATION               only if base is elsewhere: where

PostgreSQL refuses to run as root. Root therefore starts it as the owner of the data, or as ``postgres`` or
``nobody``. Modes of directories that exist already are never changed: a home that such a user cannot enter
(root's own, usually) keeps its database in ``/var/lib/sbf`` instead.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from sbf_kernel.errors import StoreUnavailable

RELOCATED = Path("/var/lib/sbf")
"""Where root's databases go when the server's user cannot reach the home directory."""

PORT = 5432
_SOCKET_NAME = f".s.PGSQL.{PORT}"
_MAX_SOCKET_BYTES = 100
"""Longest socket path used: Linux allows 107 bytes, macOS 103."""

_PLAIN = re.compile(r"^/[\w/ .@+=:~-]*$")
"""Paths that need no escaping in PostgreSQL's and libpq's comma-separated lists."""


@dataclass(frozen=True)
class ServerUser:
    """The system user the server runs as, when it is not the present one.

    Parameters
    ----------
    uid, gid
        Numeric user and group.
    """

    uid: int
    gid: int

    @property
    def pair(self) -> tuple[int, int]:
        """``(uid, gid)``, as ``chown`` wants it."""
        return self.uid, self.gid


@dataclass(frozen=True)
class Place:
    """The files of one embedded server.

    Parameters
    ----------
    home
        The SBF home it belongs to.
    base
        Directory that holds everything.
    socket_dir
        Directory of the socket: ``base/run``, or a short one if that path is too long for a socket.
    user
        Who the server runs as; ``None`` means the present user.
    """

    home: Path
    base: Path
    socket_dir: Path
    user: ServerUser | None

    @property
    def data(self) -> Path:
        """The PostgreSQL data directory."""
        return self.base / "data"

    @property
    def run(self) -> Path:
        """Directory of locks and, normally, the socket."""
        return self.base / "run"

    @property
    def leases(self) -> Path:
        """Directory of the lease files."""
        return self.run / "leases"

    @property
    def log(self) -> Path:
        """File the server writes its messages to."""
        return self.base / "server.log"

    @property
    def socket(self) -> Path:
        """The socket the server listens on."""
        return self.socket_dir / _SOCKET_NAME

    @property
    def owner(self) -> tuple[int, int] | None:
        """``(uid, gid)`` that files for the server are given to; ``None``: no need."""
        return self.user.pair if self.user else None

    def conninfo(self, dbname: str) -> str:
        """Return a libpq keyword string for ``dbname``."""
        host = str(self.socket_dir).replace("\\", "\\\\").replace("'", "\\'")
        host = f"'{host}'" if " " in host else host
        return f"host={host} port={PORT} user=postgres dbname={dbname}"


def locate(home: Path) -> Place:
    """Find where the database of ``home`` is, or is going to be.

    Parameters
    ----------
    home
        SBF home directory; need not exist.

    Returns
    -------
    Place
        The same answer for every process of the same user.

    Raises
    ------
    StoreUnavailable
        The recorded location is gone, or root has no user to run the server as.
    """
    home = Path(os.path.realpath(os.path.expanduser(home)))
    wanted = home / "postgres"
    base = _recorded(wanted)
    user: ServerUser | None = None
    if os.geteuid() == 0:
        user = _server_user(base or wanted)
        if base is None and not (wanted / "data").exists() and not can_enter(wanted, user):
            base = RELOCATED / _digest(wanted)
    base = base or wanted
    return Place(home, base, _socket_dir(base), user)


def _recorded(wanted: Path) -> Path | None:
    record = wanted / "LOCATION"
    try:
        base = Path(record.read_text(encoding="utf-8").strip())
    except FileNotFoundError:
        return None
    if not (base / "data").is_dir():
        raise StoreUnavailable(
            f"The database of {wanted.parent} was kept in {base}, and is not there",
            hint=f"restore {base}, or delete {record} to start with an empty database",
        )
    return base


def record_location(place: Place) -> None:
    """Note in the home where its database is, if that is not inside it."""
    wanted = place.home / "postgres"
    if place.base != wanted:
        write_atomically(wanted / "LOCATION", f"{place.base}\n", None)


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]


def _socket_dir(base: Path) -> Path:
    directory = base / "run"
    fits = len(os.fsencode(directory / _SOCKET_NAME)) <= _MAX_SOCKET_BYTES
    if fits and _PLAIN.match(str(directory)):
        return directory
    # Not $TMPDIR or $XDG_RUNTIME_DIR: every process of this user must come to the same answer.
    return Path("/tmp") / f"sbf-{_digest(base)}"  # noqa: S108 - _check_private() refuses a foreign one


def _server_user(base: Path) -> ServerUser:
    import pwd

    try:
        found = (base / "data").stat()
        if found.st_uid != 0:
            return ServerUser(found.st_uid, found.st_gid)
    except FileNotFoundError:
        pass
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return ServerUser(entry.pw_uid, entry.pw_gid)
    raise StoreUnavailable(
        "PostgreSQL does not run as root, and there is no user 'postgres' or 'nobody' to run it as",
        hint="run as another user, add a user 'postgres', or set SBF_DATABASE_URL",
    )


def can_enter(path: Path, user: ServerUser) -> bool:
    """Tell whether ``user`` could enter a directory made at ``path`` (root only).

    Asks the kernel by trying, because mode bits do not tell the whole story (ACLs, mounts).
    """
    while not path.exists():
        path = path.parent
    directory = path if path.is_dir() else path.parent
    return run_as(user, ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(directory)])


def run_as(user: ServerUser, command: list[str]) -> bool:
    """Run ``command`` as ``user`` and return whether it ran and succeeded.

    Raises
    ------
    StoreUnavailable
        This root process is not allowed to change users.
    """
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments
            command,
            user=user.uid,
            group=user.gid,
            extra_groups=[],
            cwd="/",
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except PermissionError as error:
        if _may_change_user():
            return False  # the program itself is out of reach
        raise StoreUnavailable(
            f"PostgreSQL does not run as root, and this process may not become user {user.uid}: {error}",
            hint="run as another user, or set SBF_DATABASE_URL",
        ) from error
    return done.returncode == 0


def _may_change_user() -> bool:
    try:
        text = Path("/proc/self/status").read_text(encoding="utf-8")
        mask = int(re.findall(r"^CapEff:\s*([0-9a-f]+)", text, re.MULTILINE)[0], 16)
    except (OSError, IndexError):
        return True  # no Linux capabilities here: root may
    return bool(mask >> 7 & 1)  # CAP_SETUID


def prepare(place: Place) -> None:
    """Create the directories of ``place`` that are missing.

    Raises
    ------
    StoreUnavailable
        A directory cannot be made or belongs to another user.
    """
    passable = 0o700 if place.user is None else 0o711  # the server's user must get through, not look around
    try:
        for directory in dict.fromkeys([place.home, place.home / "postgres", RELOCATED, place.base]):
            if directory == RELOCATED and RELOCATED not in place.base.parents:
                continue
            make_directory(directory, passable, None)
        for directory in (place.run, place.leases):
            make_directory(directory, 0o700, place.owner)
        if place.socket_dir != place.run:
            make_directory(place.socket_dir, 0o700, place.owner)
            _check_private(place)
        if not (place.run / "wake").exists():
            _make_fifo(place)
    except OSError as error:
        raise StoreUnavailable(
            f"Cannot prepare the directory of the database in {place.base}: {error}",
            hint="make it writable for this user, or set SBF_HOME to a directory that is",
        ) from error
    _check_owner(place)


def make_directory(directory: Path, mode: int, owner: tuple[int, int] | None) -> None:
    """Create a directory, and its parents, with exactly this mode whatever the umask is."""
    if directory.is_dir():
        return
    make_directory(directory.parent, mode, None)
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode)
        give(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC), mode, owner)


def give(fd: int, mode: int, owner: tuple[int, int] | None) -> None:
    """Set mode and owner of an open file or directory, and close it.

    By descriptor: root may work in a directory of a user, who could swap a path for a link meanwhile.
    """
    try:
        os.fchmod(fd, mode)
        if owner is not None:
            os.fchown(fd, *owner)
    finally:
        os.close(fd)


def open_private(path: Path, flags: int, owner: tuple[int, int] | None) -> int:
    """Open a file for writing, created for the server's user alone when missing; never through a link."""
    fd = os.open(path, flags | os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    if owner is not None:
        os.fchown(fd, *owner)
    return fd


def _make_fifo(place: Place) -> None:
    try:
        os.mkfifo(place.run / "wake", 0o600)
    except FileExistsError:
        return
    if place.owner is not None:
        os.chown(place.run / "wake", *place.owner, follow_symlinks=False)


def _check_private(place: Place) -> None:
    found = os.lstat(place.socket_dir)
    allowed = {place.user.uid if place.user else os.geteuid()}
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in allowed or found.st_mode & 0o077:
        raise StoreUnavailable(
            f"{place.socket_dir}, where the socket of the database belongs, is not a private directory of this user",
            hint="remove it, or set SBF_HOME to a shorter path",
        )


def _check_owner(place: Place) -> None:
    for directory in (place.data, place.run):
        try:
            owner = directory.stat().st_uid
        except FileNotFoundError:
            continue
        wanted = place.user.uid if place.user else os.geteuid()
        if owner != wanted:
            raise StoreUnavailable(
                f"{directory} belongs to user {owner}, the database would run as user {wanted}",
                hint=f"run as user {owner}, give it away with 'chown -R {wanted} {directory}', or set SBF_HOME",
            )


def write_atomically(path: Path, text: str, owner: tuple[int, int] | None) -> None:
    """Write ``text`` to ``path`` so that a reader sees all of it or the former content."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(open_private(temporary, os.O_EXCL, owner), "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)
