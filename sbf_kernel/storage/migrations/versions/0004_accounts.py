"""Users and tokens."""

from pathlib import Path

from sbf_kernel.storage.schema import run_script

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Run ``0004_accounts.sql``."""
    run_script(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Run ``0004_accounts.down.sql``."""
    run_script(Path(__file__).with_suffix(".down.sql"))
