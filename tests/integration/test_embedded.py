"""The embedded server against real processes: shared, killed, forked, interrupted, and never left behind."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import psutil
import psycopg
import pytest

from sbf_kernel.errors import StoreUnavailable, StoreUnsupportedCpu
from sbf_kernel.storage import embedded, pg_binaries, pg_locks, pg_place, pg_server

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(sys.platform == "win32", reason="the embedded server does not run on Windows"),
]
needs_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to change users")

CLIENT = """
import contextlib, os, signal, sys, time
from pathlib import Path
import psycopg
from sbf_kernel.storage.embedded import acquire

server = acquire(Path(sys.argv[1]))

def sql(text):
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        cursor = connection.execute(text)
        return cursor.fetchall() if cursor.description else None

signal.signal(signal.SIGINT, lambda *_: os.write(1, b"interrupted\\n"))
print("up", flush=True)
for line in sys.stdin:
    print(repr(eval(line)), flush=True)
"""


class Client:
    """A process that uses the server of a home and does what it is told."""

    started: ClassVar[list[Client]] = []

    def __init__(self, home: Path, **env: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", CLIENT, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **env},
        )
        self.started.append(self)

    def read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def up(self) -> Client:
        assert self.read() == "up"
        return self

    def do(self, expression: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(expression + "\n")
        self.process.stdin.flush()
        return self.read()

    def postmaster(self) -> int:
        return int(self.do("int((server.data_path / 'postmaster.pid').read_text().split()[0])"))

    def kill(self) -> None:
        self.process.kill()
        self.close()

    def close(self) -> int:
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        return self.process.wait(30)


def processes(home: Path) -> list[psutil.Process]:
    """Every living process that has to do with the server of ``home``."""
    base = str(pg_place.locate(home).base)
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
                continue
            command = process.cmdline()
            if command[1:2] == ["-c"] or command[1:4] == ["-W", "error", "-c"]:
                continue  # a client of these tests
            if any(base in part for part in command) or process.cwd().startswith(base):
                found.append(process)
    return found


def keeper(home: Path) -> psutil.Process:
    return next(process for process in processes(home) if any("watchdog.py" in part for part in process.cmdline()))


def assert_stops(home: Path, seconds: float = 8) -> None:
    assert pg_locks.wait_until(lambda: not processes(home), seconds, 0.05), processes(home)


@contextlib.contextmanager
def open_directory() -> Iterator[Path]:
    """A directory every user can enter (pytest's own is private)."""
    directory = Path(tempfile.mkdtemp(prefix="sbf-test-", dir="/tmp"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        for process in processes(directory / "home"):
            process.kill()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(autouse=True)
def no_client_left() -> Iterator[None]:
    """End the clients of a test that failed."""
    yield
    while Client.started:
        Client.started.pop().kill()


@pytest.fixture
def fresh() -> Iterator[Path]:
    """A home without a database."""
    with open_directory() as directory:
        yield directory / "home"


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A home with a database, for the tests that do not care how it came to be."""
    hostile = {
        "LANG": "tr_TR.UTF-8",
        "LC_COLLATE": "de_DE.UTF-8",
        "PGDATA": "/nowhere",
        "PGPORT": "1",
        "TZ": "Asia/Tokyo",
    }
    with open_directory() as directory, pytest.MonkeyPatch.context() as patch:
        for name, value in hostile.items():
            patch.setenv(name, value)
        embedded.acquire(directory / "home").release()
        yield directory / "home"


@pytest.fixture
def home(made: Path) -> Iterator[Path]:
    """The shared home, without a server before and after the test."""
    assert_stops(made, 2)
    yield made
    assert_stops(made)


def query(server: embedded.EmbeddedServer, text: str) -> object:
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        cursor = connection.execute(text)
        row = cursor.fetchone() if cursor.description else None
    return row[0] if row else None


# -- sharing and stopping ----------------------------------------------------------------------------------------


def test_three_processes_that_start_together_share_one_new_server(fresh: Path) -> None:
    clients = [Client(fresh) for _ in range(3)]
    for client in clients:
        client.up()
    assert len({client.postmaster() for client in clients}) == 1
    assert clients[0].do("sql('CREATE TABLE t AS SELECT 7 AS n')") == "None"
    assert [client.do("sql('SELECT n FROM t')") for client in clients] == ["[(7,)]"] * 3
    clients[0].kill()
    assert clients[1].close() == 0
    time.sleep(1.5)  # longer than the keeper's pause
    assert clients[2].do("sql('SELECT n FROM t')") == "[(7,)]"
    assert clients[2].close() == 0
    assert not pg_server.server_pids(pg_place.locate(fresh).data), "the last one out waits for the end"
    assert_stops(fresh, 2)


def test_last_client_killed_still_stops_the_server(home: Path) -> None:
    client = Client(home).up()
    server = client.postmaster()
    client.kill()
    assert_stops(home, 5)
    assert not psutil.pid_exists(server) or psutil.Process(server).status() == psutil.STATUS_ZOMBIE
    assert "database system is shut down" in (home / "postgres/server.log").read_text().splitlines()[-1]


def test_leases_of_one_process_count_once(home: Path) -> None:
    first, second = embedded.acquire(home), embedded.acquire(home)
    assert len(list((home / "postgres/run/leases").iterdir())) == 1
    first.release()
    first.release()
    assert query(second, "SELECT 1") == 1
    second.release()
    assert not pg_server.server_pids(pg_place.locate(home).data)
    with pytest.raises(StoreUnavailable, match="was released"):
        second.ensure_running()


def test_keeper_is_small_and_leaves_with_the_server(home: Path) -> None:
    with embedded.acquire(home):
        process = keeper(home)
        assert process.memory_info().rss < 20 * 2**20
        assert os.getsid(process.pid) != os.getsid(0)
    assert_stops(home, 2)


def test_killed_keeper_is_replaced_by_the_next_client(home: Path) -> None:
    client = Client(home).up()
    old = keeper(home)
    old.kill()
    assert pg_locks.wait_until(lambda: not pg_locks.is_held(home / "postgres/run/keeper.lock"), 5)
    second = Client(home).up()
    assert client.postmaster() == second.postmaster()
    assert keeper(home).pid != old.pid
    client.kill()
    second.kill()
    assert_stops(home)


def test_release_stops_the_server_when_the_keeper_was_killed(home: Path) -> None:
    server = embedded.acquire(home)
    keeper(home).kill()
    assert pg_locks.wait_until(lambda: not pg_locks.is_held(home / "postgres/run/keeper.lock"), 5)
    server.release()
    assert_stops(home)


def test_chaos_of_killed_clients_leaves_data_and_no_process(home: Path) -> None:
    with embedded.acquire(home) as server:
        query(server, "CREATE TABLE kept (n int)")
        query(server, "INSERT INTO kept VALUES (5)")
    choose = random.Random(4)
    for _ in range(12):
        client = Client(home)
        time.sleep(choose.random() * 0.5)
        client.kill()
    with embedded.acquire(home) as server:
        assert query(server, "SELECT n FROM kept") == 5


# -- crashes -----------------------------------------------------------------------------------------------------


def test_killed_postmaster_is_started_again_with_all_data(home: Path) -> None:
    client = Client(home).up()
    client.do("sql('DROP TABLE IF EXISTS crash')")
    client.do("sql('CREATE TABLE crash AS SELECT generate_series(1, 1000) AS n')")
    old = client.postmaster()
    os.kill(old, signal.SIGKILL)
    other = Client(home).up()
    assert other.do("sql('SELECT sum(n) FROM crash')") == "[(500500,)]"
    assert other.postmaster() != old
    os.kill(other.postmaster(), signal.SIGKILL)
    assert client.do("server.ensure_running()") == "None"
    assert client.do("sql('SELECT sum(n) FROM crash')") == "[(500500,)]"
    assert client.close() == other.close() == 0


@pytest.mark.parametrize("kind", ["alive", "zombie"])
def test_stale_pid_file_with_a_pid_of_another_process(home: Path, kind: str) -> None:
    client = Client(home).up()
    place = pg_place.locate(home)
    keeper(home).kill()
    for pid in [client.postmaster(), *pg_server.server_pids(place.data)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    client.kill()
    user = place.user.uid if place.user else None
    with subprocess.Popen(["sleep", "30" if kind == "alive" else "0"], user=user) as other:
        if kind == "zombie":
            assert pg_locks.wait_until(lambda: psutil.Process(other.pid).status() == psutil.STATUS_ZOMBIE, 5)
        for path in (place.data / "postmaster.pid", place.socket.with_name(place.socket.name + ".lock")):
            path.write_text(re.sub(r"^\d+", str(other.pid), path.read_text()))
        with embedded.acquire(home) as server:
            assert query(server, "SELECT 1") == 1
        other.kill()


def test_client_killed_during_initdb_does_no_harm(fresh: Path) -> None:
    first = Client(fresh)
    assert pg_locks.wait_until((fresh / "postgres/data.new/base").exists, 20)
    first.kill()
    second = Client(fresh).up()
    assert second.do("sql('SELECT 1')") == "[(1,)]"
    assert not (fresh / "postgres/data.new").exists()
    assert second.close() == 0
    assert_stops(fresh)


def test_backend_that_outlives_its_postmaster_does_not_block_the_next_start(home: Path) -> None:
    client = Client(home).up()
    assert client.process.stdin is not None
    client.process.stdin.write("sql('SELECT count(*) FROM generate_series(1, 10000000000) AS n')\n")
    client.process.stdin.flush()
    data = pg_place.locate(home).data

    def busy() -> list[psutil.Process]:
        return [process for process in processes(home) if "SELECT" in " ".join(process.cmdline())]

    assert pg_locks.wait_until(lambda: bool(busy()), 10, 0.05)
    postmaster = pg_server.recorded_pid(data)
    assert postmaster is not None
    os.kill(postmaster, signal.SIGKILL)
    with embedded.acquire(home) as server:
        assert query(server, "SELECT 1") == 1
        client.kill()


def test_start_that_somebody_kills_is_tried_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spawn, killed = pg_server._spawn_keeper, []

    def spawn_and_kill_once(place: pg_place.Place, *arguments: object) -> None:
        spawn(place, *arguments)  # type: ignore[arg-type]
        if not killed:
            for process in processes(home):
                process.kill()
                killed.append(process.pid)

    monkeypatch.setattr(pg_server, "_spawn_keeper", spawn_and_kill_once)
    with embedded.acquire(home) as server:
        assert killed
        assert query(server, "SELECT 1") == 1


def test_lost_socket_is_healed(home: Path) -> None:
    with embedded.acquire(home) as server:
        (home / "postgres/run/.s.PGSQL.5432").unlink()
        server.ensure_running()
        assert query(server, "SELECT 1") == 1


# -- fork and Ctrl-C ---------------------------------------------------------------------------------------------

CHILD = """
import os, sys, time
from pathlib import Path
import psycopg
from sbf_kernel.storage.embedded import acquire

server = acquire(Path(sys.argv[1]))
child = os.fork()
if child == 0:
    if sys.argv[2] == "own":
        server.ensure_running()
        print("owns", flush=True)
        time.sleep(60)
    server.release()
    sys.exit(0)  # runs the exit handlers that belong to the parent
"""


def run_forking(home: Path, kind: str, rest: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD + rest, str(home), kind],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
    )


def test_forked_child_does_not_release_its_parents_lease(home: Path) -> None:
    rest = """
os.waitpid(child, 0)
time.sleep(1.5)
with psycopg.connect(server.conninfo) as connection:
    print(connection.execute("SELECT 'served'").fetchone()[0])
"""
    with run_forking(home, "none", rest) as process:
        assert process.communicate(timeout=30)[0] == "served\n"
        assert process.returncode == 0


def test_forked_child_does_not_keep_a_killed_parents_lease(home: Path) -> None:
    rest = "os.kill(os.getpid(), 9)"
    script = CHILD.replace("    server.release()\n", "    print(os.getpid(), flush=True)\n    time.sleep(60)\n")
    with subprocess.Popen(
        [sys.executable, "-c", script + rest, str(home), "none"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdout is not None
        child = psutil.Process(int(process.stdout.readline()))
        assert_stops(home)
        assert child.is_running(), "the child outlives the server, so it did not hold it"
        child.kill()


def test_forked_child_can_take_a_lease_of_its_own(home: Path) -> None:
    with run_forking(home, "own", "os.waitpid(child, os.WNOHANG); time.sleep(1); os._exit(0)") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "owns\n"
        process.wait(30)
        time.sleep(1.5)
        assert pg_server.probe(pg_place.locate(home).socket) is pg_server.State.READY
        os.killpg(process.pid, signal.SIGKILL)
        assert_stops(home)


def test_interrupts_do_not_reach_the_server(home: Path) -> None:
    client = Client(home).up()
    server = client.postmaster()
    for _ in range(2):
        os.killpg(client.process.pid, signal.SIGINT)
        assert client.read() == "interrupted"
    assert client.postmaster() == server
    assert client.do("sql('SELECT 1')") == "[(1,)]"
    assert client.close() == 0


# -- who may, and where ------------------------------------------------------------------------------------------


def as_user(uid: int, work: object) -> int:
    """Run ``work()`` in a forked child as ``uid`` and return its exit code."""
    child = os.fork()
    if child == 0:
        code = 99
        with contextlib.suppress(BaseException):
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            code = work()  # type: ignore[operator]
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_socket_directory_is_private(home: Path) -> None:
    with embedded.acquire(home):
        place = pg_place.locate(home)
        assert place.socket_dir.stat().st_mode & 0o777 == 0o700
        assert place.data.stat().st_mode & 0o777 == 0o700
        assert place.log.stat().st_mode & 0o777 == 0o600


@needs_root
def test_another_user_is_refused(home: Path) -> None:
    import socket

    with embedded.acquire(home):
        path = str(pg_place.locate(home).socket)

        def connect() -> int:
            with socket.socket(socket.AF_UNIX) as connection:
                try:
                    connection.connect(path)
                except PermissionError:
                    return 13
            return 0

        assert as_user(4321, connect) == 13
        assert as_user(pg_place.locate(home).user.uid, connect) == 0  # type: ignore[union-attr]


def test_settings_are_safe_and_independent_of_the_environment(home: Path) -> None:
    client = Client(home, PGUSER="x", PGSSLMODE="require").up()
    expected = {
        "listen_addresses": "",
        "fsync": "on",
        "data_checksums": "on",
        "server_encoding": "UTF8",
        "TimeZone": "UTC",
        "synchronous_commit": "on",
        "unix_socket_permissions": "0700",
        "jit": "off",
        "autovacuum": "on",
    }
    for name, value in expected.items():
        assert client.do(f"sql('SHOW {name}')") == f"[('{value}',)]"
    assert client.do("sql(\"SELECT lower('ÄПРИВЕТ'), datcollate FROM pg_database WHERE datname = 'sbf'\")") == (
        "[('äпривет', 'C')]"
    )
    assert client.do("sql(\"SELECT extname FROM pg_extension WHERE extname = 'vector'\")") == "[('vector',)]"
    assert client.close() == 0


@needs_root
def test_roots_strict_umask_does_not_lock_the_server_out(fresh: Path) -> None:
    umask = os.umask(0o077)
    try:
        with embedded.acquire(fresh / "new" / "home") as server:
            assert query(server, "SELECT 1") == 1
            assert str(fresh) in str(server.data_path)
    finally:
        os.umask(umask)


@pytest.mark.parametrize("name", ["x" * 120, "with, comma and 'quote'", "with space"])
def test_awkward_paths(home: Path, name: str) -> None:
    moved = home.rename(home.with_name(name))
    try:
        place = pg_place.locate(moved)
        assert (place.socket_dir == place.run) is (name == "with space")
        with embedded.acquire(moved) as server:
            assert len(os.fsencode(place.socket)) <= 100
            assert place.socket_dir.stat().st_mode & 0o777 == 0o700
            assert query(server, "SELECT 1") == 1
        assert_stops(moved)
        if place.socket_dir != place.run:
            place.socket_dir.rmdir()
    finally:
        moved.rename(home)


def test_foreign_socket_directory_is_refused(fresh: Path) -> None:
    home = fresh / ("x" * 120)
    place = pg_place.locate(home)
    place.socket_dir.mkdir(mode=0o777)
    place.socket_dir.chmod(0o777)
    try:
        with pytest.raises(StoreUnavailable, match="not a private directory"):
            embedded.acquire(home)
    finally:
        place.socket_dir.rmdir()


@pytest.mark.parametrize(("free_mb", "kind"), [(64, "mmap"), (255, "mmap"), (256, "posix")])
def test_little_shared_memory_moves_to_files(home: Path, free_mb: float, kind: str) -> None:
    assert pg_server.options(pg_place.locate(home), free_mb)["dynamic_shared_memory_type"] == kind


def test_server_runs_with_little_shared_memory(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pg_server, "_free_shared_mb", lambda: 64.0)
    with embedded.acquire(home) as server:
        assert query(server, "SHOW dynamic_shared_memory_type") == "mmap"


# -- errors that name the cure -----------------------------------------------------------------------------------


def test_missing_binaries_name_the_cure(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pg_binaries, "_package", lambda name: None)
    monkeypatch.setattr(pg_binaries, "_newest", lambda directory: [])
    with pytest.raises(StoreUnavailable, match="SBF_DATABASE_URL"):
        embedded.acquire(fresh)
    monkeypatch.setenv("SBF_PG_BIN", "/usr/nowhere")
    with pytest.raises(StoreUnavailable, match="SBF_PG_BIN=/usr/nowhere"):
        embedded.acquire(fresh)
    assert not processes(fresh)


def test_failing_start_quotes_the_server(home: Path) -> None:
    version = home / "postgres/data/PG_VERSION"
    right = version.read_text()
    version.write_text("9.6\n")
    try:
        with pytest.raises(StoreUnavailable, match=r"incompatible with server.*binaries of PostgreSQL 9\.6"):
            embedded.acquire(home)
    finally:
        version.write_text(right)
    assert not list((home / "postgres/run/leases").iterdir())


def test_illegal_instruction_is_told_from_other_failures(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with embedded.acquire(home) as server:
        killer = "SELECT pg_backend_pid()"

        def die(connection: psycopg.Connection[tuple[int]]) -> None:
            row = connection.execute(killer).fetchone()
            assert row is not None
            os.kill(row[0], signal.SIGILL)
            connection.execute("SELECT pg_sleep(10)")

        monkeypatch.setattr(embedded, "_install_vector", die)
        with pytest.raises(StoreUnsupportedCpu, match="SBF_DATABASE_URL"):
            embedded.check_cpu(server.conninfo, server.log_path)
        monkeypatch.undo()
        server.ensure_running()
        embedded.check_cpu(server.conninfo, server.log_path)
        monkeypatch.setattr(embedded, "CPU_CHECKS", ("SELECT no_such_thing()",))
        with pytest.raises(StoreUnavailable, match="no_such_thing"):
            embedded.check_cpu(server.conninfo, server.log_path)


# -- root --------------------------------------------------------------------------------------------------------


@needs_root
def test_roots_unreachable_home_keeps_its_database_elsewhere(
    fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setattr(pg_place, "RELOCATED", fresh.with_name("elsewhere"))
    home = tmp_path / "home"
    with embedded.acquire(home) as server:
        assert query(server, "SELECT 1") == 1
        assert fresh.with_name("elsewhere") in server.data_path.parents
        assert (home / "postgres/LOCATION").read_text().strip() == str(server.data_path.parent)
    assert tmp_path.stat().st_mode & 0o777 == 0o700
    assert_stops(home)
    shutil.rmtree(server.data_path)
    with pytest.raises(StoreUnavailable, match="LOCATION"):
        embedded.acquire(home)


@needs_root
def test_root_serves_as_the_owner_of_existing_data(fresh: Path) -> None:
    place = pg_place.locate(fresh)
    place.data.mkdir(parents=True)
    os.chown(place.data, 4321, 4321)
    assert pg_place.locate(fresh).user == pg_place.ServerUser(4321, 4321)


@needs_root
def test_unreachable_binaries_are_copied_once(fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setattr(pg_place, "RELOCATED", fresh.with_name("copies"))
    found = pg_binaries.find()
    trees = tuple(Path(shutil.copytree(tree, tmp_path / tree.name)) for tree in found.tree)
    hidden = pg_binaries.Binaries(trees[0] / found.bin.relative_to(found.tree[0]), "a test", trees)
    user = pg_place.locate(fresh).user
    assert user is not None
    copied = pg_binaries.for_user(hidden, user)
    assert copied.bin.is_relative_to(fresh.with_name("copies"))
    assert pg_place.run_as(user, [copied.program("initdb"), "--version"])
    stamp = copied.bin.stat().st_mtime_ns
    assert pg_binaries.for_user(hidden, user).bin.stat().st_mtime_ns == stamp


@needs_root
def test_ordinary_user_with_a_home_of_its_own(fresh: Path) -> None:
    import pwd

    nobody = pwd.getpwnam("nobody")
    fresh.mkdir()
    os.chown(fresh, nobody.pw_uid, nobody.pw_gid)
    if shutil.which("python3", path="/usr/bin:/usr/local/bin") is None:
        pytest.skip("no Python that user nobody can reach")

    def use() -> int:
        os.environ["PATH"] = "/usr/local/bin:/usr/bin:/bin"
        with embedded.acquire(fresh) as server:
            return 7 if query(server, "SELECT 7") == 7 else 1

    assert as_user(nobody.pw_uid, use) == 7
    assert (fresh / "postgres/data").stat().st_uid == nobody.pw_uid
    assert (fresh / "postgres").stat().st_mode & 0o777 == 0o700
    shutil.rmtree(fresh)
