"""The child's side of :mod:`sbf_kernel.readers.sandbox`: limits first, then the target, then a loop.

Run by the parent as ``python -P -m sbf_kernel.readers.sandbox_child <json>``;
nothing else calls it. It imports no more than it must: each import is paid by
every child that starts.
"""

from __future__ import annotations

import ctypes
import errno
import faulthandler
import importlib
import json
import math
import os
import resource
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, BinaryIO

from sbf_kernel.errors import SbfError
from sbf_kernel.readers.sandbox_wire import pack, unpack

MAX_OPEN_FILES = 64
"""Enough for any parser; small enough that a leak shows."""

# From <linux/prctl.h>, sched.h, capability.h and landlock.h; the same on every architecture.
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _SIGKILL = 1, 38, 9
_CAPABILITY_VERSION_3 = 0x20080522
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_LANDLOCK_RULE_PATH_BENEATH = 1
# Landlock rights by ABI. Not handled: READ_FILE (4) and READ_DIR (8), so
# reading stays free; handled: EXECUTE (1), WRITE_FILE (2), REMOVE_*, MAKE_*.
_RIGHTS_ABI1, _REFER_ABI2, _TRUNCATE_ABI3 = 0x1FFF & ~0b1100, 1 << 13, 1 << 14
_NET_ABI4 = 0b11  # bind and connect of TCP
_SCOPE_ABI6 = 0b11  # abstract unix sockets and signals to processes outside


def main() -> None:
    """Confine this process, import the target, answer calls until the parent closes the pipe."""
    order = json.loads(sys.argv[1])
    requests, replies = _take_channel()
    faulthandler.enable()
    _set_limits(order["memory_mb"] << 20)
    _confine()
    _die_with(order["parent"])
    try:
        module, _, name = order["target"].partition(":")
        target = getattr(importlib.import_module(module), name)
    except BaseException as error:
        _send(replies, _frame("failed", _described(error)))
        raise
    _send(replies, _frame("ready", None))
    while frame := _receive(requests):
        resource.setrlimit(resource.RLIMIT_CPU, (_cpu_used() + order["cpu_seconds"], resource.RLIM_INFINITY))
        _send(replies, _answer(target, frame))
    os._exit(0)  # no clean-up of libraries, no waiting for their threads


def _take_channel() -> tuple[BinaryIO, BinaryIO]:
    """Move the pipes off descriptors 0 and 1, so that a ``print`` in a parser cannot corrupt the protocol."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, replies


def _receive(requests: BinaryIO) -> bytes:
    header = requests.read(8)
    return requests.read(struct.unpack("!Q", header)[0]) if len(header) == 8 else b""


def _send(replies: BinaryIO, frame: bytes) -> None:
    replies.write(struct.pack("!Q", len(frame)))
    replies.write(frame)
    replies.flush()


def _frame(kind: str, value: Any) -> bytes:
    return pack([kind, value, _resident_bytes()])


def _answer(target: Callable[..., Any], frame: bytes) -> bytes:
    """Run one call; ``result`` with its value, ``error`` with an SbfError, ``memory``, or ``failed`` with the rest."""
    try:
        return _frame("result", target(*unpack(frame, _import_record, _read_spilled)))
    except SbfError as error:
        return _frame("error", error.as_dict())
    except MemoryError:
        return _frame("memory", None)
    except OSError as error:
        if error.errno in (errno.EFBIG, errno.ENOMEM):
            return _frame("memory", None)
        return _frame("failed", _described(error))
    except BaseException as error:  # noqa: BLE001 - SystemExit of a library must not end the loop unexplained
        return _frame("failed", _described(error))


def _described(error: BaseException) -> list[str]:
    trace = "".join(traceback.format_exception(error))
    return [type(error).__name__, str(error)[:500], trace[-4_000:]]


def _import_record(name: str) -> type[Any]:
    # Requests come from the parent, which is trusted; its records may be imported by name.
    module, _, attribute = name.partition(":")
    kind: type[Any] = getattr(importlib.import_module(module), attribute)
    return kind


def _read_spilled(name: str) -> bytes:
    with open(name, "rb") as file:
        os.unlink(name)
        return file.read()


# --- limits -----------------------------------------------------------------


def _set_limits(memory: int) -> None:
    limits = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, MAX_OPEN_FILES),
        (resource.RLIMIT_FSIZE, memory),  # no more on disk than in memory
        (resource.RLIMIT_AS, memory),
    ]
    for limit, value in limits:
        try:
            resource.setrlimit(limit, (value, value))
        except (ValueError, OSError):  # macOS has no working RLIMIT_AS; a lower hard limit may be in force
            continue


def _cpu_used() -> int:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return math.ceil(used.ru_utime + used.ru_stime)


def _resident_bytes() -> int:
    try:
        with open("/proc/self/statm", "rb", buffering=0) as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:  # not Linux: the peak is the best there is, in bytes on macOS
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


# --- confinement: what the kernel offers is taken, what it refuses is done without ---------------


def _confine() -> None:
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    _leave_network(libc)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _landlock(libc)
    # Root's capabilities go too: CAP_PERFMON alone reads the environment of any process, past Landlock.
    libc.capset(struct.pack("=II", _CAPABILITY_VERSION_3, 0), bytes(24))


def _leave_network(libc: Any) -> None:
    """Enter an empty network namespace: no interface, so nothing to fetch and nowhere to send."""
    if libc.unshare(_CLONE_NEWNET) == 0:  # root, or a container with the capability
        return
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0:
        for file, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            try:
                with open(f"/proc/self/{file}", "w") as handle:
                    handle.write(text)
            except OSError:
                return


def _landlock(libc: Any) -> None:
    """Forbid, for good: writing outside the working directory, running programs, signalling or tracing others.

    The working directory is this child's own temporary one. Reading stays
    possible, because sources arrive as paths and libraries load lazily.
    """
    call = libc.syscall
    call.restype = ctypes.c_long
    abi = call(_LANDLOCK_CREATE, None, 0, 1)
    if abi < 1:
        return
    rights = _RIGHTS_ABI1 | (_REFER_ABI2 if abi >= 2 else 0) | (_TRUNCATE_ABI3 if abi >= 3 else 0)
    attributes = struct.pack("=QQQ", rights, _NET_ABI4 if abi >= 4 else 0, _SCOPE_ABI6 if abi >= 6 else 0)
    rules = call(_LANDLOCK_CREATE, attributes, len(attributes) if abi >= 6 else 16 if abi >= 4 else 8, 0)
    if rules < 0:
        return
    for path, allowed in ((".", rights & ~1), (os.devnull, 2)):
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = struct.pack("=Qi", allowed, place)
        call(_LANDLOCK_ADD, rules, _LANDLOCK_RULE_PATH_BENEATH, rule, 0)
        os.close(place)
    call(_LANDLOCK_RESTRICT, rules, 0)
    os.close(rules)


def _die_with(parent: int) -> None:
    """End when the parent ends, even by ``kill -9`` in the middle of a call."""
    if sys.platform.startswith("linux"):
        # After _confine: entering a user namespace clears this setting.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it ended before we asked to be told
        os._exit(0)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


if __name__ == "__main__":
    main()
