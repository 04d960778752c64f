"""Create a PostgreSQL data directory: whole or not at all, and the same on every machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from sbf_kernel.errors import StoreUnavailable
from sbf_kernel.storage.pg_place import Place, make_directory, open_private

if TYPE_CHECKING:
    from pathlib import Path

    from sbf_kernel.storage.pg_binaries import Binaries
    from sbf_kernel.storage.pg_locks import FileLock

SYNC = "syncfs" if sys.platform == "linux" else "fsync"
"""How a whole data directory is forced to disk: by one call where there is one, else file by file (slow)."""

LOCALES: tuple[tuple[str, ...], ...] = (
    *(
        (
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--lc-collate=C",
            f"--lc-ctype={ctype}",
            f"--sync-method={SYNC}",
        )
        for ctype in ("C.UTF-8", "en_US.UTF-8", "UTF-8")
    ),
    ("--locale=C.UTF-8",),
    ("--lc-collate=C", "--lc-ctype=en_US.UTF-8"),
    ("--locale=C",),
)
"""``initdb`` options to try in turn. The builtin provider (PostgreSQL 17+) sorts alike on every machine;
with ``lc_ctype=C`` trigram search would drop every letter that is not ASCII, so that comes last."""


def environment(library_path: Path | None = None) -> dict[str, str]:
    """Return the environment for server programs: nothing in it may change what they do.

    Parameters
    ----------
    library_path
        Where the programs find their libraries, if they need to be told.
    """
    dropped = ("PG", "LC_", "PYTHON", "LANG", "LD_PRELOAD")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    clean.update(LC_ALL="C", TZ="UTC")
    if library_path is not None:
        clean["LD_LIBRARY_PATH"] = str(library_path)
    return clean


def initialise(place: Place, binaries: Binaries, guard: FileLock) -> None:
    """Create the data directory, whole or not at all.

    Parameters
    ----------
    place
        Where. Works in ``data.new`` beside it and renames that at the end.
    binaries
        Whose ``initdb`` to use.
    guard
        ``server.lock``; ``initdb`` inherits it, so that it bars others even when this process is killed.

    Raises
    ------
    StoreUnavailable
        ``initdb`` fails with every locale; the message quotes it.
    """
    _check_user_has_name(place)
    user = place.user
    new = place.data.with_name("data.new")
    output = place.base / "initdb.log"
    for locale in LOCALES:
        shutil.rmtree(new, ignore_errors=True)
        make_directory(new, 0o700, place.owner)
        command = [
            binaries.program("initdb"),
            "--pgdata",
            str(new),
            "--username=postgres",
            "--encoding=UTF8",
            "--auth-local=trust",
            "--auth-host=reject",
            "--data-checksums",
            "--lc-messages=C",
            *locale,
        ]
        with os.fdopen(open_private(output, os.O_TRUNC, None), "wb") as log:
            done = subprocess.run(  # noqa: S603 - our own arguments
                command,
                env=environment(binaries.library_path),
                cwd="/",
                check=False,
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(guard.fd,),
                user=user.uid if user else None,
                group=user.gid if user else None,
                extra_groups=[] if user else None,
            )
        if done.returncode == 0:
            new.rename(place.data)
            output.unlink()
            return
        if not re.search("locale|option|sync", tail(output, 0)):
            break  # another locale will not help
    shutil.rmtree(new, ignore_errors=True)
    raise StoreUnavailable(
        f"Cannot create the database in {place.data}: {tail(output, 0)}",
        hint=f"see {output}; check free space and permissions, or set SBF_HOME or SBF_DATABASE_URL",
    )


def _check_user_has_name(place: Place) -> None:
    import pwd

    uid = place.user.uid if place.user else os.geteuid()
    try:
        pwd.getpwuid(uid)
    except KeyError:
        raise StoreUnavailable(
            f"PostgreSQL cannot create a database as user {uid}, who has no name on this system",
            hint=f"add a line for {uid} to /etc/passwd (in a container image: useradd), or set SBF_DATABASE_URL",
        ) from None


def tail(log: Path, begin: int) -> str:
    """Return what matters of a log, on one line.

    Parameters
    ----------
    log
        The file.
    begin
        Byte to start at.
    """
    try:
        with log.open("rb") as file:
            file.seek(begin)
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError as error:
        return str(error)
    telling = [line for line in lines if re.search(r"FATAL|PANIC|ERROR|error|DETAIL|could not|cannot", line)]
    return " | ".join(line.strip() for line in (telling or lines)[-4:]) or "it said nothing"
