"""What an editor may change of a source that is added again."""

from pathlib import Path

from sbf_kernel.storage.schema import run_script

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Run ``0009_replacing.sql``."""
    run_script(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Run ``0009_replacing.down.sql``."""
    run_script(Path(__file__).with_suffix(".down.sql"))
