"""Pages of a PDF as pictures."""

from __future__ import annotations

import io
from base64 import b64decode
from typing import TYPE_CHECKING

import pytest

from sbf_kernel.errors import InvalidInput, NotFound, SourceUnsupported
from sbf_kernel.samples import own

if TYPE_CHECKING:
    from pathlib import Path

    from sbf_kernel.records import Source
    from sbf_kernel.workspace import NotebookHandle, Workspace


@pytest.fixture
def paper(notebook: NotebookHandle, tmp_path: Path) -> Source:
    (path,) = (path for path in own(tmp_path) if path.suffix == ".pdf")
    return notebook.add(path)[0]


def test_a_page_is_a_small_picture_of_the_width_asked_for(notebook: NotebookHandle, paper: Source) -> None:
    from PIL import Image

    drawn = notebook.sources.page(paper, 2, width=600)
    content = b64decode(drawn.image)
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.format == "WEBP"
        assert picture.size == (drawn.width, drawn.height)
        assert abs(picture.width - 600) <= 1
        assert len(set(picture.convert("L").tobytes())) > 10  # something is printed on it
    assert len(content) < 100_000
    assert (drawn.page, drawn.pages, drawn.version_id) == (2, paper.page_count, paper.version_id)
    assert "UklGR" not in repr(drawn)


def test_what_has_no_such_page_says_so(notebook: NotebookHandle, paper: Source) -> None:
    with pytest.raises(NotFound, match="no page 99"):
        notebook.sources.page(paper, 99)
    with pytest.raises(InvalidInput):
        notebook.sources.page(paper, 0)
    text = notebook.add_text("The dense arm compares embeddings.", "plain")
    with pytest.raises(SourceUnsupported):
        notebook.sources.page(text, 1)


def test_a_stranger_sees_no_page(stranger: Workspace, paper: Source) -> None:
    with pytest.raises(NotFound):
        stranger.sources.page(paper.id, 1)
