"""``python -m benchmarks.drills``: all drills, or those that are named; the exit code tells whether every promise held."""

from __future__ import annotations

import argparse
import subprocess
import sys

DRILLS = ("kill_ingest", "kill_workers", "redis_away", "sign_in", "postgres_away", "cuts", "fuzz", "fresh_install")


def main() -> int:
    """Run from the command line."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("drills", nargs="*", metavar="DRILL", default=DRILLS, help=", ".join(DRILLS))
    broken = []
    for name in arguments.parse_args().drills:
        print(f"\n== {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.drills.{name}"], check=False).returncode:
            broken.append(name)
    print(f"\nbroken: {', '.join(broken)}" if broken else "\nevery promise held")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
