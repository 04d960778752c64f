"""Pages of a PDF as pictures, small enough to be sent. Runs in a reader process: the file may be hostile."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Final

from sbf_kernel.errors import NotFound, SourceBroken, SourceEncrypted

MAX_PIXELS: Final = 8_000_000
"""A page as long as a banner is drawn smaller, instead of filling the memory."""
QUALITY: Final = 78
"""Of the WebP: letters stay crisp at about 60 kB a page."""


def page_image(path: str, page: int, width: int) -> dict[str, Any]:
    """Draw a page.

    Parameters
    ----------
    path
        Where the PDF lies.
    page
        Counted from 1.
    width
        Of the picture, in pixels.

    Returns
    -------
    ``image`` (WebP), ``width``, ``height``, ``pages``.

    Raises
    ------
    NotFound
        It has fewer pages.
    SourceEncrypted
        It needs a password, which SBF never keeps.
    SourceBroken
        pdfium cannot open or draw it.
    """
    import pypdfium2
    from pypdfium2.raw import FPDF_ERR_PASSWORD

    content = Path(path).read_bytes()
    try:
        document = pypdfium2.PdfDocument(content[max(content.find(b"%PDF-", 0, 1024), 0) :])
        pages = len(document)
        if not 1 <= page <= pages:
            raise NotFound(f"there is no page {page}", hint=f"it has {pages}")
        drawn = document[page - 1]
        size = drawn.get_size()
        scale = min(width / max(size[0], 1), (MAX_PIXELS / max(size[0] * size[1], 1)) ** 0.5)
        picture = drawn.render(scale=scale).to_pil().convert("RGB")
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == FPDF_ERR_PASSWORD or "password" in str(error).lower():
            raise SourceEncrypted("its pages cannot be drawn: it is encrypted", hint="read its text instead") from error
        raise SourceBroken(f"page {page} cannot be drawn: {error}", hint="read its text instead") from error
    target = io.BytesIO()
    picture.save(target, "WEBP", quality=QUALITY, method=4)
    return {"image": target.getvalue(), "width": picture.width, "height": picture.height, "pages": pages}
