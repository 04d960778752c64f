"""The foundation: notebooks, sources, immutable versions, chunks, both search indexes, answers."""

from pathlib import Path

from alembic import op

from sbf_kernel.storage.schema import run_script

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table, policy and function of ``0001_foundation.sql``."""
    run_script(Path(__file__).with_suffix(".sql"))


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
