"""Writes the binary samples (PDF, DOCX, EPUB) out of the texts below. For developers only.

``python -m sbf_kernel.samples.make_samples`` gives the same bytes on every
run: no dates, no random ids, no library whose version could show.
"""

from __future__ import annotations

import textwrap
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

FILES = Path(__file__).parent / "files"
Section = tuple[str, list[str]]
"""A heading and its paragraphs."""

CITATIONS = """
# Citations that can be checked

A citation is a promise: these words stand in that source, at that place. This note explains how SBF keeps the
promise, and what it does when it cannot.

When a source is brought in, SBF stores its bytes, the text that was read from them, and a fingerprint of
both. The stored text never changes. If the file changes later, a new version of the source is made beside the
old one.

Every passage that the search returns knows where it begins and where it ends in the stored text. A page
number is good for people; a pair of character positions is good for machines, because it can be checked.

# What verified means

A citation is verified when its quote stands, character by character, at the given positions of the stored
text. Nothing else counts as verified: not a similar sentence, not a summary, and not the title of the right
document.

A language model may quote wrongly. It drops a word, joins two sentences, or repairs a spelling mistake of the
author. SBF then looks for the closest words in the cited passage. If it finds none that are nearly the same,
the citation is marked as unverified and shown as such. It is never hidden.

# When there is no answer

Some questions are not answered by any source. The honest reply is to say so. SBF compares the words and the
meaning of the question with the best sentences it found, and refuses to answer when none of them supports
one.

# Checking again later

An answer can be rechecked at any time. Rechecking reads the cited version again and compares the quote with
the stored text. It also tells whether the source has a newer version, in which case the answer may be out of
date although its quotes still hold.
"""

EMBEDDINGS = """
# Embeddings in plain words

An embedding is a list of numbers that stands for the meaning of a text. Texts that mean similar things get
similar lists, even when they share no word.

The numbers come from a neural network that was trained on millions of pairs of texts that belong together,
such as questions and their answers. The network learned to place both close to each other.

# Measuring closeness

Closeness is measured by the cosine of the angle between two embeddings. A cosine of one means the same
direction, a cosine of zero means that the texts have nothing to do with each other.

The built-in model of SBF gives 384 numbers for each passage. Stored as half precision numbers they take 768
bytes.

# Short passages work best

An embedding of a whole book says little about any single page. SBF therefore cuts texts into passages of
about two hundred words, along headings and paragraphs, and embeds each passage by itself.

Changing the model means computing all embeddings again, because the numbers of two models cannot be compared
with each other.
"""

GUIDE = """
# Collect

Begin with the sources, not with the question. Put everything into one notebook that might matter: papers,
pages, tables, subtitles, your own notes.

Read the list of failures. A scanned page has no text until it went through character recognition, and a
protected file needs its password.

# Ask

Ask in whole sentences. A question such as “Which bench lost pots to mould?” carries more meaning than the
single word mould.

Ask the same thing in two ways. If both answers cite the same passage, you may rely on it.

# Check

Open each cited passage once and read the sentence before and after it. A quote can be exact and still be torn
from its context.

Prefer two independent sources to one. Two documents that copy each other count as one.

# Keep

Write the report as a notebook. Run it again next month: what changed in the sources then shows as a change in
the answers.
"""


def sections(text: str) -> list[Section]:
    """Return the sections of a text with ``# headings`` and paragraphs set apart by empty lines."""
    found: list[Section] = []
    for block in text.strip().split("\n\n"):
        line = " ".join(block.split())
        if line.startswith("# "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def pdf(chapters: list[Section]) -> bytes:
    """Return a PDF, one section a page, in the standard font that every reader has."""
    pages = [_page(heading, paragraphs) for heading, paragraphs in chapters]
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for n, content in enumerate(pages):
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {5 + 2 * n} 0 R"
            " /Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
    written, places = "%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(written))
        written += f"{number} 0 obj\n{body}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    end = f"trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(written)}\n%%EOF\n"
    return f"{written}xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{end}".encode("cp1252")


def _page(heading: str, paragraphs: list[str]) -> str:
    lines = ["BT", "72 760 Td", "/F1 18 Tf", f"({_pdf_text(heading)}) Tj", "/F1 11 Tf", "0 -34 Td"]
    for paragraph in paragraphs:
        for line in textwrap.wrap(paragraph, 84):
            lines += [f"({_pdf_text(line)}) Tj", "0 -15 Td"]
        lines.append("0 -10 Td")
    return "\n".join([*lines, "ET"])


def _pdf_text(text: str) -> str:
    return text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")


def _zip(path: Path, members: dict[str, str]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for n, (name, content) in enumerate(members.items()):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            # An EPUB begins with its media type, uncompressed.
            entry.compress_type = zipfile.ZIP_STORED if n == 0 else zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)


def docx(path: Path, chapters: list[Section]) -> None:
    """Write a DOCX with headings and paragraphs."""
    word = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    office = "http://schemas.openxmlformats.org"
    body = ""
    for n, (heading, paragraphs) in enumerate(chapters):
        style = "Title" if n == 0 else "Heading1"
        body += f'<w:p><w:pPr><w:pStyle w:val="{style}"/></w:pPr><w:r><w:t>{escape(heading)}</w:t></w:r></w:p>'
        body += "".join(f"<w:p><w:r><w:t>{escape(text)}</w:t></w:r></w:p>" for text in paragraphs)
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="{key}"><w:name w:val="{name}"/></w:style>'
        for key, name in (("Title", "Title"), ("Heading1", "heading 1"))
    )
    part = "application/vnd.openxmlformats-officedocument.wordprocessingml"
    _zip(
        path,
        {
            "[Content_Types].xml": f'<Types xmlns="{office}/package/2006/content-types"><Default Extension="rels" ContentType="application/'
            'vnd.openxmlformats-package.relationships+xml"/><Override PartName="/word/document.xml" '
            f'ContentType="{part}.document.main+xml"/><Override PartName="/word/styles.xml" '
            f'ContentType="{part}.styles+xml"/></Types>',
            "_rels/.rels": f'<Relationships xmlns="{office}/package/2006/relationships"><Relationship Id="rId1" Type="{office}/officeDocument'
            '/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>',
            "word/_rels/document.xml.rels": f'<Relationships xmlns="{office}/package/2006/relationships"><Relationship Id="rId1" Type="{office}'
            '/officeDocument/2006/relationships/styles" Target="styles.xml"/></Relationships>',
            "word/styles.xml": f'<w:styles xmlns:w="{word}">{styles}</w:styles>',
            "word/document.xml": f'<w:document xmlns:w="{word}"><w:body>{body}</w:body></w:document>',
        },
    )


def epub(path: Path, title: str, chapters: list[Section]) -> None:
    """Write an EPUB 3, a file per chapter."""
    items = "".join(
        f'<item id="c{n}" href="c{n}.xhtml" media-type="application/xhtml+xml"/>' for n in range(len(chapters))
    )
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(len(chapters)))
    links = "".join(f'<li><a href="c{n}.xhtml">{escape(heading)}</a></li>' for n, (heading, _) in enumerate(chapters))
    package = (
        f'<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id"><metadata '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="id">sbf-sample-guide</dc:identifier>'
        f"<dc:title>{escape(title)}</dc:title><dc:language>en</dc:language>"
        '<meta property="dcterms:modified">2000-01-01T00:00:00Z</meta></metadata><manifest>'
        f'<item id="nav" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/>{items}</manifest>'
        f"<spine>{spine}</spine></package>"
    )
    container = (
        '<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile '
        'full-path="book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    pages = {
        f"c{n}.xhtml": _xhtml(
            heading, f"<h1>{escape(heading)}</h1>" + "".join(f"<p>{escape(text)}</p>" for text in paragraphs)
        )
        for n, (heading, paragraphs) in enumerate(chapters)
    }
    nav = _xhtml("Contents", f'<nav epub:type="toc"><ol>{links}</ol></nav>')
    _zip(
        path,
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": container,
            "book.opf": package,
            "nav.xhtml": nav,
            **pages,
        },
    )


def _xhtml(title: str, body: str) -> str:
    return (
        '<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" lang="en">'
        f"<head><title>{escape(title)}</title></head><body>{body}</body></html>"
    )


def main() -> None:
    """Write all three."""
    (FILES / "citations.pdf").write_bytes(pdf(sections(CITATIONS)))
    docx(FILES / "embeddings.docx", sections(EMBEDDINGS))
    epub(FILES / "field_guide.epub", "A small field guide to asking documents", sections(GUIDE))


if __name__ == "__main__":
    main()
