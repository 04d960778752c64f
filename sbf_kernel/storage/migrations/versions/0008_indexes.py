"""Indexes that begin with the source."""

from pathlib import Path

from sbf_kernel.storage.schema import run_script

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Run ``0008_indexes.sql``."""
    run_script(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Run ``0008_indexes.down.sql``."""
    run_script(Path(__file__).with_suffix(".down.sql"))
