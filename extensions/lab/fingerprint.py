"""Prints the SHA-256 of what the bundle is made of: `make labextension` keeps it beside the bundle, a test compares."""

from __future__ import annotations

import hashlib
from pathlib import Path

PARTS = ("package.json", "rspack.config.js", "schema", "src", "style", "tsconfig.json", "yarn.lock")


def fingerprint(folder: Path) -> str:
    """Return the hash over names and contents of all sources of the extension in ``folder``."""
    files = [file for part in PARTS for file in sorted([folder / part, *(folder / part).rglob("*")]) if file.is_file()]
    total = hashlib.sha256()
    for file in files:
        name = file.relative_to(folder).as_posix()
        total.update(f"{name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


if __name__ == "__main__":
    print(fingerprint(Path(__file__).parent))  # noqa: T201
