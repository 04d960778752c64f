"""Bring one PostgreSQL server up, and tell whether it answers."""

from __future__ import annotations

import enum
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sbf_kernel.errors import StoreUnavailable
from sbf_kernel.storage import pg_binaries, pg_locks
from sbf_kernel.storage.pg_init import SYNC, environment, initialise, tail
from sbf_kernel.storage.pg_place import PORT, Place, open_private

if TYPE_CHECKING:
    from sbf_kernel.storage.pg_binaries import Binaries

PATIENCE_SECONDS = 300.0
"""Longest wait for crash recovery, or for another process that starts the server."""

EVICT_SECONDS = 3.0
"""How long processes of a server that does not answer may end by themselves."""

MAINTENANCE_MB = 192
"""Memory for building an index; a parallel HNSW build takes it out of shared memory."""

MIN_SHARED_MB = MAINTENANCE_MB + 64
"""Below this much free room in /dev/shm (Docker gives 64 MB) shared segments are files instead."""

MAX_LOG_BYTES = 5_000_000

START_ATTEMPTS = 3
"""A start that somebody kills (out of memory, an impatient user) is tried again; one that fails is not."""


class _Killed(StoreUnavailable):
    """Keeper or server ended during the start without giving a reason."""


class State(enum.Enum):
    """What a server answers."""

    READY = "ready"
    BUSY = "busy"
    """Starting, recovering or shutting down."""
    ABSENT = "absent"


def probe(path: Path, seconds: float = 5.0) -> State:
    """Ask the server at a socket whether it serves.

    Speaks the first message of the PostgreSQL protocol itself: takes milliseconds, needs no driver.

    Parameters
    ----------
    path
        The socket.
    seconds
        Longest wait for an answer.
    """
    request = b"user\0postgres\0database\0postgres\0application_name\0sbf-probe\0\0"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        try:
            connection.connect(str(path))
            connection.sendall(struct.pack("!ii", len(request) + 8, 196_608) + request)
            answer = _first_answer(connection)
        except TimeoutError:
            return State.BUSY
        except OSError:
            return State.ABSENT
    if not answer:
        return State.ABSENT
    return State.BUSY if answer[:1] == b"E" and b"C57P03\0" in answer else State.READY


def _first_answer(connection: socket.socket) -> bytes:
    """Read until the server is ready for a query or has refused; then say goodbye."""
    answer = b""
    while part := connection.recv(8192):
        answer += part
        if answer[-6:-1] == b"Z\0\0\0\5":
            connection.sendall(b"X\0\0\0\4")
            break
    return answer


def ensure_up(place: Place) -> bool:
    """Make sure a server serves ``place`` and a keeper watches it.

    The caller holds ``start.lock`` and a lease.

    Returns
    -------
    bool
        Whether the server was started just now.

    Raises
    ------
    StoreUnavailable
        It does not start; the message quotes the server's log.
    """
    for attempt in range(1, START_ATTEMPTS + 1):
        try:
            return _try_up(place)
        except _Killed:
            if attempt == START_ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def _try_up(place: Place) -> bool:
    guard: pg_locks.FileLock | None = None
    if probe(place.socket) is not State.READY:
        guard = _wait_for_silence(place)
    if guard is None:
        ensure_keeper(place)
        return False
    with guard:
        binaries = pg_binaries.for_user(pg_binaries.find(), place.user)
        if not (place.data / "PG_VERSION").exists():
            initialise(place, binaries, guard)
        _start(place, binaries, guard)
    return True


def _wait_for_silence(place: Place) -> pg_locks.FileLock | None:
    """Wait until no process of a former server is alive, and return that lock; ``None``: one serves after all."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    evict_at = time.monotonic() + EVICT_SECONDS
    while (guard := pg_locks.try_lock(place.run / "server.lock", place.owner)) is None:
        state = probe(place.socket)
        if state is State.READY:
            return None
        now = time.monotonic()
        if state is State.BUSY:
            evict_at = now + EVICT_SECONDS
        elif now > evict_at:
            _evict(place)
            evict_at = now + EVICT_SECONDS
        if now > deadline:
            raise StoreUnavailable(
                f"Processes of a former server still use {place.data}, and none of them answers on {place.socket}",
                hint=f"see {place.log}; if the directory is shared with another machine, stop SBF there",
            )
        time.sleep(0.02)
    return guard


def server_pids(data: Path) -> list[int]:
    """Return the processes that work in the data directory (Linux: all; elsewhere: the postmaster)."""
    if not Path("/proc/self").exists():
        pid = recorded_pid(data)
        return [pid] if pid and _is_postgres(pid) else []
    wanted = os.path.realpath(data)
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            program = str((process / "exe").readlink()).removesuffix(" (deleted)")
            if program.endswith("/postgres") and str((process / "cwd").readlink()) == wanted:
                found.append(int(process.name))
        except OSError:
            continue  # ended meanwhile, or belongs to somebody else
    return found


def recorded_pid(data: Path) -> int | None:
    """Return the pid in ``postmaster.pid``, which may be long dead or another program's by now."""
    try:
        return int((data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def _is_postgres(pid: int) -> bool:
    command = ["/bin/ps", "-o", "comm=", "-p", str(pid)]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    return shown.stdout.strip().endswith("postgres")


def _evict(place: Place) -> None:
    """End what is left of a server nobody can reach: it lost its socket, or its postmaster."""
    pids = server_pids(place.data)
    postmaster = recorded_pid(place.data)
    if postmaster in pids:
        os.kill(postmaster, signal.SIGINT)
        if pg_locks.wait_until(lambda: not server_pids(place.data), 20, 0.05):
            return
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def options(place: Place, free_shared_mb: float | None = None) -> dict[str, str]:
    """Return the server's settings: for one laptop and bulk loads, and never at the price of durability.

    Parameters
    ----------
    place
        The server's files.
    free_shared_mb
        Free room in /dev/shm in MB; looked up when not given.
    """
    free = _free_shared_mb() if free_shared_mb is None else free_shared_mb
    return {
        "listen_addresses": "",
        "port": str(PORT),
        "unix_socket_directories": f'"{place.socket_dir}"',
        "unix_socket_permissions": "0700",
        "max_connections": "50",
        "shared_buffers": "256MB" if _memory_mb() > 3500 else "128MB",
        "huge_pages": "off",
        "dynamic_shared_memory_type": "posix" if free >= MIN_SHARED_MB else "mmap",
        "maintenance_work_mem": f"{MAINTENANCE_MB}MB",
        "max_parallel_workers_per_gather": "0",
        "jit": "off",
        "fsync": "on",
        "full_page_writes": "on",
        "recovery_init_sync_method": SYNC,
        "synchronous_commit": "on",
        "max_wal_size": "2GB",
        "checkpoint_timeout": "15min",
        "wal_compression": "on",
        "autovacuum": "on",
        "max_logical_replication_workers": "0",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_destination": "stderr",
        "logging_collector": "off",
        "log_min_messages": "warning",
        "log_checkpoints": "off",
        "log_autovacuum_min_duration": "-1",
        "restart_after_crash": "on",
    }


def _memory_mb() -> float:
    """Return the memory of this machine in MB; a guess where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20
    except (OSError, ValueError):
        return 8_000.0


def _free_shared_mb() -> float:
    """Return the free room for POSIX shared memory in MB; systems without /dev/shm but macOS have none."""
    try:
        found = os.statvfs("/dev/shm")  # noqa: S108 - only asked how much room it has
    except OSError:
        return float("inf") if sys.platform == "darwin" else 0.0
    return found.f_bavail * found.f_frsize / 2**20


def _start(place: Place, binaries: Binaries, guard: pg_locks.FileLock) -> None:
    """Start keeper and server and wait until it serves."""
    settings = [part for name, value in options(place).items() for part in ("-c", f"{name}={value}")]
    command = [binaries.program("postgres"), "-D", str(place.data), *settings]
    env = environment(binaries.library_path)
    stale = _clear_traces(place)
    if stale is not None:
        env["PG_GRANDPARENT_PID"] = str(stale)
    begin = _trim_log(place)
    _spawn_keeper(place, env, command, guard)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (_says_ready(place, stale) and probe(place.socket) is State.READY):
        if not pg_locks.is_held(place.run / "keeper.lock"):
            raise _start_failure(place, begin)
        if time.monotonic() > deadline:
            raise StoreUnavailable(
                f"The database in {place.data} did not become ready in {PATIENCE_SECONDS:.0f} s",
                hint=f"it may be recovering from a crash: see {place.log} and try again",
            )
        time.sleep(0.004)


def _clear_traces(place: Place) -> int | None:
    """Remove what a crashed server left, so that a new one is not refused.

    PostgreSQL takes its own stale ``postmaster.pid`` for a running server when the pid in it was given to
    another process, or is a zombie. ``server.lock`` proves that nothing of the server lives. The file stays,
    since PostgreSQL frees the old shared memory by it; returned is the pid to tell PostgreSQL to ignore
    (it does so for the pid in PG_GRANDPARENT_PID; source: PostgreSQL, miscinit.c, CreateLockFile).
    """
    pid = recorded_pid(place.data)
    if pid is not None and pid in server_pids(place.data):
        raise StoreUnavailable(
            f"A PostgreSQL server that SBF did not start (pid {pid}) uses {place.data}",
            hint="stop it, for example with 'pg_ctl stop', and try again",
        )
    place.socket.with_name(place.socket.name + ".lock").unlink(missing_ok=True)
    place.socket.unlink(missing_ok=True)
    return pid


def _trim_log(place: Place) -> int:
    """Put a log that has become long aside; return the length of the present one in bytes."""
    size = place.log.stat().st_size if place.log.exists() else 0
    if size > MAX_LOG_BYTES:
        place.log.replace(place.log.with_name("server.log.1"))
        return 0
    return size


def _says_ready(place: Place, stale: int | None) -> bool:
    """Look at the status in ``postmaster.pid`` first: asking too early only fills the log with refusals."""
    try:
        lines = (place.data / "postmaster.pid").read_text(encoding="utf-8").split("\n")
    except OSError:
        return False
    return len(lines) > 7 and lines[0] != str(stale) and lines[7].strip() == "ready"


def _start_failure(place: Place, begin: int) -> StoreUnavailable:
    said = tail(place.log, begin)
    hint = f"see {place.log}; SBF_DATABASE_URL uses another server instead"
    if "incompatible with server" in said:
        version = (place.data / "PG_VERSION").read_text(encoding="utf-8").strip()
        hint = f"install binaries of PostgreSQL {version}, or export the data with them and import it again"
    kind = StoreUnavailable if re.search("FATAL|PANIC|Error", said) else _Killed
    return kind(f"The database in {place.data} does not start: {said}", hint=hint)


def ensure_keeper(place: Place) -> None:
    """Give a running server a keeper again if its own was killed."""
    if not pg_locks.is_held(place.run / "keeper.lock"):
        _spawn_keeper(place, environment(), [], None)


def _spawn_keeper(place: Place, env: dict[str, str], command: list[str], guard: pg_locks.FileLock | None) -> None:
    """Start the keeper (watchdog.py) with its lock already taken; it detaches at once."""
    lock = pg_locks.wait_lock(place.run / "keeper.lock", 5, place.owner)
    if lock is None:
        raise StoreUnavailable(
            f"The keeper of the database in {place.base} does not end", hint="wait a moment and try again"
        )
    uid, gid = place.owner or (-1, -1)
    script = Path(__file__).with_name("watchdog.py")
    run = os.open(place.run, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fds = [run, lock.fd, guard.fd if guard else -1]
    arguments = [_python(), "-I", "-S", "-E", str(script), str(place.data), str(uid), str(gid), *map(str, fds)]
    try:
        with lock, os.fdopen(open_private(place.log, os.O_APPEND, place.owner), "ab") as log:
            done = subprocess.run(  # noqa: S603 - our own arguments
                arguments + command,
                env=env,
                cwd="/",
                check=False,
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[fd for fd in fds if fd >= 0],
            )
    finally:
        os.close(run)
    if done.returncode != 0:
        kind = _Killed if done.returncode < 0 else StoreUnavailable
        raise kind(
            f"The keeper of the database in {place.base} does not start (exit code {done.returncode})",
            hint=f"see {place.log}",
        )


def _python() -> str:
    """Return a Python to run the keeper with; ``sys.executable`` is another program when Python is embedded."""
    own = f"python{sys.version_info.major}.{sys.version_info.minor}"
    candidates = [Path(prefix, "bin", own) for prefix in (sys.prefix, sys.base_prefix)]
    if Path(sys.executable or "").name.startswith("python"):
        candidates.insert(0, Path(sys.executable))
    for candidate in candidates:
        if os.access(candidate, os.X_OK):
            return str(candidate)
    found = shutil.which("python3")
    if found is None:
        raise StoreUnavailable("No Python program was found to watch over the database", hint="put python3 on PATH")
    return found
