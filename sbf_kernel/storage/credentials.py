"""SQL of what proves who somebody is: sign-ins with their refresh tokens, API tokens, invitations.

Of secrets only the SHA-256 is stored: they are random, 32 bytes, so that no
slow hash is needed. Connections come from ``db.accounts()``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from sqlalchemy import text

from sbf_kernel.errors import Conflict, NotFound
from sbf_kernel.records import ApiToken, ApiTokenList, Invitation
from sbf_kernel.storage.statements import page

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from sbf_kernel.records import TokenScope, UserRole

SETTLING_SECONDS = 5
"""After a change of rights no API token is made for so long: other processes may still take an old one for good."""
_SHOWN = "id, name, scopes, created_at, expires_at, last_used_at"


@dataclass(frozen=True)
class Credential:
    """What is known of a user by one credential."""

    user_id: UUID
    role: UserRole
    token_epoch: int
    good: bool
    """The user is active, and the credential was neither revoked nor made void by a change of rights."""
    scopes: tuple[TokenScope, ...] = ("read", "write", "admin")
    expires_at: datetime | None = None


async def open_sign_in(
    connection: AsyncConnection, user_id: UUID, token_epoch: int, token_hash: bytes, days: int
) -> UUID:
    """Begin a family of refresh tokens and return its id; forget those of the user that are over.

    Parameters
    ----------
    token_epoch
        As it was when the password was checked: a change since then makes the sign-in void.
    """
    sign_in_id = uuid4()
    values = {"id": sign_in_id, "user_id": user_id, "epoch": token_epoch, "hash": token_hash, "days": days}
    await connection.execute(text("delete from sign_ins where user_id = :user_id and expires_at < now()"), values)
    await connection.execute(
        text("""insert into sign_ins (id, user_id, token_epoch, expires_at)
                values (:id, :user_id, :epoch, now() + make_interval(days => :days))"""),
        values,
    )
    await _add_refresh_token(connection, sign_in_id, token_hash, days)
    return sign_in_id


async def rotate(
    connection: AsyncConnection, old_hash: bytes, new_hash: bytes, days: int
) -> tuple[UUID, UUID, int] | None:
    """Exchange a refresh token for a new one, once; a second use revokes the family.

    Of those who come at once the token's row lets one through; the others
    wait for it and revoke what it got. Commit also when None is returned.

    Returns
    -------
    Sign-in, user and token epoch; None when the token is not good (any more).
    """
    values = {"old": old_hash, "days": days}
    rows = await connection.execute(
        text("""select s.id, s.user_id, s.token_epoch,
                  s.revoked_at is null and s.token_epoch = u.token_epoch and u.status = 'active'
                from sign_ins s join users u on u.id = s.user_id
                where s.id = (select sign_in_id from refresh_tokens where hash = :old)"""),
        values,
    )
    family = rows.first()
    if family is None:
        return None
    used = await connection.execute(
        text("""update refresh_tokens set used_at = now()
                where hash = :old and used_at is null and expires_at > now()"""),
        values,
    )
    if not used.rowcount:
        await revoke_sign_in(connection, old_hash)
    if not used.rowcount or not family[3]:
        return None
    await connection.execute(
        text("delete from refresh_tokens where sign_in_id = :id and expires_at < now()"), {"id": family[0]}
    )
    await connection.execute(
        text("update sign_ins set expires_at = now() + make_interval(days => :days) where id = :id"),
        {"id": family[0], "days": days},
    )
    await _add_refresh_token(connection, family[0], new_hash, days)
    return family[0], family[1], family[2]


async def _add_refresh_token(connection: AsyncConnection, sign_in_id: UUID, token_hash: bytes, days: int) -> None:
    await connection.execute(
        text("""insert into refresh_tokens (hash, sign_in_id, expires_at)
                values (:hash, :id, now() + make_interval(days => :days))"""),
        {"hash": token_hash, "id": sign_in_id, "days": days},
    )


async def revoke_sign_in(connection: AsyncConnection, token_hash: bytes) -> None:
    """Revoke all tokens of the sign-in this refresh token came from; nothing happens when it is unknown."""
    await connection.execute(
        text("""update sign_ins set revoked_at = coalesce(revoked_at, now())
                where id = (select sign_in_id from refresh_tokens where hash = :hash)"""),
        {"hash": token_hash},
    )


async def of_sign_in(connection: AsyncConnection, sign_in_id: UUID) -> Credential | None:
    """Return what a sign-in proves."""
    rows = await connection.execute(
        text("""select u.id as user_id, u.role, u.token_epoch,
                  u.status = 'active' and s.revoked_at is null and s.token_epoch = u.token_epoch as good
                from sign_ins s join users u on u.id = s.user_id where s.id = :id"""),
        {"id": sign_in_id},
    )
    row = rows.mappings().first()
    return None if row is None else Credential(**row)


async def of_api_token(connection: AsyncConnection, token_hash: bytes) -> Credential | None:
    """Return what an API token proves, and note once a minute that it was used."""
    rows = await connection.execute(
        text("""select u.id as user_id, u.role, u.token_epoch, t.scopes, t.expires_at,
                  u.status = 'active' and t.revoked_at is null and t.token_epoch = u.token_epoch as good,
                  t.last_used_at is null or t.last_used_at < now() - interval '1 minute' as stale
                from api_tokens t join users u on u.id = t.user_id where t.hash = :hash"""),
        {"hash": token_hash},
    )
    row = rows.mappings().first()
    if row is None:
        return None
    known = dict(row)
    if known.pop("stale") and known["good"]:
        await connection.execute(
            text("update api_tokens set last_used_at = now() where hash = :hash"), {"hash": token_hash}
        )
    return Credential(**known | {"scopes": tuple(known["scopes"])})


async def of_hub_user(connection: AsyncConnection, name: str) -> Credential:
    """Return what a JupyterHub says of a user, who becomes a member when seen for the first time."""
    select = text("""select id as user_id, role, token_epoch, status = 'active' as good
                     from users where name = :name""")
    row = (await connection.execute(select, {"name": name})).mappings().first()
    if row is None:
        await connection.execute(
            text("insert into users (id, name, role) values (:id, :name, 'member') on conflict (name) do nothing"),
            {"id": uuid4(), "name": name},
        )
        row = (await connection.execute(select, {"name": name})).mappings().one()
    return Credential(**row)


async def create_api_token(
    connection: AsyncConnection,
    user_id: UUID,
    token_hash: bytes,
    name: str,
    scopes: tuple[TokenScope, ...],
    expires_at: datetime | None,
) -> ApiToken:
    """Insert a token of an active user.

    Raises
    ------
    Conflict
        The user's rights changed within the last :data:`SETTLING_SECONDS`.
    """
    rows = await connection.execute(
        text(f"""insert into api_tokens (id, hash, user_id, token_epoch, name, scopes, expires_at)
                 select :id, :hash, id, token_epoch, :name, :scopes, :expires_at from users
                 where id = :user_id and status = 'active' and epoch_at < now() - make_interval(secs => :settling)
                 returning {_SHOWN}"""),
        {
            "id": uuid4(),
            "hash": token_hash,
            "user_id": user_id,
            "name": name,
            "scopes": list(scopes),
            "expires_at": expires_at,
            "settling": SETTLING_SECONDS,
        },
    )
    row = rows.mappings().first()
    if row is None:
        raise Conflict(
            "no token can be made just after password, role or status changed",
            hint=f"try again in {SETTLING_SECONDS} seconds",
        )
    return ApiToken(**row)


async def find_api_tokens(
    connection: AsyncConnection, user_id: UUID, *, search: str, limit: int, offset: int
) -> ApiTokenList:
    """Return a page of the user's tokens that were not revoked, newest first."""
    where = """user_id = %(user_id)s and revoked_at is null
        and token_epoch = (select token_epoch from users where id = %(user_id)s)"""
    where += " and strpos(lower(name), lower(%(search)s)) > 0" if search else ""
    values: dict[str, Any] = {"user_id": user_id, "search": search, "limit": limit, "offset": offset}
    rows, total = await page(connection, _SHOWN, "api_tokens", where, "created_at desc, id", values)
    return ApiTokenList(items=tuple(ApiToken(**row) for row in rows), total=total, limit=limit, offset=offset)


async def revoke_api_token(connection: AsyncConnection, user_id: UUID, token_id: UUID) -> None:
    """Make one of the user's tokens useless.

    Raises
    ------
    NotFound
        The user has no such token.
    """
    done = await connection.execute(
        text("""update api_tokens set revoked_at = coalesce(revoked_at, now())
                where user_id = :user_id and id = :id"""),
        {"user_id": user_id, "id": token_id},
    )
    if not done.rowcount:
        raise no_token(token_id)


def no_token(token_id: UUID) -> NotFound:
    """Return the error for an unknown token."""
    return NotFound(f"there is no token {token_id}", hint="ws.tokens.list() shows all", token_id=str(token_id))


async def create_invitation(
    connection: AsyncConnection, secret: str, token_hash: bytes, role: UserRole, hours: int
) -> Invitation:
    """Store an invitation; forget those that are over."""
    await connection.execute(text("delete from invitations where expires_at < now()"))
    expires_at = await connection.scalar(
        text("""insert into invitations (hash, role, expires_at)
                values (:hash, :role, now() + make_interval(hours => :hours)) returning expires_at"""),
        {"hash": token_hash, "role": role, "hours": hours},
    )
    assert isinstance(expires_at, datetime)
    return Invitation(secret=secret, role=role, expires_at=expires_at)


async def invitation_is_good(connection: AsyncConnection, token_hash: bytes) -> bool:
    """Tell whether an invitation was made, not used and not over."""
    found = await connection.scalar(
        text("select 1 from invitations where hash = :hash and used_at is null and expires_at > now()"),
        {"hash": token_hash},
    )
    return found is not None


async def use_invitation(connection: AsyncConnection, token_hash: bytes) -> UserRole | None:
    """Use an invitation up and return the role it gives; None when it is not good. One of many at once gets it."""
    role: UserRole | None = await connection.scalar(
        text("""update invitations set used_at = now()
                where hash = :hash and used_at is null and expires_at > now() returning role"""),
        {"hash": token_hash},
    )
    return role
