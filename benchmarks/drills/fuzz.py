"""Ten thousand requests made of the service's own description, good and bad: no 5xx, and no answer it does not describe.

schemathesis asks a live service as a member, with another seed each round,
until there were enough cases; then everything about accounts once more as an
administrator. Every answer is judged by the description: status, content type,
schema, headers.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from typing import Any

from benchmarks import measuring
from benchmarks.live import live
from tests.api.fuzzing import OWN_TOKEN, Found, fuzz

CASES = 10_000
EXAMPLES = 8
"""Random requests per operation and round."""
ADMINISTRATOR = (
    *("--include-tag", "accounts", "--phases", "coverage,fuzzing"),
    *("--exclude-operation-id", "UpdateUser", "--exclude-operation-id", "DeleteUser"),
)
"""Without what changes users: it would find its own in the list. What they refuse is in the other rounds."""


def drill(cases: int, examples: int, seed: int) -> dict[str, Any]:
    """Make rounds until there were ``cases`` and return the figures."""
    rounds: list[Found] = []
    allowances = {"streams_per_user": "1000", "rate_bad_tokens": "1000000"}
    with live(request_seconds="60", database_wait_seconds="30", **allowances) as target:
        while sum(found.cases for found in rounds) < cases:
            rounds.append(fuzz(target.url, target.token, examples, seed + len(rounds), *OWN_TOKEN))
            print(f"round {len(rounds)}: {rounds[-1].cases} cases, {len(rounds[-1].failures)} failures", flush=True)
            _show(rounds[-1])
        administrator = target.new_token("root", "admin")
        rounds.append(fuzz(target.url, administrator, examples, seed, *OWN_TOKEN, *ADMINISTRATOR))
        print(f"administrator: {rounds[-1].cases} cases, {len(rounds[-1].failures)} failures", flush=True)
        _show(rounds[-1])
        log = (target.home / "serve.log").read_text(encoding="utf-8")
    return {
        "seed": seed,
        "cases": sum(found.cases for found in rounds),
        "rounds": [found.cases for found in rounds],
        "failures": dict(Counter(failure for found in rounds for failure in found.failures)),
        "errors_in_the_log": sum('"level": "error"' in line for line in log.splitlines()),
    }


def _show(found: Found) -> None:
    if found.failures:
        print(found.log[-6_000:], flush=True)


def main() -> int:
    """Run from the command line; 1 when something was not as described."""
    arguments = measuring.parser(__doc__)
    arguments.add_argument("--cases", type=int, default=CASES)
    arguments.add_argument("--examples", type=int, default=EXAMPLES, help="random requests per operation and round")
    arguments.add_argument("--seed", type=int, default=1)
    options: argparse.Namespace = arguments.parse_args()
    before = measuring.load_average()
    figures = drill(options.cases, options.examples, options.seed)
    for key, value in figures.items():
        print(f"{key}: {value}")
    print("saved", measuring.save(options.output, "fuzz", figures, before).name)
    return int(bool(figures["failures"]) or figures["cases"] < options.cases)


if __name__ == "__main__":
    sys.exit(main())
