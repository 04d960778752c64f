"""Usage in notebooks of others."""

from pathlib import Path

from sbf_kernel.storage.schema import run_script

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Run ``0007_usage.sql``."""
    run_script(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Run ``0007_usage.down.sql``."""
    run_script(Path(__file__).with_suffix(".down.sql"))
