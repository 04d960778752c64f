"""``python -m benchmarks``: the quick ones, each in a process of its own; their results go to ``build/benchmarks``.

``--full`` runs all at full size and renews ``benchmarks/results`` and the tables of ``docs/benchmarks.md``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from benchmarks import report

QUICK = (
    ("imports",),
    ("startup", "--runs", "4"),
    ("ingest", "--rounds", "1"),
    ("latency", "--chunks", "20000", "--questions", "50"),
    ("scale", "--chunks", "20000", "--questions", "20"),
    ("reference_bm25",),
    ("service", "--rounds", "1", "--streams", "50", "--answers", "10", "--seconds", "5"),
)
FULL = (("imports",), ("startup",), ("ingest",), ("latency",), ("scale",), ("reference_bm25",), ("service",))


def main() -> int:
    """Run from the command line; the exit code tells whether all could be measured."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--full", action="store_true", help="at full size: about an hour")
    full, failed = arguments.parse_args().full, []
    for name, *options in FULL if full else QUICK:
        print(f"\n== {name}", flush=True)
        command = [
            sys.executable,
            "-m",
            f"benchmarks.{name}",
            *options,
            *(() if full else ("--output", "build/benchmarks")),
        ]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    if full:
        report.main()
    print(f"\nfailed: {', '.join(failed)}" if failed else "\nall measured")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
