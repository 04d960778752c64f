"""What somebody may do: the one place that looks at roles and scopes."""

from __future__ import annotations

from sbf_kernel.errors import Forbidden
from sbf_kernel.operations import ChangePassword, Operation
from sbf_kernel.records import Principal, TokenScope

ANONYMOUS = Principal(user_id="anonymous", scopes=())
"""Who does what needs no token."""
_ADMINISTRATORS = {"admin", "owner"}


def scope_of(operation: Operation | type[Operation]) -> TokenScope:
    """Return the scope a token needs for an operation.

    ``read`` for every GET, and for searching, asking and chatting, which only
    add to one's own history; ``admin`` for administrators' operations, for what
    hands out a secret (else a leaked token could make others that outlive it)
    and for changing the password (else it could guess it, and take the account
    over); else ``write``.
    """
    kind = operation if isinstance(operation, type) else type(operation)
    if kind.admin or kind.secretive or kind is ChangePassword:
        return "admin"
    return "read" if kind.reads or kind.method == "GET" else "write"


def require(principal: Principal, operation: Operation | type[Operation]) -> None:
    """Let pass who may do this.

    Raises
    ------
    Forbidden
        The role or the scope is missing; the message names it.
    """
    if operation.public:
        return
    what = operation.__name__ if isinstance(operation, type) else type(operation).__name__
    if operation.admin and not _ADMINISTRATORS & set(principal.roles):
        raise Forbidden(f"only administrators may do {what}", hint="ask one of them", operation=what)
    needed = scope_of(operation)
    if needed not in principal.scopes:
        raise Forbidden(
            f"the token lacks the scope {needed!r}, which {what} needs",
            hint="use a token with that scope, or sign in with name and password",
            operation=what,
            scope=needed,
        )
