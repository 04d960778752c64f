"""Documents to try SBF on: texts of our own in many formats, and those that came with this installation.

Nothing is downloaded. What other authors wrote is read where their packages
put it: the long descriptions, licences, notes and tables of the libraries
that SBF itself depends on.
"""

from __future__ import annotations

import shutil
from importlib import metadata
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST = 20_000
"""Bytes of the largest document taken: the demo is about a minute, not about bulk."""

DESCRIBED = (
    "pydantic",
    "SQLAlchemy",
    "alembic",
    "psycopg",
    "pgvector",
    "tokenizers",
    "onnxruntime",
    "tqdm",
    "py3langid",
    "platformdirs",
    "PyStemmer",
    "pydantic-settings",
    "numpy",
)
"""Distributions whose long description, the page that introduces a library, is a document."""

SHIPPED = (
    ("SQLAlchemy", "sqlalchemy/dialects/type_migration_guidelines.txt"),
    ("numpy", "numpy/ma/README.rst"),
    ("onnxruntime", "onnxruntime/Privacy.md"),
    ("onnxruntime", "onnxruntime/tools/mobile_helpers/coreml_supported_mlprogram_ops.md"),
    ("onnxruntime", "onnxruntime/LICENSE"),
    ("papermill", "papermill/tests/notebooks/simple_execute.ipynb"),
    ("nbconvert", "nbconvert/templates/README.md"),
)
"""Files inside distributions, and which distribution has them."""

_ENDINGS = {"text/markdown": ".md", "text/x-rst": ".rst"}


def own(folder: Path) -> list[Path]:
    """Copy the samples that SBF brings into ``folder`` and return them in order of name."""
    folder.mkdir(parents=True, exist_ok=True)
    with as_file(files("sbf_kernel.samples") / "files") as here:
        return [Path(shutil.copyfile(path, folder / path.name)) for path in sorted(here.iterdir()) if path.is_file()]


def installed(folder: Path) -> list[Path]:
    """Copy documents of installed packages into ``folder`` and return them; what is absent is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    return [*_descriptions(folder), *_shipped(folder)]


def gather(folder: Path) -> list[Path]:
    """Return all samples, copied into ``folder``: own texts first."""
    return [*own(folder / "sbf"), *installed(folder / "installed")]


def _descriptions(folder: Path) -> Iterator[Path]:
    for name in DESCRIBED:
        try:
            about = metadata.metadata(name).json
        except metadata.PackageNotFoundError:
            continue
        text = str(about.get("description", ""))
        ending = _ENDINGS.get(str(about.get("description_content_type", "")).partition(";")[0].strip(), ".txt")
        if 400 < len(text.encode("utf-8", "replace")) <= LARGEST:
            path = folder / f"{name} {about['version']}{ending}"
            path.write_text(text, encoding="utf-8", errors="replace")
            yield path


def _shipped(folder: Path) -> Iterator[Path]:
    for name, inside in SHIPPED:
        try:
            place = Path(str(metadata.distribution(name).locate_file(inside)))
        except metadata.PackageNotFoundError:
            continue
        if place.is_file() and 0 < place.stat().st_size <= LARGEST:
            yield Path(shutil.copyfile(place, folder / f"{name} {place.name}"))
