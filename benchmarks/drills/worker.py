"""One of the processes that the drill kills: adds a folder and writes down, durably, what it was told is ready.

``python -m benchmarks.drills.worker HOME FOLDER NOTEBOOK LOG EMBEDDER``
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import sbf_kernel as sbf
from sbf_kernel.records import Source


def main(home: str, folder: str, notebook: str, log: str, embedder: str) -> int:
    """Add the folder; 0 when every source ended ready."""
    with (
        sbf.connect(home=home, **({} if embedder == "real" else {"embedder": "none"})) as workspace,
        Path(log).open("a", encoding="utf-8") as file,
    ):
        if embedder == "hash":
            from benchmarks.filling import KnownVectors

            workspace._backend.runtime.embedder = KnownVectors({})  # type: ignore[attr-defined]
        stream = workspace.stream

        def acknowledged(operation: Any) -> Iterator[Any]:
            for event in stream(operation):
                if isinstance(event, Source) and event.status == "ready":
                    file.write(json.dumps([str(event.id), str(event.version_id), event.sha256]) + "\n")
                    file.flush()
                    os.fsync(file.fileno())
                yield event

        workspace.stream = acknowledged  # type: ignore[method-assign]
        added = workspace.notebooks.get(UUID(notebook)).add(folder, progress=False)
        for source in added:
            if source.status == "failed":
                print(source.name, source.reason, source.message, file=sys.stderr)
        return int(any(source.status != "ready" for source in added))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
