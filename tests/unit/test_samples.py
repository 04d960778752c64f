"""Samples: enough documents in enough formats on any installation, and binary ones that can be made again."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from sbf_kernel import samples
from sbf_kernel.samples import make_samples


def test_there_are_documents_of_ours_and_of_others_in_many_formats(tmp_path: Path) -> None:
    paths = samples.gather(tmp_path)
    formats = {path.suffix for path in paths}
    assert len([path for path in paths if path.parent.name == "installed"]) >= 12
    assert formats >= {".pdf", ".docx", ".epub", ".ipynb", ".md", ".html", ".csv", ".srt", ".rst", ".txt"}
    assert len({path.name for path in paths}) == len(paths)
    assert all(0 < path.stat().st_size <= samples.LARGEST for path in paths)


def test_gathering_again_gives_the_same(tmp_path: Path) -> None:
    first = {path: path.read_bytes() for path in samples.gather(tmp_path)}
    assert {path: path.read_bytes() for path in samples.gather(tmp_path)} == first


def test_packages_that_are_not_installed_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "metadata", absent)
    monkeypatch.setattr(metadata, "distribution", absent)
    assert samples.installed(tmp_path) == []


def test_binary_samples_are_what_their_script_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = make_samples.FILES
    monkeypatch.setattr(make_samples, "FILES", tmp_path)
    make_samples.main()
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(made) == {"citations.pdf", "embeddings.docx", "field_guide.epub"}
    assert all((shipped / name).read_bytes() == content for name, content in made.items() if name.endswith(".pdf"))
    assert sum(path.stat().st_size for path in shipped.iterdir()) < 300_000
