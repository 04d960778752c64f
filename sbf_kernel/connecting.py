"""``connect()``: an address becomes a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sbf_kernel.errors import InvalidInput
from sbf_kernel.workspace import Workspace

if TYPE_CHECKING:
    from sbf_kernel.backends import Backend
    from sbf_kernel.settings import Settings


def connect(
    url: str | None = None, *, token: str | None = None, home: str | Path | None = None, **settings: Any
) -> Workspace:
    """Open a workspace.

    Parameters
    ----------
    url
        Nothing for the embedded database, ``postgresql://…`` for a server of
        your own, or ``https://…`` for an SBF service. ``SBF_URL`` or
        ``SBF_DATABASE_URL`` is the default.
    token
        Who you are at a service; default: ``SBF_TOKEN``.
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
    from sbf_kernel.backends.loop import LoopThread

    if url is not None:
        settings["url" if url.startswith(("http://", "https://")) else "database_url"] = url
    given = {"token": token, "home": home}
    chosen = _settings({**settings, **{name: value for name, value in given.items() if value is not None}})
    loop = LoopThread()
    try:
        return Workspace(loop.run(_open(chosen, stay_local=url is not None and "url" not in settings)), loop, chosen)
    except BaseException:
        loop.close()
        raise


def _settings(given: dict[str, Any]) -> Settings:
    from pydantic import ValidationError

    from sbf_kernel.settings import Settings

    unknown = set(given) - set(Settings.model_fields)
    if unknown:
        raise InvalidInput(
            f"unknown setting {', '.join(sorted(unknown))}",
            hint=f"there are {', '.join(sorted(Settings.model_fields))}",
        )
    address = given.get("database_url")
    if address is not None and not str(address).startswith(("postgresql://", "postgres://", "postgresql+psycopg://")):
        raise InvalidInput(
            f"cannot connect to {str(address).split('@')[-1]}",
            hint="use postgresql://… or https://…, or no address at all",
        )
    try:
        return Settings(**given)
    except ValidationError as error:
        problem = error.errors()[0]
        raise InvalidInput(
            f"setting {'.'.join(map(str, problem['loc']))}: {problem['msg']}", hint="see docs/settings.md"
        ) from error


async def _open(settings: Settings, *, stay_local: bool) -> Backend:
    """Open the backend the settings name; a service only loads what speaks HTTP."""
    if settings.socket is not None and not stay_local:
        from sbf_kernel.backends.bridge import BridgeBackend

        return BridgeBackend(settings.socket)
    if settings.url is not None and not stay_local:
        from sbf_kernel.backends.remote import RemoteBackend

        return RemoteBackend(settings.url, settings.token.get_secret_value() if settings.token else None)
    from sbf_kernel.backends.local import LocalBackend

    return await LocalBackend.open(settings)
