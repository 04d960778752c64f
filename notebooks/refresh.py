"""Runs the example notebooks and stores their outputs: ``python notebooks/refresh.py``. For developers."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def refresh(path: Path) -> None:
    """Run one notebook as its check in CI runs it, and write it without anything that differs from run to run."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=300, record_timing=False, resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:  # what the kernel writes on stderr depends on the machine
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    nbformat.write(notebook, path)


if __name__ == "__main__":
    os.environ["SBF_STATIC"] = "1"
    for name in sys.argv[1:] or map(str, sorted(Path(__file__).parent.glob("*.ipynb"))):
        refresh(Path(name))
