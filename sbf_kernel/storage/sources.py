"""SQL of sources: registering, status, listing, linking to notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from sqlalchemy import text

from sbf_kernel.errors import NotFound
from sbf_kernel.records import Source, SourceList, SourceText
from sbf_kernel.storage.statements import page

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

COLUMNS = """s.id, s.name, s.origin, s.media_type, s.status, s.stage, s.reason, s.message, s.done, s.total, s.language,
s.tags, s.version, s.version_id, s.char_count, s.chunk_count, s.page_count, coalesce(encode(s.sha256, 'hex'), '') as sha256,
s.created_at, s.updated_at"""
_ORDER = {
    "added": "s.created_at, s.id",
    "newest": "s.created_at desc, s.id desc",
    "name": "lower(s.name), s.id",
    "updated": "s.updated_at desc, s.id",
}


def _source(row: Mapping[Any, Any]) -> Source:
    return Source(**row)


async def lock_content(connection: AsyncConnection, user_id: str, sha256: bytes) -> None:
    """Make concurrent registrations of the same bytes by one tenant wait for each other until commit."""
    await connection.execute(
        text("select pg_advisory_xact_lock(hashtext(:user_id), hashtext(:digest))"),
        {"user_id": user_id, "digest": sha256.hex()},
    )


async def by_origin(connection: AsyncConnection, user_id: str, origin: str) -> Source | None:
    """Return the source that came from ``origin``, if any, locked until commit."""
    return await _one(connection, "md5(s.origin) = md5(:origin) for update", user_id=user_id, origin=origin)


async def by_content(connection: AsyncConnection, user_id: str, sha256: bytes) -> Source | None:
    """Return the oldest source with these raw bytes, if any; one that failed only when there is no other."""
    return await _one(
        connection,
        "s.sha256 = :sha256 order by s.status = 'failed', s.created_at, s.id limit 1",
        user_id=user_id,
        sha256=sha256,
    )


async def _one(connection: AsyncConnection, condition: str, **values: Any) -> Source | None:
    statement = text(f"select {COLUMNS} from sources s where s.user_id = :user_id and {condition}")
    row = (await connection.execute(statement, values)).mappings().first()
    return _source(row) if row else None


async def get(connection: AsyncConnection, user_id: str, source_id: UUID) -> Source:
    """Return one source.

    Raises
    ------
    NotFound
        Unknown, or another tenant's.
    """
    found = await _one(connection, "s.id = :id", user_id=user_id, id=source_id)
    if found is None:
        raise missing(source_id)
    return found


async def get_many(connection: AsyncConnection, user_id: str, source_ids: Iterable[UUID]) -> list[Source]:
    """Return those of the sources that exist."""
    rows = await connection.execute(
        text(f"select {COLUMNS} from sources s where s.user_id = :user_id and s.id = any(:ids)"),
        {"user_id": user_id, "ids": list(source_ids)},
    )
    return [_source(row) for row in rows.mappings()]


async def insert(
    connection: AsyncConnection,
    user_id: str,
    *,
    origin: str,
    name: str,
    media_type: str,
    language: str,
    tags: tuple[str, ...],
    sha256: bytes | None,
    url: str | None,
) -> Source | None:
    """Insert a pending source. Returns None when another process inserted this origin meanwhile."""
    source_id = uuid4()
    done = await connection.execute(
        text("""insert into sources (user_id, id, origin, name, media_type, language_hint, tags, sha256, url)
                values (:user_id, :id, :origin, :name, :media_type, :language, :tags, :sha256, :url)
                on conflict do nothing"""),
        {
            "user_id": user_id,
            "id": source_id,
            "origin": origin,
            "name": name,
            "media_type": media_type,
            "language": language,
            "tags": list(tags),
            "sha256": sha256,
            "url": url,
        },
    )
    return await get(connection, user_id, source_id) if done.rowcount else None


async def requeue(connection: AsyncConnection, user_id: str, source_id: UUID) -> Source:
    """Make a source pending again."""
    await connection.execute(
        text("""update sources set status = 'pending', stage = 'queued', reason = '', message = '', done = 0, total = 0,
                updated_at = now() where user_id = :user_id and id = :id"""),
        {"user_id": user_id, "id": source_id},
    )
    return await get(connection, user_id, source_id)


async def replace(
    connection: AsyncConnection,
    user_id: str,
    source_id: UUID,
    *,
    sha256: bytes | None,
    url: str | None,
    media_type: str,
    language: str,
) -> Source:
    """Make a source pending with other bytes, or another address; its name stays, and its versions do."""
    await connection.execute(
        text("""update sources set url = :url, sha256 = coalesce(:sha256, sha256), media_type = :media_type,
                language_hint = :language where user_id = :user_id and id = :id"""),
        {
            "user_id": user_id,
            "id": source_id,
            "sha256": sha256,
            "url": url,
            "media_type": media_type,
            "language": language,
        },
    )
    return await requeue(connection, user_id, source_id)


async def tag(connection: AsyncConnection, user_id: str, source_id: UUID, tags: Iterable[str]) -> Source:
    """Add tags to those a source has."""
    await connection.execute(
        text("""update sources set tags = tags || array(select t from unnest(cast(:tags as text[])) t where t <> all(tags)),
                updated_at = now() where user_id = :user_id and id = :id"""),
        {"user_id": user_id, "id": source_id, "tags": list(dict.fromkeys(tags))},
    )
    return await get(connection, user_id, source_id)


async def set_stage(
    connection: AsyncConnection, user_id: str, source_id: UUID, stage: str, done: int = 0, total: int = 0
) -> None:
    """Record what is happening to a source that is being processed."""
    await connection.execute(
        text("""update sources set status = 'processing', stage = :stage, done = :done, total = :total, updated_at = now()
                where user_id = :user_id and id = :id"""),
        {"user_id": user_id, "id": source_id, "stage": stage, "done": done, "total": total},
    )


async def set_outcome(
    connection: AsyncConnection,
    user_id: str,
    source_id: UUID,
    *,
    status: str,
    stage: str,
    reason: str = "",
    message: str = "",
) -> None:
    """Record that processing ended: ``ready`` or ``failed`` with a reason, or back to ``pending`` when stopped.

    If it was asked for once more meanwhile, maybe with newer bytes, this is not
    the outcome of that, and nothing is recorded.
    """
    await lock(connection, user_id, [source_id])
    await connection.execute(
        text("""update sources s set status = :status, stage = :stage, reason = :reason, message = :message, updated_at = now()
                where user_id = :user_id and id = :id and not exists (select from jobs j where j.user_id = :user_id
                  and j.kind = 'ingest' and j.subject_id = s.id and j.again)"""),
        {
            "user_id": user_id,
            "id": source_id,
            "status": status,
            "stage": stage,
            "reason": reason,
            "message": message,
        },
    )


async def stop(connection: AsyncConnection, user_id: str, source_ids: Iterable[UUID]) -> list[UUID]:
    """Make those of the sources pending that are being processed, or wait for it. Returns them, locked until commit."""
    await lock(connection, user_id, source_ids)
    rows = await connection.execute(
        text("""update sources set status = 'pending', stage = 'cancelled', reason = '', message = '', updated_at = now()
                where user_id = :user_id and id = any(:ids) and status in ('pending', 'processing') returning id"""),
        {"user_id": user_id, "ids": list(source_ids)},
    )
    return list(rows.scalars())


async def lock(connection: AsyncConnection, user_id: str, source_ids: Iterable[UUID]) -> None:
    """Lock sources until commit, in the one order that cannot deadlock."""
    await connection.execute(
        text("select from sources where user_id = :user_id and id = any(:ids) order by id for update"),
        {"user_id": user_id, "ids": list(source_ids)},
    )


async def set_content(
    connection: AsyncConnection, user_id: str, source_id: UUID, sha256: bytes, media_type: str, name: str | None
) -> None:
    """Record the bytes that were fetched for a URL source."""
    await connection.execute(
        text("""update sources set sha256 = :sha256, media_type = :media_type, name = coalesce(:name, name)
                where user_id = :user_id and id = :id"""),
        {"user_id": user_id, "id": source_id, "sha256": sha256, "media_type": media_type, "name": name},
    )


async def work_item(connection: AsyncConnection, user_id: str, source_id: UUID) -> Mapping[Any, Any] | None:
    """Return what processing needs: name, url, sha256, media type, language hint, current version's hashes."""
    row = await connection.execute(
        text("""select s.name, s.origin, s.url, s.sha256, s.media_type, s.language_hint, s.status, s.version_id,
                v.sha256 as version_sha256, v.text_sha256 from sources s
                left join source_versions v on v.user_id = s.user_id and v.id = s.version_id
                where s.user_id = :user_id and s.id = :id"""),
        {"user_id": user_id, "id": source_id},
    )
    return row.mappings().first()


async def unfinished(connection: AsyncConnection, user_id: str) -> list[Source]:
    """Return all sources that are pending or in processing, oldest first."""
    rows = await connection.execute(
        text(
            f"select {COLUMNS} from sources s where s.user_id = :user_id and s.status in ('pending', 'processing') "
            "order by s.created_at, s.id"
        ),
        {"user_id": user_id},
    )
    return [_source(row) for row in rows.mappings()]


async def find(
    connection: AsyncConnection,
    user_id: str,
    *,
    notebook_id: UUID | None,
    status: str | None,
    tag: str | None,
    search: str,
    removed: bool,
    sort: str,
    limit: int,
    offset: int,
) -> SourceList:
    """Return a page of sources; ``search`` matches part of name or origin without regard to case."""
    values: dict[str, Any] = {
        "user_id": user_id,
        "notebook_id": notebook_id,
        "status": status,
        "tag": tag,
        "search": search,
        "limit": limit,
        "offset": offset,
    }
    where = "s.user_id = %(user_id)s"
    if notebook_id or removed:
        where += f""" and exists (select from notebook_sources l where l.user_id = s.user_id and l.source_id = s.id
            {"and l.notebook_id = %(notebook_id)s" if notebook_id else ""}
            and l.removed_at is {"not null" if removed else "null"})"""
    where += " and s.status = %(status)s" if status else ""
    where += " and %(tag)s = any(s.tags)" if tag else ""
    if search:
        where += " and (strpos(lower(s.name), lower(%(search)s)) > 0 or strpos(lower(s.origin), lower(%(search)s)) > 0)"
    rows, total = await page(connection, COLUMNS, "sources s", where, _ORDER[sort], values)
    return SourceList(items=tuple(map(_source, rows)), total=total, limit=limit, offset=offset)


async def update(
    connection: AsyncConnection, user_id: str, source_id: UUID, name: str | None, tags: tuple[str, ...] | None
) -> Source:
    """Change what is not None and return the source."""
    await connection.execute(
        text("""update sources set name = coalesce(:name, name), tags = coalesce(:tags, tags), updated_at = now()
                where user_id = :user_id and id = :id"""),
        {"user_id": user_id, "id": source_id, "name": name, "tags": None if tags is None else list(tags)},
    )
    return await get(connection, user_id, source_id)


async def link(connection: AsyncConnection, user_id: str, notebook_id: UUID, source_id: UUID) -> None:
    """Put a source into a notebook, or back into it."""
    await connection.execute(
        text("""insert into notebook_sources (user_id, notebook_id, source_id) values (:user_id, :notebook_id, :source_id)
                on conflict (user_id, notebook_id, source_id) do update set removed_at = null"""),
        {"user_id": user_id, "notebook_id": notebook_id, "source_id": source_id},
    )


async def unlink(connection: AsyncConnection, user_id: str, notebook_id: UUID, source_id: UUID) -> None:
    """Take a source out of a notebook, restorably."""
    done = await connection.execute(
        text("""update notebook_sources set removed_at = now() where user_id = :user_id and notebook_id = :notebook_id
                and source_id = :source_id and removed_at is null"""),
        {"user_id": user_id, "notebook_id": notebook_id, "source_id": source_id},
    )
    if not done.rowcount:
        raise NotFound(f"source {source_id} is not in notebook {notebook_id}", hint="nb.sources.list() shows what is")


async def delete(connection: AsyncConnection, user_id: str, source_id: UUID) -> None:
    """Delete a source with its versions and index entries.

    Raises
    ------
    NotFound
        Unknown, or another tenant's.
    """
    await connection.exec_driver_sql("set local statement_timeout = 0")  # a book takes longer than other requests may
    if not await lock_for_index(connection, user_id, [source_id]):
        raise missing(source_id)
    values = {"user_id": user_id, "id": source_id}
    await connection.execute(text("delete from lexical where user_id = :user_id and source_id = :id"), values)
    await connection.execute(text("delete from embeddings where user_id = :user_id and source_id = :id"), values)
    await connection.execute(text("delete from sources where user_id = :user_id and id = :id"), values)


async def lock_for_index(
    connection: AsyncConnection, user_id: str, source_ids: Iterable[UUID]
) -> dict[UUID, bytes | None]:
    """Lock what whoever changes index entries must lock, in the one order that cannot deadlock.

    First the sources, by id; then the tenant's word statistics, which the
    index's triggers lock too.

    Returns
    -------
    The raw bytes' SHA-256 of those sources that exist.
    """
    rows = (
        await connection.execute(
            text("select id, sha256 from sources where user_id = :user_id and id = any(:ids) order by id for update"),
            {"user_id": user_id, "ids": list(source_ids)},
        )
    ).all()
    if rows:
        await connection.execute(
            text("select pg_advisory_xact_lock(hashtext('sbf.term_stats'), hashtext(:user_id))"), {"user_id": user_id}
        )
    return {row.id: None if row.sha256 is None else bytes(row.sha256) for row in rows}


async def source_text(
    connection: AsyncConnection, user_id: str, source_id: UUID, version_id: UUID | None
) -> SourceText:
    """Return the text of a version, by default the current one.

    Raises
    ------
    NotFound
        No such source or version, or nothing was read yet.
    """
    source = await get(connection, user_id, source_id)
    row = (
        (
            await connection.execute(
                text("""select id as version_id, number as version, encode(text_sha256, 'hex') as sha256, text from source_versions
                where user_id = :user_id and source_id = :source_id and id = :version_id"""),
                {"user_id": user_id, "source_id": source_id, "version_id": version_id or source.version_id},
            )
        )
        .mappings()
        .first()
    )
    if row is None:
        raise NotFound(
            f"{source.name} has no {'such version' if version_id else 'text yet'} ({source.status})",
            hint=source.message or ("leave version_id out for the newest" if version_id else "wait until it is ready"),
            source_id=str(source_id),
        )
    return SourceText(source_id=source_id, name=source.name, **row)


async def version_file(
    connection: AsyncConnection, user_id: str, source: Source, version_id: UUID | None
) -> tuple[UUID, bytes]:
    """Return the id of a version, by default the current one, and the SHA-256 of the raw bytes it was read from.

    Raises
    ------
    NotFound
        No such version, or nothing was read yet.
    """
    row = (
        await connection.execute(
            text("""select id, sha256 from source_versions
                    where user_id = :user_id and source_id = :source_id and id = :version_id"""),
            {"user_id": user_id, "source_id": source.id, "version_id": version_id or source.version_id},
        )
    ).first()
    if row is None:
        raise NotFound(
            f"{source.name} has no {'such version' if version_id else 'pages yet'} ({source.status})",
            hint=source.message or ("leave version_id out for the newest" if version_id else "wait until it is ready"),
            source_id=str(source.id),
        )
    return row.id, bytes(row.sha256)


async def version_texts(connection: AsyncConnection, user_id: str, version_ids: Iterable[UUID]) -> dict[UUID, str]:
    """Return the immutable texts of versions by id; unknown ids are absent."""
    rows = await connection.execute(
        text("select id, text from source_versions where user_id = :user_id and id = any(:ids)"),
        {"user_id": user_id, "ids": list(version_ids)},
    )
    return {row.id: row.text for row in rows}


def missing(source_id: UUID) -> NotFound:
    """Return the error for an unknown source."""
    return NotFound(f"there is no source {source_id}", hint="ws.sources.list() shows all", source_id=str(source_id))
