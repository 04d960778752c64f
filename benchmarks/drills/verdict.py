"""What must be true of a database after any number of kills: one statement per promise."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from sbf_kernel.ingest.prepare import prepare
from sbf_kernel.storage import embedded

NOTHING = {
    "sources that are not ready": "select name, status, stage, message from sources where status <> 'ready'",
    "origins twice": "select origin from sources group by origin having count(*) > 1",
    "sources without exactly one link": "select s.id from sources s left join notebook_sources n on n.source_id = s.id group by 1 having count(n.source_id) <> 1",
    "contents stored twice": "select source_id, sha256 from source_versions group by 1, 2 having count(*) > 1",
    "versions with gaps in their numbers": "select source_id from source_versions group by 1 having max(number) <> count(*)",
    "sources whose version is not the newest": """select s.id from sources s left join source_versions v on v.id = s.version_id
        where v.sha256 is distinct from s.sha256 or v.number is distinct from s.version
          or v.number <> (select max(number) from source_versions m where m.source_id = s.id)""",
    "sources with a wrong number of chunks": """select s.id from sources s left join chunks c on c.source_id = s.id and c.version_id = s.version_id
        group by s.id, s.chunk_count having count(c.id) <> s.chunk_count or count(c.id) = 0""",
    "chunks of old versions": "select c.id from chunks c join sources s on s.id = c.source_id where c.version_id <> s.version_id",
    "chunk numbers with gaps": "select version_id from chunks group by 1 having min(ordinal) <> 0 or max(ordinal) + 1 <> count(*)",
    "chunks that are not words of their text": """select c.id from chunks c join source_versions v on v.id = c.version_id
        where c.text <> substr(v.text, c.start_char + 1, c.end_char - c.start_char)""",
    "chunks without exactly one lexical row": "select c.id from chunks c full join lexical l on l.chunk_id = c.id where l.chunk_id is null or c.id is null",
    "chunks without exactly one vector": """select c.id from chunks c left join embeddings e on e.chunk_id = c.id group by 1 having count(e.chunk_id) <> 1""",
    "vectors without a chunk": "select e.chunk_id from embeddings e left join chunks c on c.id = e.chunk_id where c.id is null",
    "wrong term statistics": """select term, t.df, k.df from (select term, df from term_stats where df <> 0) t
        full join (select key as term, count(*) as df from lexical, unnest(keys) key group by 1) k using (term) where t.df is distinct from k.df""",
    "wrong chunk statistics": """select language, t.chunks, k.chunks from (select language, chunks from collection_stats where chunks <> 0) t
        full join (select language, count(*) as chunks from lexical group by 1) k using (language) where t.chunks is distinct from k.chunks""",
}
"""What must not be found."""


def faults(store: Path, folder: Path, contents: Mapping[str, Sequence[bytes]], logs: Sequence[Path]) -> dict[str, Any]:
    """Check every promise.

    Parameters
    ----------
    contents
        All contents each file ever had, the last one now.
    logs
        What the workers were told: a line with source, version and hash per outcome.

    Returns
    -------
    ``faults`` as sentences; what was counted.
    """
    server = embedded.acquire(store)
    try:
        with psycopg.connect(server.conninfo, autocommit=True, options="-c search_path=sbf,public") as connection:
            found = [
                f"{promise}: {len(rows)}, such as {rows[0]}"
                for promise, statement in NOTHING.items()
                if (rows := connection.execute(statement).fetchall())
            ]
            versions = {
                row[0]: row[1:]
                for row in connection.execute(
                    "select v.id, s.name, v.sha256, v.text, v.text_sha256 from source_versions v join sources s on s.id = v.source_id"
                )
            }
            current = dict(connection.execute("select name, version_id from sources").fetchall())
            leftovers = connection.execute("select count(*) from embedding_cache").fetchone()
    finally:
        server.release()
    acknowledged = {(UUID(version), digest) for log in logs if log.exists() for _, version, digest in _lines(log)}
    found += [f"acknowledged and lost: {version}" for version, _ in acknowledged if version not in versions]
    found += _wrong_contents(folder, contents, versions, current)
    return {
        "faults": found,
        "acknowledged": len(acknowledged),
        "versions": len(versions),
        "embeddings_kept_needlessly": leftovers[0] if leftovers else 0,
    }


def _lines(log: Path) -> list[tuple[str, str, str]]:
    lines = log.read_text(encoding="utf-8").split("\n")
    return [tuple(json.loads(line)) for line in lines[:-1]]  # type: ignore[misc]  # the last one may be cut


def _wrong_contents(
    folder: Path, contents: Mapping[str, Sequence[bytes]], versions: Mapping[UUID, Any], current: Mapping[str, UUID]
) -> list[str]:
    wrong = [f"{len(current)} sources for {len(contents)} files"] if set(current) != set(contents) else []
    for name, texts in contents.items():
        last = versions.get(current.get(name))  # type: ignore[arg-type]
        if last is None or bytes(last[1]) != hashlib.sha256(texts[-1]).digest():
            wrong.append(f"{name} is not stored as it is now")
        elif last[2] != prepare(str(folder / name), name, "", None, "")["text"] or "state" not in last[2]:
            wrong.append(f"the text of {name} differs from the file")
    known = {(name, hashlib.sha256(text).digest()): text.decode() for name, texts in contents.items() for text in texts}
    for version, (name, digest, text, text_digest) in versions.items():
        original = known.get((name, bytes(digest)))
        if (
            original is None
            or original.split() != text.split()
            or hashlib.sha256(text.encode()).digest() != bytes(text_digest)
        ):
            wrong.append(f"version {version} of {name} has not the words of the file")
    return wrong
