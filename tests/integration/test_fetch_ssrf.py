"""The fetcher in a network namespace full of canaries: nothing inside may accept a connection."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import sbf_kernel

pytestmark = pytest.mark.timeout(60)
SCRIPT = Path(__file__).with_name("fetch_canaries.py")


def _unshare() -> list[str]:
    """Return the command that enters an empty network, or skip."""
    if not sys.platform.startswith("linux") or not shutil.which("unshare") or not shutil.which("ip"):
        pytest.skip("needs Linux with unshare (util-linux) and ip (iproute2)")
    command = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]
    probe = subprocess.run([*command, "ip", "link", "set", "lo", "up"], capture_output=True, text=True, check=False)
    if probe.returncode:
        pytest.skip(f"this system does not let us make a network namespace: {probe.stderr.strip()}")
    return command


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    package = Path(next(iter(sbf_kernel.__path__))).parent
    done = subprocess.run(
        [*_unshare(), sys.executable, str(SCRIPT)],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
        env=os.environ | {"PYTHONPATH": str(package)},
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_the_canaries_can_be_reached_and_the_public_place_answers(seen: dict[str, Any]) -> None:
    assert seen["singing"] >= 20
    assert seen["control"] == "secret"


def test_no_canary_accepted_a_connection(seen: dict[str, Any]) -> None:
    assert set(seen["accepted"]) == {"93.184.216.34 80"}


def test_every_attempt_was_refused_with_a_reason(seen: dict[str, Any]) -> None:
    assert seen["tried"] >= 200
    assert seen["outcomes"] == {"refused": seen["tried"]}


def test_rebinding_reached_the_first_answer_only(seen: dict[str, Any]) -> None:
    assert seen["rebound"] == 20
