"""What many users need: epochs, idempotency keys, chats, notes, usage."""

from pathlib import Path

from sbf_kernel.storage.schema import run_script

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Run ``0002_service.sql``."""
    run_script(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Run ``0002_service.down.sql``."""
    run_script(Path(__file__).with_suffix(".down.sql"))
