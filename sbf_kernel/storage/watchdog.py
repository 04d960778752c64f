"""The keeper of one embedded server: starts it, and stops it when nobody holds a lease.

A script, never imported: ``python -I -S -E watchdog.py DATA UID GID RUN_FD OWN_FD SERVER_FD [postgres …]``.
It outlives whoever started it, so a client that is killed with ``kill -9`` leaves no server behind.
Kept to a handful of modules, because it stays in memory as long as the server does.

Two locks arrive already taken, as open files, so that there is no moment in which they are free:
``OWN_FD`` says "the keeper is alive", ``SERVER_FD`` is handed on to the server and all its children,
and is free only when the last of them is gone. Without a command the keeper adopts the running server.
"""

# No pathlib and no contextlib: this process stays in memory.
# ruff: noqa: S606, SIM105

from __future__ import annotations

import os
import select
import signal
import sys
import time

if sys.platform != "win32":
    import fcntl

POLL_SECONDS = 1.0
"""How long a killed client may go unnoticed; a released lease wakes the keeper at once."""

STOP_STEPS = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0)) if sys.platform != "win32" else ()
"""PostgreSQL's fast shutdown, immediate shutdown (replays its log at the next start), and the end."""


def drop_privileges(uid: int, gid: int) -> None:
    """Become the user the server runs as; ``-1`` keeps the present one."""
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)


def try_flock(name: str, directory: int, shared: bool) -> int | None:
    """Lock ``name`` and return the open file, or ``None`` when somebody holds it."""
    fd = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return None
    return fd


def is_held(name: str, directory: int) -> bool:
    """Tell whether a process holds the lock ``name``; in doubt it does."""
    try:
        fd = try_flock(name, directory, shared=True)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    if fd is None:
        return True
    os.close(fd)
    return False


def any_lease(leases: int) -> bool:
    """Tell whether a living process holds a lease."""
    return any(is_held(name, leases) for name in os.listdir(leases))


class Server:
    """The server to keep: our child, or one whose keeper was killed."""

    def __init__(self, data: str, run: int, pid: int | None) -> None:
        self.data = data
        self.run = run
        self.child = pid

    def gone(self) -> bool:
        """Tell whether the server has ended (and collect it, when it is our child)."""
        if self.child is None:
            return not is_held("server.lock", self.run)
        return os.waitpid(self.child, os.WNOHANG)[0] == self.child

    def pid(self) -> int | None:
        """Return the postmaster's pid, or ``None`` when it cannot be told for sure."""
        if self.child is not None:
            return self.child
        try:
            with open(os.path.join(self.data, "postmaster.pid"), "rb") as file:
                pid = int(file.readline())
            if os.path.isdir("/proc/self") and os.readlink(f"/proc/{pid}/cwd") != os.path.realpath(self.data):
                return None
        except (OSError, ValueError):
            return None
        return pid

    def stop(self) -> None:
        """End the server, politely first; return when it is gone or nothing helps."""
        pid = self.pid()
        if pid is None:
            return
        for step, seconds in STOP_STEPS:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                if self.ends_after(pid, step):
                    return

    def ends_after(self, pid: int, step: int) -> bool:
        """Send the signal and wait a moment; to be repeated, since a server that is just starting may lose it."""
        try:
            os.kill(pid, step)
        except ProcessLookupError:
            pass
        end = time.monotonic() + 0.5
        while not self.gone():
            if time.monotonic() > end:
                return False
            time.sleep(0.005)
        return True


def launch(command: list[str], server_fd: int) -> int:
    """Start the server in a session of its own and return its pid."""
    pid = os.fork()
    if pid:
        os.close(server_fd)
        return pid
    try:
        os.setsid()
        os.set_inheritable(server_fd, True)
        for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.execve(command[0], command, os.environ)
    except OSError as error:
        os.write(2, f"FATAL:  cannot run {command[0]}: {error}\n".encode(errors="replace"))
    finally:
        os._exit(127)


def child_signal() -> int:
    """Return a pipe end that becomes readable when a child ends."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return read_end


def keep(server: Server, run: int, own_fd: int, child_ended: int) -> None:
    """Wait until the server is gone or unused; stop it when it is unused."""
    leases = os.open("leases", os.O_RDONLY | os.O_CLOEXEC, dir_fd=run)
    wake = os.open("wake", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=run)
    while not server.gone():
        pause = POLL_SECONDS
        if not any_lease(leases):
            try:
                start_lock = try_flock("start.lock", run, shared=False)
            except FileNotFoundError:  # the whole directory was deleted: nobody can come any more
                return server.stop()
            if start_lock is None:
                pause = 0.02  # somebody starts, attaches or looks: look again soon
            else:
                if not any_lease(leases):
                    server.stop()
                    os.close(own_fd)  # before the start lock: whoever gets that must see no keeper
                    return None
                os.close(start_lock)
        for ready in select.select([wake, child_ended], [], [], pause)[0]:
            os.read(ready, 512)
    return None


def main(arguments: list[str]) -> None:
    """Detach, start or adopt the server, and keep it."""
    data = arguments[0]
    uid, gid, run, own_fd, server_fd = (int(text) for text in arguments[1:6])
    command = arguments[6:]
    os.chdir("/")
    os.umask(0o077)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for fd in (run, own_fd, server_fd):
        if fd >= 0:
            os.set_inheritable(fd, False)
    drop_privileges(uid, gid)
    if os.fork():
        os._exit(0)  # nobody's child: whoever started us need not collect us
    child_ended = child_signal()
    keep(Server(data, run, launch(command, server_fd) if command else None), run, own_fd, child_ended)
    os._exit(0)  # nothing to tidy up, and whoever waits for the end need not wait for that


if __name__ == "__main__":
    main(sys.argv[1:])
