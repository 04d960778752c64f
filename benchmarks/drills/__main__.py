"""``python -m benchmarks.drills``: all drills; the exit code tells whether every promise held."""

from __future__ import annotations

import sys

from benchmarks.drills import kill_ingest

if __name__ == "__main__":
    sys.exit(kill_ingest.main())
