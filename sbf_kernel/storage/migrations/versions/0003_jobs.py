"""Background work."""

from pathlib import Path

from sbf_kernel.storage.schema import run_script

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Run ``0003_jobs.sql``."""
    run_script(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Run ``0003_jobs.down.sql``."""
    run_script(Path(__file__).with_suffix(".down.sql"))
