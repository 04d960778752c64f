"""SQL of sharing: who may use a notebook of somebody else, and under which share an object can be reached."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from uuid import UUID

from sqlalchemy import text

from sbf_kernel.errors import NotFound
from sbf_kernel.records import Guest, Member, MemberList, Notebook, NotebookList, Principal
from sbf_kernel.storage.statements import page

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

Shared = Literal["notebook", "source", "answer", "chat", "note"]
"""What can be reached through a share."""
_ORDER = {"updated": "n.updated_at desc", "created": "n.created_at desc", "name": "lower(n.name)"}


class Person(NamedTuple):
    """A user as sharing knows them."""

    id: str
    name: str


async def people(connection: AsyncConnection, name: str, user_id: str) -> tuple[Person | None, Person]:
    """Return the user of this name, if any, and the one who asks, in one statement.

    Parameters
    ----------
    connection
        Of :meth:`Database.accounts`.
    user_id
        Tenant of the one who asks. In a local workspace that is no user, and the tenant's name stands for them.
    """
    rows = await connection.execute(
        text("select cast(id as text) as id, name from users where name = :name or id = cast(:id as uuid)"),
        {"name": name, "id": _as_uuid(user_id)},
    )
    found = [Person(row.id, row.name) for row in rows]
    wanted = next((person for person in found if person.name == name), None)
    return wanted, next((person for person in found if person.id == user_id), Person(user_id, user_id))


def _as_uuid(value: str) -> UUID | None:
    try:
        return UUID(value)
    except ValueError:
        return None


async def share(
    connection: AsyncConnection, owner: Person, notebook_id: UUID, member: Person, role: Literal["viewer", "editor"]
) -> Member:
    """Let a user into a notebook, or change their role in it."""
    row = await connection.execute(
        text("""insert into shares as s (user_id, notebook_id, member_id, member_name, owner_name, role)
                values (:user_id, :notebook_id, :member_id, :member_name, :owner_name, :role)
                on conflict (user_id, notebook_id, member_id) do update set role = excluded.role,
                  member_name = excluded.member_name, owner_name = excluded.owner_name
                returning s.member_name as name, s.role, s.created_at"""),
        {
            "user_id": owner.id,
            "notebook_id": notebook_id,
            "member_id": member.id,
            "member_name": member.name,
            "owner_name": owner.name,
            "role": role,
        },
    )
    return Member(**row.mappings().one())


async def members(
    connection: AsyncConnection, user_id: str, notebook_id: UUID, *, search: str, limit: int, offset: int
) -> MemberList:
    """Return a page of those who may use a notebook, by name."""
    where = "user_id = %(user_id)s and notebook_id = %(notebook_id)s"
    where += " and strpos(lower(member_name), lower(%(search)s)) > 0" if search else ""
    values = {"user_id": user_id, "notebook_id": notebook_id, "search": search, "limit": limit, "offset": offset}
    columns = "member_name as name, role, created_at"
    rows, total = await page(connection, columns, "shares", where, "member_name, member_id", values)
    return MemberList(items=tuple(Member(**row) for row in rows), total=total, limit=limit, offset=offset)


async def unshare(connection: AsyncConnection, user_id: str, notebook_id: UUID, name: str) -> None:
    """Take a user's access away.

    Raises
    ------
    NotFound
        The notebook is not shared with a user of this name.
    """
    done = await connection.execute(
        text("delete from shares where user_id = :user_id and notebook_id = :notebook_id and member_name = :name"),
        {"user_id": user_id, "notebook_id": notebook_id, "name": name},
    )
    if not done.rowcount:
        raise NotFound(f"{name!r} is no member of notebook {notebook_id}", hint="nb.members() shows who is")


async def find(connection: AsyncConnection, *, search: str, sort: str, limit: int, offset: int) -> NotebookList:
    """Return a page of the notebooks that others share with the tenant; ``search`` as in one's own list.

    The tenant is the transaction's: row-level security hides what belongs to
    others, so this comes from a function that binds the member itself.
    """
    where = "true"
    if search:
        where += """ and (strpos(lower(n.name), lower(%(search)s)) > 0
            or strpos(lower(n.description), lower(%(search)s)) > 0)"""
    values: dict[str, Any] = {"search": search, "limit": limit, "offset": offset}
    rows, total = await page(connection, "n.*", "shared_notebooks() n", where, f"{_ORDER[sort]}, n.id", values)
    return NotebookList(items=tuple(Notebook(**row) for row in rows), total=total, limit=limit, offset=offset)


async def as_seen_by(connection: AsyncConnection, principal: Principal, notebook: Notebook) -> Notebook:
    """Return the notebook with the role of the one who asks, and for a guest its owner's name."""
    if principal.guest is None:
        return notebook
    owner = await connection.scalar(
        text("""select owner_name from shares
                where user_id = :user_id and notebook_id = :notebook_id and member_id = :member_id"""),
        {"user_id": principal.user_id, "notebook_id": notebook.id, "member_id": principal.author},
    )
    return notebook.model_copy(update={"role": principal.guest.role, "owner": owner or ""})


async def guest_for(
    connection: AsyncConnection, principal: Principal, kind: Shared, ids: Sequence[UUID]
) -> Principal | None:
    """Return as whom the principal may reach all of these objects through one share, if there is one.

    Of several shares the one that allows most counts.
    """
    row = (
        await connection.execute(
            text("select user_id, notebook_id, role from share_of(:kind, :ids)"), {"kind": kind, "ids": list(ids)}
        )
    ).first()
    if row is None:
        return None
    guest = Guest(user_id=principal.user_id, notebook_id=row.notebook_id, role=row.role)
    return Principal(user_id=row.user_id, scopes=principal.scopes, guest=guest)


async def scattered(connection: AsyncConnection, principal: Principal, kind: Shared, ids: Sequence[UUID]) -> bool:
    """Whether the principal may reach each of these notebooks or sources, some through a share, but not all through one."""
    table = "notebooks" if kind == "notebook" else "sources"
    return bool(
        await connection.scalar(
            text(f"""select bool_or(shared) and bool_and(shared or own) from (
                       select exists(select from {table} o where o.user_id = :user_id and o.id = wanted.id) as own,
                              exists(select from share_of(:kind, array[wanted.id])) as shared
                       from unnest(cast(:ids as uuid[])) wanted (id)) reachable
                     where exists(select from shared_notebooks())"""),
            {"user_id": principal.user_id, "kind": kind, "ids": list(ids)},
        )
    )
