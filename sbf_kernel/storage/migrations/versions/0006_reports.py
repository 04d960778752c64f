"""Reports."""

from pathlib import Path

from sbf_kernel.storage.schema import run_script

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Run ``0006_reports.sql``."""
    run_script(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Run ``0006_reports.down.sql``."""
    run_script(Path(__file__).with_suffix(".down.sql"))
