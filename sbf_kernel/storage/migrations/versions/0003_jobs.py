"""Background work."""

from importlib.util import find_spec
from pathlib import Path

from alembic import op

from sbf_kernel.storage.schema import run_script

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make procrastinate's tables in a schema of their own, then run ``0003_jobs.sql``."""
    package = find_spec("procrastinate")  # found, not imported: that would take half a second
    assert package is not None
    assert package.origin is not None
    op.execute("create schema sbf_queue")
    op.execute("set local search_path = sbf_queue")
    run_script(Path(package.origin).parent / "sql" / "schema.sql")
    op.execute("reset search_path")
    run_script(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Run ``0003_jobs.down.sql``."""
    run_script(Path(__file__).with_suffix(".down.sql"))
