"""The sandbox ends what misbehaves, translates how it ended, and goes on."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgpack
import psutil
import pytest
import sandbox_targets as targets

from sbf_kernel.errors import InvalidInput, SourceCrashed, SourceEncrypted, SourceTimeout, SourceTooLarge
from sbf_kernel.readers import sandbox as module
from sbf_kernel.readers.reading import Reading
from sbf_kernel.readers.sandbox import Sandbox
from sbf_kernel.readers.sandbox_wire import RECORD, allow, error_from, name_of, pack, unpack

pytestmark = [pytest.mark.timeout(60)]
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a Linux mechanism")
HERE = Path(__file__).parent


def box(function: Callable[..., object], **changes: object) -> Sandbox:
    limits: dict[str, object] = {"memory_mb": 400, "cpu_seconds": 10, "wall_seconds": 20}
    return Sandbox(f"sandbox_targets:{function.__name__}", **(limits | changes))  # type: ignore[arg-type]


def _children() -> set[int]:
    return {child.pid for child in psutil.Process().children() if "sandbox_child" in " ".join(child.cmdline())}


@pytest.fixture(autouse=True)
def _no_leftovers(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test must leave neither a child nor a directory."""
    place = tmp_path_factory.mktemp("children")
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    before = _children()  # those of a workspace that other tests share
    yield
    assert _children() <= before
    assert list(place.iterdir()) == []


async def _until(condition: Callable[[], bool], seconds: float = 5) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not condition():
        await asyncio.sleep(0.02)
    return condition()


# --- values and errors cross intact ---------------------------------------------------------------

VALUES = [
    None,
    True,
    0,
    -(2**63),
    2**64 - 1,
    1.5,
    "",
    "ünïcode 🧠",
    "lone \ud800",
    b"\x00\xff",
    [],
    [1, [2]],
    {"a": {"b": [None]}, 3: 4},
]


@pytest.mark.asyncio
@pytest.mark.parametrize("value", VALUES, ids=repr)
async def test_builtins_come_back_as_they_went(value: object) -> None:
    assert unpack(pack(value), allow(())) == value


@pytest.mark.asyncio
async def test_a_reading_comes_back_equal() -> None:
    async with box(targets.read) as sandbox:
        reading = await sandbox.call("Some text.")
    assert isinstance(reading, Reading)
    assert reading == targets.read("Some text.")


@pytest.mark.asyncio
async def test_an_sbf_error_keeps_class_message_hint_and_details() -> None:
    async with box(targets.locked) as sandbox:
        with pytest.raises(SourceEncrypted) as caught:
            await sandbox.call()
    assert (caught.value.message, caught.value.hint) == ("a.pdf is protected", "ask the author")
    assert caught.value.details == {"source": "a.pdf", "tries": 2}


@pytest.mark.asyncio
async def test_any_other_exception_is_a_crash_with_the_trace_in_a_note_only() -> None:
    async with box(targets.bug) as sandbox:
        with pytest.raises(SourceCrashed, match="KeyError: 'missing part'") as caught:
            await sandbox.call()
    assert "sandbox_targets.py" in "".join(caught.value.__notes__)
    assert "sandbox_targets.py" not in str(caught.value.as_dict())


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("target", "words"),
    [(targets.odd, "cannot cross"), (targets.system_exit, "SystemExit"), (targets.deep, "RecursionError")],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_what_a_target_may_not_do_is_explained_and_the_child_survives(
    target: Callable[..., object], words: str
) -> None:
    async with box(target) as sandbox:
        for _ in range(2):
            with pytest.raises(SourceCrashed, match=words):
                await sandbox.call()


@pytest.mark.asyncio
async def test_a_target_that_cannot_be_imported_says_so() -> None:
    sandbox = Sandbox("no_such_module:f", memory_mb=400, cpu_seconds=5, wall_seconds=5)
    with pytest.raises(SourceCrashed, match=r"ModuleNotFoundError.*no_such_module"):
        await sandbox.call()
    await sandbox.close()


@pytest.mark.asyncio
async def test_printing_does_not_disturb_the_protocol() -> None:
    async with box(targets.chatter) as sandbox:
        assert [await sandbox.call() for _ in range(3)] == ["clean"] * 3


# --- limits ---------------------------------------------------------------------------------------


@linux
@pytest.mark.asyncio
async def test_a_memory_hog_never_gets_above_the_limit_and_the_parent_does_not_grow() -> None:
    before = psutil.Process().memory_info().rss
    async with box(targets.peak_of_hog, memory_mb=300) as sandbox:
        assert 100_000 < await sandbox.call() <= 300 * 1024
    assert psutil.Process().memory_info().rss - before < 50 << 20


@linux
@pytest.mark.asyncio
async def test_needing_more_memory_is_too_large_and_the_next_call_works() -> None:
    async with box(targets.hog, memory_mb=300) as sandbox:
        for _ in range(2):
            with pytest.raises(SourceTooLarge, match="more memory than 300 MB") as caught:
                await sandbox.call()
    assert caught.value.details == {"limit_mb": 300}
    assert "SBF_READ_MEMORY_MB" in caught.value.hint


@pytest.mark.asyncio
async def test_a_native_library_that_aborts_for_memory_is_too_large() -> None:
    async with box(targets.abort_for_memory) as sandbox:
        with pytest.raises(SourceTooLarge):
            await sandbox.call()


@pytest.mark.asyncio
async def test_a_spinner_ends_by_cpu_time_before_the_wall_limit() -> None:
    started = time.monotonic()
    async with box(targets.spin, cpu_seconds=1, wall_seconds=30) as sandbox:
        with pytest.raises(SourceTimeout, match=r"1 s of CPU.*SBF_READ_CPU_SECONDS"):
            await sandbox.call()
    assert time.monotonic() - started < 15


@pytest.mark.asyncio
async def test_cpu_time_is_counted_per_call_not_per_child() -> None:
    async with box(targets.sleep, cpu_seconds=1) as sandbox:
        pids = {await sandbox.call(0.01) for _ in range(300 // 2)}
    assert len(pids) == 1


@pytest.mark.asyncio
async def test_a_sleeper_ends_by_wall_time() -> None:
    async with box(targets.sleep, wall_seconds=1) as sandbox:
        started = time.monotonic()
        with pytest.raises(SourceTimeout, match=r"longer than 1 s.*SBF_READ_WALL_SECONDS"):
            await sandbox.call(60)
        assert time.monotonic() - started < 5
        assert await sandbox.call(0) > 0


@pytest.mark.asyncio
async def test_filling_the_disk_is_stopped() -> None:
    async with box(targets.fill_disk, memory_mb=200) as sandbox:
        with pytest.raises(SourceTooLarge):
            await sandbox.call()


@pytest.mark.asyncio
async def test_an_answer_over_the_limit_is_refused_unread() -> None:
    announced = (module.MAX_RESULT_BYTES + 1).to_bytes(8, "big")
    async with box(targets.forged) as sandbox:
        with pytest.raises(SourceTooLarge, match="of text"):
            await sandbox.call(announced)


# --- death ----------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_segmentation_fault_is_a_crash_and_the_next_call_works() -> None:
    async with box(targets.segfault) as sandbox:
        for _ in range(2):
            with pytest.raises(SourceCrashed, match="SIGSEGV") as caught:
                await sandbox.call()
    assert "Segmentation fault" in "".join(caught.value.__notes__)


@pytest.mark.asyncio
@pytest.mark.parametrize("status", [0, 3])
async def test_leaving_in_the_middle_of_a_call_is_a_crash(status: int) -> None:
    async with box(targets.leave) as sandbox:
        with pytest.raises(SourceCrashed, match=f"status {status}"):
            await sandbox.call(status)


@pytest.mark.asyncio
async def test_a_child_that_died_while_idle_is_replaced_unnoticed() -> None:
    async with box(targets.pid) as sandbox:
        first = await sandbox.call()
        os.kill(first, signal.SIGKILL)
        await _until(lambda: not psutil.pid_exists(first))
        await asyncio.sleep(0.1)
        assert await sandbox.call() != first


@pytest.mark.asyncio
async def test_a_cancelled_call_kills_its_child_and_frees_the_turn() -> None:
    async with box(targets.sleep) as sandbox:
        first = await sandbox.call(0)
        task = asyncio.create_task(sandbox.call(60))
        await asyncio.sleep(0.3)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert await _until(lambda: not psutil.pid_exists(first))
        assert await sandbox.call(0) != first


@pytest.mark.asyncio
async def test_closing_ends_calls_in_progress() -> None:
    sandbox = box(targets.sleep)
    task = asyncio.create_task(sandbox.call(60))
    await asyncio.sleep(1)
    await sandbox.close()
    with pytest.raises(SourceCrashed, match="closed during the call"):
        await task
    await sandbox.close()
    with pytest.raises(SourceCrashed, match="closed"):
        await sandbox.call(0)


@linux
@pytest.mark.parametrize("call", ["60", "0"], ids=["in a call", "idle"])
def test_no_orphan_is_left_when_the_parent_is_killed(call: str, tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        import asyncio, sys
        sys.path.insert(0, {str(HERE)!r})
        from sbf_kernel.readers.sandbox import Sandbox
        async def main():
            sandbox = Sandbox("sandbox_targets:sleep", memory_mb=400, cpu_seconds=5, wall_seconds=99)
            print(await sandbox.call(0), flush=True)
            await sandbox.call({call})
            await asyncio.sleep(60)
        asyncio.run(main())
    """)
    root = str(Path(module.__file__).parents[2])
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=root, env=environment) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        time.sleep(0.3)
        assert psutil.pid_exists(child)
        parent.kill()
    assert asyncio.run(_until(lambda: not psutil.pid_exists(child)))
    (directory,) = tmp_path.iterdir()  # kill -9 leaves an empty directory, nothing else
    assert os.listdir(directory) == ["stderr"]


# --- a child that was taken over ------------------------------------------------------------------

HOSTILE = {
    "a pickle": b"PICKLE",  # replaced in the test by one that names a file
    "not an encoding": b"\xc1\xc1\xc1",
    "a function by name": msgpack.packb(["result", msgpack.ExtType(RECORD, msgpack.packb(["os:system", {}])), 0]),
    "a class by name": msgpack.packb(
        ["result", msgpack.ExtType(RECORD, msgpack.packb(["subprocess:Popen", {"args": ["id"]}])), 0]
    ),
    "an unlisted record": pack(["result", targets.Unlisted(), 0]),
    "a reading with wrong types": msgpack.packb(
        ["result", msgpack.ExtType(RECORD, msgpack.packb([name_of(Reading), {"text": 5, "blocks": [{}]}])), 0]
    ),
    "a file of the parent": msgpack.packb(["result", msgpack.ExtType(2, b"/etc/passwd"), 0]),
    "an unknown extension": msgpack.packb(["result", msgpack.ExtType(99, b""), 0]),
    "a list of billions": b"\xdd\xff\xff\xff\xff",
    "a deep nest": b"\x91" * 100_000,
    "a wrong shape": msgpack.packb("result"),
    "a wrong memory": msgpack.packb(["result", 1, "much"]),
    "an error of no shape": msgpack.packb(["error", 7, 0]),
    "an unknown kind": msgpack.packb(["shutdown", None, 0]),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("name", HOSTILE)
async def test_a_forged_answer_is_refused_and_runs_nothing(name: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    payload = targets.evil_pickle(str(canary)) if name == "a pickle" else HOSTILE[name]
    async with box(targets.forged) as sandbox:
        with pytest.raises(SourceCrashed):
            await sandbox.call(targets.framed(payload))
    assert not canary.exists()


@pytest.mark.asyncio
async def test_a_record_that_is_not_listed_is_refused_and_one_that_is_arrives() -> None:
    async with box(targets.unlisted) as sandbox:
        with pytest.raises(SourceCrashed, match="not allowed"):
            await sandbox.call()
    async with box(targets.unlisted, records=(targets.Unlisted,)) as sandbox:
        assert await sandbox.call() == targets.Unlisted(1)


def test_a_forged_error_cannot_name_another_class() -> None:
    error = error_from({"code": "os.system", "message": 5, "hint": None, "details": ["x"]})
    assert (error.code, error.message, error.details) == ("error", "5", {})
    assert isinstance(error_from(InvalidInput("no").as_dict()), InvalidInput)
    assert error_from({"code": "not_found", "details": {"message": 1, "hint": 2}}).details == {"message": 1, "hint": 2}


@pytest.mark.asyncio
async def test_surroundings_hold_no_secret_and_nothing_of_the_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SBF_MODEL_API_KEY", "OPENAI_API_KEY", "HTTPS_PROXY", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "secret")
    async with box(targets.surroundings) as sandbox:
        seen = await sandbox.call()
    assert not {"SBF_MODEL_API_KEY", "OPENAI_API_KEY", "HTTPS_PROXY", "AWS_SECRET_ACCESS_KEY"} & {*seen["environment"]}
    assert seen["files"] == ["stderr"]
    assert seen["cwd"] != os.getcwd()
    assert seen["group"] == seen["session"] == seen["pid"]
    assert seen["nice"] >= module.NICENESS


@linux
@pytest.mark.asyncio
async def test_a_child_cannot_write_run_connect_signal_or_trace(tmp_path: Path) -> None:
    if ctypes.CDLL(None).syscall(444, None, 0, 1) < 6:
        pytest.skip("this kernel has no Landlock of ABI 6 or later")
    with socket.create_server(("127.0.0.1", 0)) as canary:
        async with box(targets.escape) as sandbox:
            outcome = await sandbox.call(str(tmp_path / "file"), canary.getsockname()[1], os.getpid())
        canary.settimeout(0.2)
        with pytest.raises(TimeoutError):
            canary.accept()
    assert outcome.pop("connect") in ("PermissionError", "OSError")  # OSError: an empty network namespace
    assert outcome == dict.fromkeys(("write", "run", "signal", "trace"), "PermissionError")
    assert not (tmp_path / "file").exists()


# --- many calls -----------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_thousand_small_calls_use_few_children_and_little_time() -> None:
    async with box(targets.echo) as sandbox:
        await sandbox.warm()
        before = time.process_time()
        for number in range(1_000):
            assert await sandbox.call(number) == number
        used = time.process_time() - before
    assert used < 2.0  # seconds of the parent's CPU, with four new children: 0.4 measured


@pytest.mark.asyncio
async def test_children_are_replaced_by_count_and_by_size() -> None:
    async with box(targets.pid, calls_per_child=3) as sandbox:
        pids = [await sandbox.call() for _ in range(6)]
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3]
    async with box(targets.keep, memory_mb=300) as sandbox:
        small = [await sandbox.call(1), await sandbox.call(1)]
        large = [await sandbox.call(200), await sandbox.call(1)]
    assert small[0] == small[1] == large[0] != large[1]


@pytest.mark.asyncio
async def test_workers_run_at_once_and_others_wait_in_order() -> None:
    order: list[int] = []

    async def one(sandbox: Sandbox, number: int) -> int:
        pid = int(await sandbox.call(0.2))
        order.append(number)
        return pid

    async with box(targets.sleep, workers=2) as sandbox:
        await asyncio.gather(sandbox.warm(), sandbox.warm())
        pids = await asyncio.gather(*(one(sandbox, number) for number in range(8)))
    assert len(set(pids)) == 2
    assert [number // 2 for number in order] == [0, 0, 1, 1, 2, 2, 3, 3]


@pytest.mark.asyncio
async def test_two_hundred_megabytes_go_in_through_a_file_that_is_removed() -> None:
    async with box(targets.size, memory_mb=600) as sandbox:
        assert await sandbox.call(bytes(200_000_000)) == 200_000_000
        assert await sandbox.call(b"small") == 5
        (directory,) = (child._directory for child in sandbox._all)
        assert os.listdir(directory) == ["stderr"]


@pytest.mark.asyncio
async def test_a_large_answer_arrives_whole() -> None:
    async with box(targets.flood, memory_mb=600) as sandbox:
        assert len(await sandbox.call(50)) == 50 << 20
