"""Notebooks that are shared, and what guests may see."""

from pathlib import Path

from sbf_kernel.storage.schema import run_script

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Run ``0005_sharing.sql``."""
    run_script(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Run ``0005_sharing.down.sql``."""
    run_script(Path(__file__).with_suffix(".down.sql"))
