"""SQL of users. They belong to the deployment: connections come from ``db.accounts()``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from sqlalchemy import text

from sbf_kernel.errors import Conflict, NotFound
from sbf_kernel.records import User, UserList
from sbf_kernel.storage.statements import page

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from sbf_kernel.records import UserRole, UserStatus

_COLUMNS = "id, name, role, status, created_at"
_ORDER = {"name": "name", "created": "created_at desc"}


async def create(connection: AsyncConnection, name: str, password_hash: str | None, role: UserRole) -> User:
    """Insert a user and return it.

    Raises
    ------
    Conflict
        The name is taken.
    """
    rows = await connection.execute(
        text(f"""insert into users (id, name, password_hash, role) values (:id, :name, :password_hash, :role)
                 on conflict (name) do nothing returning {_COLUMNS}"""),
        {"id": uuid4(), "name": name, "password_hash": password_hash, "role": role},
    )
    row = rows.mappings().first()
    if row is None:
        raise Conflict(f"there is a user {name!r} already", hint="choose another name", name=name)
    return User(**row)


async def get(connection: AsyncConnection, user_id: UUID) -> User:
    """Return one user.

    Raises
    ------
    NotFound
        There is none with this id.
    """
    rows = await connection.execute(text(f"select {_COLUMNS} from users where id = :id"), {"id": user_id})
    row = rows.mappings().first()
    if row is None:
        raise missing(user_id)
    return User(**row)


async def by_name(connection: AsyncConnection, name: str) -> User | None:
    """Return the user of this exact name (casefolded), or None."""
    rows = await connection.execute(text(f"select {_COLUMNS} from users where name = :name"), {"name": name})
    row = rows.mappings().first()
    return None if row is None else User(**row)


async def find(
    connection: AsyncConnection, *, search: str, status: UserStatus | None, sort: str, limit: int, offset: int
) -> UserList:
    """Return a page of users whose name contains ``search``, without regard to case."""
    where = "true"
    where += " and strpos(lower(name), %(search)s) > 0" if search else ""
    where += " and status = %(status)s" if status else ""
    values: dict[str, Any] = {"search": search.casefold(), "status": status, "limit": limit, "offset": offset}
    rows, total = await page(connection, _COLUMNS, "users", where, f"{_ORDER[sort]}, id", values)
    return UserList(items=tuple(User(**row) for row in rows), total=total, limit=limit, offset=offset)


async def change(
    connection: AsyncConnection,
    user_id: UUID,
    *,
    status: UserStatus | None = None,
    role: UserRole | None = None,
    password_hash: str | None = None,
) -> User:
    """Change what is not None, make void what was issued before, and return the user.

    Raises
    ------
    NotFound
        There is none with this id.
    Conflict
        No active administrator would be left.
    """
    if status == "suspended" or role == "member":
        await _keep_an_administrator(connection, user_id)
    rows = await connection.execute(
        text(f"""update users set status = coalesce(:status, status), role = coalesce(:role, role),
                   password_hash = coalesce(:password_hash, password_hash),
                   token_epoch = token_epoch + 1, epoch_at = now()
                 where id = :id returning {_COLUMNS}"""),
        {"id": user_id, "status": status, "role": role, "password_hash": password_hash},
    )
    row = rows.mappings().first()
    if row is None:
        raise missing(user_id)
    return User(**row)


async def remove(connection: AsyncConnection, user_id: UUID) -> None:
    """Delete a user with all tokens."""
    done = await connection.execute(text("delete from users where id = :id"), {"id": user_id})
    if not done.rowcount:
        raise missing(user_id)


async def _keep_an_administrator(connection: AsyncConnection, user_id: UUID) -> None:
    """Two that suspend each other at once wait here: each locks all active administrators, in the same order."""
    rows = await connection.execute(
        text("select id from users where role = 'admin' and status = 'active' order by id for update")
    )
    if set(rows.scalars()) == {user_id}:
        raise Conflict("this is the last active administrator", hint="make another one first", user_id=str(user_id))


async def password_of(connection: AsyncConnection, name: str) -> tuple[UUID, str | None, int, bool] | None:
    """Return id, password hash, token epoch and whether active of the user of this name, or None."""
    rows = await connection.execute(
        text("select id, password_hash, token_epoch, status = 'active' from users where name = :name"), {"name": name}
    )
    row = rows.first()
    return None if row is None else (row[0], row[1], row[2], row[3])


async def replace_hash(connection: AsyncConnection, user_id: UUID, old: str, new: str) -> None:
    """Store the hash of the same password under newer parameters, unless the password changed meanwhile."""
    await connection.execute(
        text("update users set password_hash = :new where id = :id and password_hash = :old"),
        {"id": user_id, "old": old, "new": new},
    )


def missing(user_id: UUID) -> NotFound:
    """Return the error for an unknown user."""
    return NotFound(f"there is no user {user_id}", hint="ws.users.list() shows all", user_id=str(user_id))
