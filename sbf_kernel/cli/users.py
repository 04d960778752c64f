"""``sbf users …`` and ``sbf keys …``: for whoever runs a deployment, on its database and home."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from sbf_kernel.cli.console import command, group, open_workspace, page, say, write

if TYPE_CHECKING:
    import argparse

    from sbf_kernel.accounts.keys import KeyFile
    from sbf_kernel.records import User
    from sbf_kernel.workspace import Workspace


def register(commands: Any) -> None:
    """Add the commands of this module."""
    family = group(commands, "users", "make, invite, suspend and delete users of a deployment")
    new = command(family, "add", add, "make a user; asks for the password, or reads it from stdin")
    new.add_argument("name", metavar="NAME")
    new.add_argument("--admin", action="store_true", help="let the user manage users")
    listing = command(family, "list", list_users, "list users")
    listing.add_argument("--search", default="", metavar="TEXT", help="part of the name")
    listing.add_argument("--status", choices=("active", "suspended"))
    listing.add_argument("--limit", type=int, default=50)
    listing.add_argument("--offset", type=int, default=0)
    for name, run, about in (
        ("suspend", suspend, "let a user do nothing more, within seconds; the data stay"),
        ("reinstate", reinstate, "let a suspended user sign in again"),
        ("delete", delete, "delete a user with all data, for good"),
        ("password", password, "set a password; asks for it, or reads it from stdin"),
    ):
        command(family, name, run, about).add_argument("user", metavar="USER", help="name or id")
    invitation = command(family, "invite", invite, "print an invitation: who has it may become a user, once")
    invitation.add_argument("--admin", action="store_true", help="let that user manage users")
    invitation.add_argument("--hours", type=int, default=72, help="how long it is good (default: 72)")
    token = command(family, "token", make_token, "print a new API token of a user")
    token.add_argument("user", metavar="USER", help="name or id")
    token.add_argument("--name", default="command line", metavar="TEXT", help="what the token is for")
    token.add_argument(
        "--scope", action="append", choices=("read", "write", "admin"), help="repeatable (default: read)"
    )
    token.add_argument("--days", type=int, help="how long it is good (default: until it is revoked)")
    _register_keys(commands)


def _register_keys(commands: Any) -> None:
    family = group(commands, "keys", "the keys that sign access tokens")
    command(family, "list", list_keys, "list the keys; the first signs")
    command(family, "rotate", rotate, "let a new key sign; nobody is logged out")
    retired = command(family, "retire", retire, "remove a key: what it signed is refused at once")
    retired.add_argument("kid", metavar="KEY", help="its id")


def add(options: argparse.Namespace) -> None:
    """Make a user."""
    secret = _new_password()
    with open_workspace(options) as workspace:
        made = workspace.users.create(options.name, secret, role="admin" if options.admin else "member")
    _write_user(options, made)


def list_users(options: argparse.Namespace) -> None:
    """List users."""
    with open_workspace(options) as workspace:
        found = workspace.users.list(options.search, status=options.status, limit=options.limit, offset=options.offset)
    write(options, found, page(found, "users"))


def suspend(options: argparse.Namespace) -> None:
    """Suspend a user."""
    with open_workspace(options) as workspace:
        user = workspace.users.suspend(options.user)
    _write_user(options, user)


def reinstate(options: argparse.Namespace) -> None:
    """Reinstate a user."""
    with open_workspace(options) as workspace:
        user = workspace.users.reinstate(options.user)
    _write_user(options, user)


def delete(options: argparse.Namespace) -> None:
    """Delete a user."""
    from sbf_kernel.display.escaping import one_line

    with open_workspace(options) as workspace:
        user = workspace.users.get(options.user)
        workspace.users.delete(user)
    write(options, f"deleted {one_line(user.name)} and all that was theirs", {"deleted": user.model_dump(mode="json")})


def password(options: argparse.Namespace) -> None:
    """Set a user's password."""
    secret = _new_password()
    with open_workspace(options) as workspace:
        user = workspace.users.update(options.user, password=secret)
    _write_user(options, user)


def invite(options: argparse.Namespace) -> None:
    """Make an invitation."""
    with open_workspace(options) as workspace:
        made = workspace.users.invite(role="admin" if options.admin else "member", hours=options.hours)
    say(f"good once, until {made.expires_at:%Y-%m-%d %H:%M} UTC; it is shown this once")
    write(options, made.secret, made.model_dump(mode="json"))


def make_token(options: argparse.Namespace) -> None:
    """Make an API token of a user."""
    from datetime import UTC, datetime, timedelta

    expires = None if options.days is None else datetime.now(UTC) + timedelta(days=options.days)
    with open_workspace(options) as workspace:
        user = workspace.users.get(options.user)
        made = _as(workspace, user).tokens.create(options.name, tuple(options.scope or ("read",)), expires_at=expires)
    say("it is shown this once")
    write(options, made.secret, made.model_dump(mode="json"))


def _as(workspace: Workspace, user: User) -> Workspace:
    """Return the workspace of a user: who runs the database may do what its users may."""
    import atexit

    from sbf_kernel.backends.local import LocalBackend
    from sbf_kernel.records import Principal
    from sbf_kernel.workspace import Workspace

    backend = workspace._backend
    assert isinstance(backend, LocalBackend)
    principal = Principal(user_id=str(user.id), roles=(user.role,))
    theirs = Workspace(LocalBackend(backend.runtime, principal), workspace._loop, workspace.settings)
    atexit.unregister(theirs.close)  # runtime and loop are closed with the first
    return theirs


def list_keys(options: argparse.Namespace) -> None:
    """List the signing keys."""
    rows = _key_file(options).listed()
    shown = "\n".join(f"{kid}  made {at[:16]}{'  signs' * (kid == rows[0][0])}" for kid, at in rows)
    write(options, shown, {"keys": [{"kid": kid, "created_at": at} for kid, at in rows]})


def rotate(options: argparse.Namespace) -> None:
    """Let a new key sign."""
    kid = _key_file(options).rotate()
    write(options, f"{kid} signs from now on; older keys are still taken", {"signs": kid})


def retire(options: argparse.Namespace) -> None:
    """Remove a key."""
    _key_file(options).retire(options.kid)
    write(options, f"{options.kid} is taken no longer", {"retired": options.kid})


def _key_file(options: argparse.Namespace) -> KeyFile:
    from sbf_kernel.accounts.keys import KeyFile
    from sbf_kernel.errors import Conflict
    from sbf_kernel.settings import Settings

    settings = Settings() if options.home is None else Settings(home=options.home)
    if settings.signing_keys is not None:
        raise Conflict(
            "the keys are in SBF_SIGNING_KEYS", hint="put a new one first there, keep the old, and restart each process"
        )
    return KeyFile(settings.home)


def _new_password() -> str:
    """Ask twice at a terminal, else read one line: never an argument, which other users of the machine can see."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    from getpass import getpass

    from sbf_kernel.errors import InvalidInput

    first = getpass("Password: ")
    if getpass("Again: ") != first:
        raise InvalidInput("the two passwords differ", hint="type the same twice")
    return first


def _write_user(options: argparse.Namespace, user: User) -> None:
    write(options, user, user.model_dump(mode="json"))
