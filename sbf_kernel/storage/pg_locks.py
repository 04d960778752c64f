"""Locks on files that end with their process, however it ends, and never leak into its children.

``flock`` belongs to an open file. A child made by ``fork`` shares that open file and would keep the lock
alive after its parent died, so every open lock is listed here and closed in the child; ``exec`` closes them
by itself (``O_CLOEXEC``). The only deliberate exception is the lock that the server inherits.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Self

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_open_fds: set[int] = set()
_registering = threading.Lock()
"""Held while a lock file is opened and listed, and by ``fork``: no child sees an unlisted one."""


class FileLock:
    """An exclusive lock that this process holds.

    Parameters
    ----------
    path
        The locked file.
    fd
        Its descriptor, for handing the lock on to a child.
    """

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self.fd = fd
        self._pid = os.getpid()

    def close(self) -> None:
        """Let go of the lock. Does nothing the second time, or in a forked child."""
        with _registering:
            if self._pid == os.getpid() and self.fd in _open_fds:
                _open_fds.discard(self.fd)
                os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> Self:
        """Return the lock itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Let go of the lock."""
        self.close()


def _open(path: Path, owner: tuple[int, int] | None) -> int:
    with _registering:
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            fd = os.open(path, flags)
        except FileNotFoundError:
            fd = os.open(path, flags | os.O_CREAT, 0o600)
            if owner is not None:
                os.fchown(fd, *owner)
        _open_fds.add(fd)
        return fd


def try_lock(path: Path, owner: tuple[int, int] | None = None) -> FileLock | None:
    """Take the lock if it is free.

    Parameters
    ----------
    path
        Lock file; created when missing.
    owner
        ``(uid, gid)`` to give a new file to; ``None`` leaves it with this process.

    Returns
    -------
    FileLock or None
        ``None`` when another open file holds the lock.

    Raises
    ------
    OSError
        The file cannot be opened.
    """
    lock = FileLock(path, _open(path, owner))
    try:
        fcntl.flock(lock.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    except BaseException:
        lock.close()
        raise
    return lock


def wait_lock(path: Path, seconds: float, owner: tuple[int, int] | None = None) -> FileLock | None:
    """Take the lock, waiting for it up to ``seconds``; ``None`` when it is still held then.

    Polls instead of blocking, so that Ctrl-C and the time limit work in every thread.
    """
    deadline = time.monotonic() + seconds
    pause = 0.001
    while (lock := try_lock(path, owner)) is None and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(pause * 2, 0.05)
    return lock


def is_held(path: Path) -> bool:
    """Tell whether somebody holds the lock at ``path``; a missing file is held by nobody."""
    try:
        with _registering:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            _open_fds.add(fd)
    except FileNotFoundError:
        return False
    lock = FileLock(path, fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        lock.close()
    return False


def wait_until(true: Callable[[], bool], seconds: float, pause: float = 0.005) -> bool:
    """Ask ``true()`` every ``pause`` seconds; return whether it became true within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
    return True


def _forget_in_child() -> None:
    for fd in _open_fds:
        os.close(fd)
    _open_fds.clear()
    _registering.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_registering.acquire, after_in_parent=_registering.release, after_in_child=_forget_in_child
    )
