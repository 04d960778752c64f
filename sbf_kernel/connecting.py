"""``connect()``: an address becomes a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sbf_kernel.errors import InvalidInput
from sbf_kernel.workspace import Workspace


def connect(url: str | None = None, *, home: str | Path | None = None, **settings: Any) -> Workspace:
    """Open a workspace.

    Parameters
    ----------
    url
        Nothing for the embedded database, or ``postgresql://…`` for a server
        of your own. ``SBF_DATABASE_URL`` is the default.
    home
        Where the embedded database and raw files live; default: the
        platform's folder for user data, or ``SBF_HOME``.
    settings
        Any field of :class:`sbf_kernel.settings.Settings`.

    Returns
    -------
    A workspace; close it, or use it in a ``with`` statement.

    Raises
    ------
    InvalidInput
        An address of an unknown kind, or an unknown or wrong setting.
    StoreError
        The database cannot be started or reached; the message says why.
    """
    from pydantic import ValidationError

    from sbf_kernel.backends.local import LocalBackend
    from sbf_kernel.backends.loop import LoopThread
    from sbf_kernel.settings import Settings

    if url is not None:
        if not url.startswith(("postgresql://", "postgres://", "postgresql+psycopg://")):
            raise InvalidInput(
                f"cannot connect to {url.split('@')[-1]}", hint="use postgresql://… or no address at all"
            )
        settings["database_url"] = url
    if home is not None:
        settings["home"] = home
    unknown = set(settings) - set(Settings.model_fields)
    if unknown:
        raise InvalidInput(
            f"unknown setting {', '.join(sorted(unknown))}",
            hint=f"there are {', '.join(sorted(Settings.model_fields))}",
        )
    try:
        chosen = Settings(**settings)
    except ValidationError as error:
        problem = error.errors()[0]
        raise InvalidInput(
            f"setting {'.'.join(map(str, problem['loc']))}: {problem['msg']}", hint="see docs/settings.md"
        ) from error
    loop = LoopThread()
    try:
        return Workspace(loop.run(LocalBackend.open(chosen)), loop, chosen)
    except BaseException:
        loop.close()
        raise
