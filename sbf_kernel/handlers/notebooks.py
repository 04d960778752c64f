"""Notebooks, and who may use them."""

from __future__ import annotations

from sbf_kernel import operations as op
from sbf_kernel.records import Member, MemberList, Notebook, NotebookList, Principal
from sbf_kernel.runtime import Runtime
from sbf_kernel.storage import notebooks


async def create_notebook(runtime: Runtime, principal: Principal, o: op.CreateNotebook) -> Notebook:
    """Make a notebook."""
    async with runtime.db.change(principal) as connection:
        return await notebooks.create(connection, principal.user_id, o.name, o.description)


async def list_notebooks(runtime: Runtime, principal: Principal, o: op.ListNotebooks) -> NotebookList:
    """List notebooks."""
    async with runtime.db.transaction(principal) as connection:
        return await notebooks.find(
            connection, principal.user_id, search=o.search, sort=o.sort, limit=o.limit, offset=o.offset
        )


async def get_notebook(runtime: Runtime, principal: Principal, o: op.GetNotebook) -> Notebook:
    """Return one notebook."""
    async with runtime.db.transaction(principal) as connection:
        return await notebooks.get(connection, principal.user_id, o.notebook_id)


async def update_notebook(runtime: Runtime, principal: Principal, o: op.UpdateNotebook) -> Notebook:
    """Rename or describe a notebook."""
    async with runtime.db.change(principal) as connection:
        return await notebooks.update(connection, principal.user_id, o.notebook_id, o.name, o.description)


async def delete_notebook(runtime: Runtime, principal: Principal, o: op.DeleteNotebook) -> None:
    """Delete a notebook, not its sources."""
    async with runtime.db.change(principal) as connection:
        await notebooks.delete(connection, principal.user_id, o.notebook_id)


async def share_notebook(runtime: Runtime, principal: Principal, o: op.ShareNotebook) -> Member:
    """Let another user read or change a notebook."""
    raise NotImplementedError


async def list_members(runtime: Runtime, principal: Principal, o: op.ListMembers) -> MemberList:
    """List who may use a notebook."""
    raise NotImplementedError


async def unshare_notebook(runtime: Runtime, principal: Principal, o: op.UnshareNotebook) -> None:
    """Take a user's access away."""
    raise NotImplementedError
