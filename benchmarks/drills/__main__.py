"""``python -m benchmarks.drills``: all drills; the exit code tells whether every promise held."""

from __future__ import annotations

import sys

from benchmarks.drills import kill_ingest, kill_workers, redis_away

if __name__ == "__main__":
    broken = [drill.main() for drill in (kill_ingest, kill_workers, redis_away)]
    sys.exit(any(broken))
