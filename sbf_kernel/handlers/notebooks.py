"""Notebooks, and who may use them."""

from __future__ import annotations

from sbf_kernel import operations as op
from sbf_kernel.errors import InvalidInput, NotFound
from sbf_kernel.records import Member, MemberList, Notebook, NotebookList, Principal
from sbf_kernel.runtime import Runtime
from sbf_kernel.storage import notebooks, sharing


async def create_notebook(runtime: Runtime, principal: Principal, o: op.CreateNotebook) -> Notebook:
    """Make a notebook."""
    async with runtime.db.change(principal) as connection:
        return await notebooks.create(connection, principal.user_id, o.name, o.description)


async def list_notebooks(runtime: Runtime, principal: Principal, o: op.ListNotebooks) -> NotebookList:
    """List one's own notebooks, or those that others share."""
    async with runtime.db.transaction(principal) as connection:
        if o.shared:
            return await sharing.find(connection, search=o.search, sort=o.sort, limit=o.limit, offset=o.offset)
        return await notebooks.find(
            connection, principal.user_id, search=o.search, sort=o.sort, limit=o.limit, offset=o.offset
        )


async def get_notebook(runtime: Runtime, principal: Principal, o: op.GetNotebook) -> Notebook:
    """Return one notebook."""
    async with runtime.db.transaction(principal) as connection:
        found = await notebooks.get(connection, principal.user_id, o.notebook_id)
        return await sharing.as_seen_by(connection, principal, found)


async def update_notebook(runtime: Runtime, principal: Principal, o: op.UpdateNotebook) -> Notebook:
    """Rename or describe a notebook."""
    async with runtime.db.change(principal) as connection:
        changed = await notebooks.update(connection, principal.user_id, o.notebook_id, o.name, o.description)
        return await sharing.as_seen_by(connection, principal, changed)


async def delete_notebook(runtime: Runtime, principal: Principal, o: op.DeleteNotebook) -> None:
    """Delete a notebook, not its sources."""
    async with runtime.db.change(principal) as connection:
        await notebooks.delete(connection, principal.user_id, o.notebook_id)


async def share_notebook(runtime: Runtime, principal: Principal, o: op.ShareNotebook) -> Member:
    """Let another user read or change a notebook.

    Raises
    ------
    NotFound
        No such notebook, or no such user.
    InvalidInput
        That is oneself.
    """
    await get_notebook(runtime, principal, op.GetNotebook(notebook_id=o.notebook_id))  # before users are told of
    async with runtime.db.accounts() as connection:
        member, owner = await sharing.people(connection, o.member, principal.user_id)
    if member is None:
        raise NotFound(f"there is no user {o.member!r}", hint="ask them under which name they sign in")
    if member.id == principal.user_id:
        raise InvalidInput("the notebook is yours", hint="share it with somebody else")
    async with runtime.db.change(principal) as connection:
        await notebooks.require(connection, principal.user_id, (o.notebook_id,))
        return await sharing.share(connection, owner, o.notebook_id, member, o.role)


async def list_members(runtime: Runtime, principal: Principal, o: op.ListMembers) -> MemberList:
    """List who may use a notebook."""
    async with runtime.db.transaction(principal) as connection:
        await notebooks.require(connection, principal.user_id, (o.notebook_id,))
        return await sharing.members(
            connection, principal.user_id, o.notebook_id, search=o.search, limit=o.limit, offset=o.offset
        )


async def unshare_notebook(runtime: Runtime, principal: Principal, o: op.UnshareNotebook) -> None:
    """Take a user's access away, at once: also from what they are reading right now."""
    async with runtime.db.change(principal) as connection:
        await notebooks.require(connection, principal.user_id, (o.notebook_id,))
        await sharing.unshare(connection, principal.user_id, o.notebook_id, o.member)
