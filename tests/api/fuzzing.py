"""Lets schemathesis make requests of the service's own description, good and bad, and judge every answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONFIG = Path(__file__).with_name("schemathesis.toml")


@dataclass(frozen=True)
class Found:
    """What a run came to."""

    cases: int
    failures: tuple[str, ...]
    """What broke the description or answered 5xx: check and operation; and what could not be tested at all."""
    log: str


def fuzz(url: str, token: str, examples: int, seed: int, *options: str) -> Found:
    """Run one round.

    Parameters
    ----------
    examples
        Random requests per operation; the systematic ones come on top.
    options
        Further ones of ``schemathesis run``.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        done = subprocess.run(
            [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CONFIG), "run",
             f"{url}/openapi.json", "-H", f"Authorization: Bearer {token}", "--max-examples", str(examples),
             "--seed", str(seed), "--request-timeout", "60", "--continue-on-failure", "--no-color", "--no-shrink",
             "--report", "json", "--report-json-path", str(report), *options],
            env={**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(CONFIG.parent)},
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if not report.exists():
            raise AssertionError(done.stdout[-2_000:] + done.stderr[-2_000:])
        told: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    failures = [f"{one['title']}: {', '.join(one['operations'])}" for one in told["failures"]]
    failures += [f"not tested: {json.dumps(one)[:300]}" for one in told["errors"]]
    return Found(told["test_cases"]["generated"], tuple(failures), done.stdout)


OWN_TOKEN = ("--exclude-operation-id", "RevokeApiToken", "--exclude-operation-id", "ChangePassword")
"""A run that finds its own token in a list, and revokes it, tests nothing more than 401."""
