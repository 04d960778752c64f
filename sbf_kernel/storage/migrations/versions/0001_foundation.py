"""The foundation: notebooks, sources, immutable versions, chunks, both search indexes, answers."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table, policy and function of ``0001_foundation.sql``."""
    script = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    # The driver itself, without parameters: the script holds many statements and percent signs.
    op.get_bind().connection.cursor().execute(script)


def downgrade() -> None:
    """Remove them, keeping the schema that holds alembic's own table."""
    tables = (
        "answers",
        "embedding_cache",
        "embeddings",
        "lexical",
        "chunks",
        "source_versions",
        "notebook_sources",
        "sources",
        "notebooks",
        "term_stats",
        "collection_stats",
    )
    for table in tables:
        op.execute(f"drop table sbf.{table} cascade")
    op.execute("drop function sbf.lexical_candidates")
    op.execute("drop function sbf.count_terms")
