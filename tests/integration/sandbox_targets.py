"""What the children of test_sandbox.py run: good, bad and hostile parsers."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import socket
import struct
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from sbf_kernel.errors import SourceEncrypted
from sbf_kernel.readers.reading import Reading, ReadingBuilder


@dataclass(frozen=True)
class Unlisted:
    """A record that no sandbox of the tests allows."""

    value: int = 1


def echo(value: object = None) -> object:
    return value


def pid() -> int:
    return os.getpid()


def size(data: bytes) -> int:
    return len(data)


def read(text: str) -> Reading:
    builder = ReadingBuilder()
    builder.heading("Title", 1)
    builder.add(text, page=3)
    return builder.build(title="T", pages=3, metadata={"author": "A"})


def hog() -> None:
    blocks = []
    while True:
        blocks.append(bytearray(10 << 20))


def peak_of_hog() -> int:
    """Eat until refused, then tell the highest resident size in KiB."""
    with contextlib.suppress(MemoryError):
        hog()
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def keep(megabytes: int) -> int:
    globals()["_kept"] = bytearray(b"x") * (megabytes << 20)
    return os.getpid()


def spin() -> None:
    while True:
        pass


def sleep(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def segfault() -> None:
    ctypes.string_at(0)


def abort_for_memory() -> None:
    os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n")
    os.abort()


def leave(status: int) -> None:
    os._exit(status)


def system_exit() -> None:
    raise SystemExit("bye")


def deep(levels: int = 10_000) -> int:
    return deep(levels - 1) + 1 if levels else 0


def chatter() -> str:
    print("not part of the protocol " * 100, flush=True)
    os.write(1, b"\x00\x00\x00\x00\x00\x00\x00\x01x")
    return "clean"


def flood(megabytes: int) -> bytes:
    return b"x" * (megabytes << 20)


def fill_disk() -> None:
    with open("big", "wb") as file:
        file.writelines(bytes(1 << 20) for _ in range(10_000))


def locked() -> None:
    raise SourceEncrypted("a.pdf is protected", hint="ask the author", source="a.pdf", tries=2)


def bug() -> None:
    raise KeyError("missing part")


def unlisted() -> Unlisted:
    return Unlisted()


def odd() -> object:
    return object()


def forged(frame: bytes) -> None:
    """Do as a child that was taken over: write any answer, of any announced length."""
    for descriptor in range(3, 16):
        try:
            if os.get_blocking(descriptor) and os.path.realpath(f"/proc/self/fd/{descriptor}").count("pipe:"):
                os.write(descriptor, frame)
        except OSError:
            continue
    time.sleep(5)


def evil_pickle(canary: str) -> bytes:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return os.system, (f"touch {canary}",)

    return pickle.dumps(Evil(), protocol=5)


def framed(payload: bytes) -> bytes:
    return struct.pack("!Q", len(payload)) + payload


def surroundings() -> dict[str, object]:
    return {
        "environment": sorted(os.environ),
        "cwd": os.getcwd(),
        "files": os.listdir(),
        "group": os.getpgrp(),
        "session": os.getsid(0),
        "pid": os.getpid(),
        "nice": os.nice(0),
    }


def escape(file: str, port: int, parent: int) -> dict[str, str]:
    """Try what a child must not do; tell what happened to each attempt."""

    def write() -> object:
        return Path(file).write_text("was here")

    def run() -> object:
        return subprocess.run(["/bin/true"], check=True)

    def connect() -> object:
        return socket.create_connection(("127.0.0.1", port), timeout=2).close()

    def signal() -> object:
        return os.kill(parent, 0)

    def trace() -> object:
        return Path(f"/proc/{parent}/environ").read_bytes()

    outcome = {}
    for attempt in (write, run, connect, signal, trace):
        try:
            attempt()
            outcome[attempt.__name__] = "done"
        except OSError as error:
            outcome[attempt.__name__] = type(error).__name__
    return outcome
