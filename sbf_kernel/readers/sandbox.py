"""Killable child processes for parsing untrusted files.

A parser bug in a native library, a bomb or an endless loop ends a child, not
SBF. The child has limits on memory, CPU, files and time, no secrets in its
environment and, on Linux where the kernel allows it, no network, no write
access outside its own temporary directory and no way to start programs.

It is a limit on damage, not a virtual machine: the child runs as the same
user and can *read* what that user can read.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import struct
import sys
import tempfile
from pathlib import Path
from typing import Any, BinaryIO, Self

from sbf_kernel.errors import SbfError, SourceCrashed, SourceTimeout, SourceTooLarge
from sbf_kernel.readers.reading import Reading
from sbf_kernel.readers.sandbox_wire import Names, allow, error_from, pack, spilled, unpack

CALLS_PER_CHILD = 200
"""Calls after which a child is replaced: bounds what leaks and what one exploited child gets to see."""
START_SECONDS = 60
"""A child that has not imported its target by then is broken; normal is 0.3 to 3 s."""
MAX_RESULT_BYTES = 256 << 20
"""Largest answer read from a child. The text of a 200 MB source fits."""
SPILL_BYTES = 1 << 20
"""Larger ``bytes`` arguments go through a file: a pipe would copy them four times on the event loop."""
NICENESS = 5
"""Costs nothing on an idle machine; on a busy one the service and its database keep answering while files parse."""

_KEPT_ENVIRONMENT = ("LD_LIBRARY_PATH", "PYTHONHOME", "SYSTEMROOT", "TZ")
_OUT_OF_MEMORY = ("bad_alloc", "MemoryError", "Cannot allocate memory", "out of memory", "memory allocation")


class Sandbox:
    """A pool of children that run one function with limits.

    Belongs to the event loop that first uses it. Close it, or use it with
    ``async with``; children also end by themselves when this process ends,
    however it ends.

    Parameters
    ----------
    target
        ``"package.module:function"``, imported in the child only.
    memory_mb
        Address space of a child in MiB, interpreter and libraries included.
    cpu_seconds
        CPU time of one call, all threads together.
    wall_seconds
        Time from handing a call to a child until its answer is here.
    workers
        Children that may run at once; further calls wait in order.
    records
        Dataclasses and pydantic models the target may return, besides builtins.
    calls_per_child
        Calls after which a child is replaced; 1 gives each call a new process.
    """

    def __init__(
        self,
        target: str,
        *,
        memory_mb: int,
        cpu_seconds: int,
        wall_seconds: int,
        workers: int = 1,
        records: tuple[type[Any], ...] = (Reading,),
        calls_per_child: int = CALLS_PER_CHILD,
    ) -> None:
        self.target, self.memory_mb = target, memory_mb
        self.cpu_seconds, self.wall_seconds = cpu_seconds, wall_seconds
        self._calls_per_child = calls_per_child
        self._names = allow(records)
        self._workers = workers
        self._turns = asyncio.Semaphore(workers)  # wakes waiters in order
        self._closed = False
        self._idle: list[_Child] = []
        self._all: set[_Child] = set()
        self._endings: set[asyncio.Task[None]] = set()

    async def call(self, *args: Any) -> Any:
        """Run ``target(*args)`` in a child and return what it returns.

        Parameters
        ----------
        args
            Builtins, dataclasses and pydantic models. Large files are best
            passed as a path; large ``bytes`` are handed over in a file.

        Returns
        -------
        The result. Tuples become lists, except inside records.

        Raises
        ------
        SbfError
            Whatever SBF error the target raised, with its hint and details.
        SourceTooLarge
            More memory, disk or output than allowed.
        SourceTimeout
            More CPU or wall time than allowed.
        SourceCrashed
            The child died, could not start, or the target raised anything else.
        """
        async with self._turns:
            child = await self._take()
            try:
                async with asyncio.timeout(self.wall_seconds):
                    kind, value, resident = await child.exchange(args, self._names)
            except TimeoutError:
                self._retire(child)
                message = f"reading took longer than {self.wall_seconds} s"
                hint = "split it, or raise SBF_READ_WALL_SECONDS"
                raise SourceTimeout(message, hint=hint, limit=self.wall_seconds) from None
            except EOFError:
                raise await self._cause_of_death(child) from None
            except BaseException:  # cancelled, a result over the limit, nonsense
                self._retire(child)
                raise
            self._give_back(child, healthy=kind != "memory" and resident <= self.memory_mb << 19)
        return self._opened(kind, value)

    async def warm(self) -> None:
        """Start a child now, so that the first call does not wait for the imports."""
        async with self._turns:
            self._give_back(await self._take(), healthy=True)

    async def close(self) -> None:
        """End all children, also those in the middle of a call, and wait until they are gone."""
        self._closed = True
        for child in self._all:
            child.kill()
        for _ in range(self._workers):  # a call whose child was killed cleans up before it gives its turn back
            await self._turns.acquire()
        while self._idle:
            self._retire(self._idle.pop())
        await asyncio.gather(*self._endings)
        for _ in range(self._workers):
            self._turns.release()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _take(self) -> _Child:
        if self._closed:
            raise SourceCrashed("the reader processes are closed", hint="connect again")
        while self._idle:
            child = self._idle.pop()
            if child.alive:
                return child
            self._retire(child)
        child = _Child()
        self._all.add(child)
        order = {
            "target": self.target,
            "memory_mb": self.memory_mb,
            "cpu_seconds": self.cpu_seconds,
            "parent": os.getpid(),
        }
        try:
            async with asyncio.timeout(START_SECONDS):
                kind, value, _ = await child.start(order)
        except (TimeoutError, EOFError):
            notes = child.last_words()
            self._retire(child)
            raise _crashed("the reader process did not start", notes) from None
        except BaseException:
            self._retire(child)
            raise
        if kind != "ready":
            self._retire(child)
            self._opened(kind, value)
        return child

    def _give_back(self, child: _Child, *, healthy: bool) -> None:
        if healthy and child.calls < self._calls_per_child and not self._closed:
            self._idle.append(child)
        else:
            self._retire(child)

    def _retire(self, child: _Child) -> None:
        """Kill now, reap in the background."""
        self._all.remove(child)
        child.kill()
        ending = asyncio.create_task(child.gone())
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    async def _cause_of_death(self, child: _Child) -> SbfError:
        """Translate how a child ended without an answer."""
        status = await child.status()
        words = child.last_words()
        self._retire(child)
        if self._closed:
            return SourceCrashed("the reader processes were closed during the call", hint="add it again")
        if status == -signal.SIGXCPU:
            return SourceTimeout(
                f"reading took more than {self.cpu_seconds} s of CPU time",
                hint="split it, or raise SBF_READ_CPU_SECONDS",
                limit=self.cpu_seconds,
            )
        if status == -signal.SIGKILL or any(sign in words for sign in _OUT_OF_MEMORY):
            return self._too_much_memory()
        how = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
        return _crashed(f"the reader process ended {how}", words)

    def _too_much_memory(self) -> SourceTooLarge:
        return SourceTooLarge(
            f"reading needs more memory than {self.memory_mb} MB",
            hint="split it, or raise SBF_READ_MEMORY_MB",
            limit_mb=self.memory_mb,
        )

    def _opened(self, kind: object, value: Any) -> Any:
        if kind == "result":
            return value
        if kind == "memory":
            raise self._too_much_memory()
        if kind == "error" and isinstance(value, dict):
            raise error_from(value)
        name, message, trace = value if isinstance(value, list) and len(value) == 3 else ("?", "no explanation", "")
        raise _crashed(f"the reader failed with {name}: {message}", str(trace))


class _Child:
    """One process, its pipes and its directory."""

    def __init__(self) -> None:
        self.calls = 0
        self._process: asyncio.subprocess.Process | None = None
        self._directory = Path(tempfile.mkdtemp(prefix="sbf-reader-"))

    async def start(self, order: dict[str, Any]) -> tuple[Any, Any, int]:
        with self._words() as words:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "sbf_kernel.readers.sandbox_child",
                json.dumps(order),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=words,
                limit=1 << 20,
                cwd=self._directory,
                env=_environment(self._directory),
                start_new_session=True,
            )
        with contextlib.suppress(OSError):  # it may be gone, or already be nicer than that
            os.setpriority(os.PRIO_PROCESS, self._process.pid, NICENESS)
        return await self._reply(allow(()))

    def _words(self) -> BinaryIO:
        return open(self._directory / "stderr", "ab")

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def exchange(self, args: tuple[Any, ...], names: Names) -> tuple[Any, Any, int]:
        """Send one call and return ``(kind, value, resident bytes)``; EOFError when the child dies."""
        self.calls += 1
        os.truncate(self._directory / "stderr", 0)
        frame = pack([await self._spill(arg) for arg in args])
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(struct.pack("!Q", len(frame)) + frame)
        with contextlib.suppress(ConnectionError):  # it died; reading tells
            await self._process.stdin.drain()
        return await self._reply(names)

    async def _spill(self, arg: Any) -> Any:
        if not isinstance(arg, bytes | bytearray | memoryview) or len(arg) <= SPILL_BYTES:
            return arg
        handle, path = await asyncio.to_thread(tempfile.mkstemp, "", "in-", self._directory)
        await asyncio.to_thread(_write, handle, arg)
        return spilled(Path(path).name)

    async def _reply(self, names: Names) -> tuple[Any, Any, int]:
        assert self._process is not None and self._process.stdout is not None
        (size,) = struct.unpack("!Q", await self._process.stdout.readexactly(8))
        if size > MAX_RESULT_BYTES:
            raise SourceTooLarge(f"reading gave more than {MAX_RESULT_BYTES >> 20} MB of text")
        frame = await self._process.stdout.readexactly(size)
        try:
            kind, value, resident = unpack(frame, names)
            return kind, value, int(resident)
        except (ValueError, TypeError) as error:
            raise _crashed("the reader process gave an answer that is not allowed", str(error)) from error

    def kill(self) -> None:
        """Kill the process and whatever it started. Its id is its group's id."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def status(self) -> int:
        """Wait for the end; negative for a signal."""
        assert self._process is not None
        return await self._process.wait()

    def last_words(self) -> str:
        """Return the end of what it wrote to stderr."""
        with contextlib.suppress(OSError), open(self._directory / "stderr", "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 4_000))
            return file.read(4_000).decode(errors="replace")
        return ""

    async def gone(self) -> None:
        """Wait for the end after :meth:`kill`, and clean up."""
        if self._process is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.communicate(), 5)  # drains and closes the pipes
        await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)


def _write(handle: int, data: bytes | bytearray | memoryview) -> None:
    with os.fdopen(handle, "wb") as file:
        file.write(data)


def _crashed(message: str, words: str) -> SourceCrashed:
    """Make the error; the child's own words go to the traceback, never over the wire."""
    error = SourceCrashed(message)
    if words.strip():
        error.add_note(words.strip())
    return error


def _environment(directory: Path) -> dict[str, str]:
    """Return what Python needs to start and nothing else: no keys, no proxies, no SBF_*."""
    house = str(Path(__file__).resolve().parents[2])
    kept = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    return kept | {
        "PYTHONPATH": os.pathsep.join([*(path for path in sys.path if path), house]),
        "PYTHONUTF8": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "LC_ALL": "C.UTF-8",
        "HOME": str(directory),
        "TMPDIR": str(directory),
        # Each thread and each malloc arena reserves address space that RLIMIT_AS counts.
        "MALLOC_ARENA_MAX": "2",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
