"""Who asks. Every handler gets one."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from sbf_kernel.records.record import Record

TokenScope = Literal["read", "write", "admin"]


class Guest(Record):
    """A user at work in a notebook that somebody else shared with them."""

    user_id: str
    notebook_id: UUID
    role: Literal["viewer", "editor"]


class Principal(Record):
    """On whose behalf something is done, and what that one may do."""

    user_id: str
    """The tenant: whose rows are seen and written."""
    roles: tuple[str, ...] = ()
    """``admin`` may manage users; ``owner`` is the one user of a local workspace, who may do all."""
    scopes: tuple[TokenScope, ...] = ("read", "write", "admin")
    """What the token allows; a sign-in allows all that its user may do."""
    guest: Guest | None = None
    """Set while somebody else works in one notebook of the tenant: then only that notebook is there."""

    @property
    def author(self) -> str:
        """The person: whose chats, notes and answers are seen and written."""
        return self.guest.user_id if self.guest else self.user_id

    @property
    def tenant(self) -> Principal:
        """The tenant itself: on its behalf goes on in the background what a guest began."""
        return Principal(user_id=self.user_id) if self.guest else self


LOCAL = Principal(user_id="local", roles=("owner", "admin"))
"""The one user of a local workspace."""
