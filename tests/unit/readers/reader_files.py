"""Files for reader tests, made in memory: nothing here comes from a real document."""

from __future__ import annotations

import io
import itertools
import struct
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sbf_kernel.readers import Reading

WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
MATH = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
RELATION = 'xmlns="http://schemas.openxmlformats.org/package/2006/relationships"'
TYPES = 'xmlns="http://schemas.openxmlformats.org/package/2006/content-types"'
DRAWING = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
SLIDE = 'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
SHEET = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def zipped(members: dict[str, str | bytes], *, stored: tuple[str, ...] = ("mimetype",)) -> bytes:
    """Return a ZIP file of the members."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            method = zipfile.ZIP_STORED if name in stored else zipfile.ZIP_DEFLATED
            archive.writestr(name, content, compress_type=method)
    return target.getvalue()


def relations(targets: dict[str, tuple[str, str]]) -> str:
    """Return a relations part: id → (kind, target)."""
    nodes = "".join(f'<Relationship Id="{i}" Type="{OFFICE}/{k}" Target="{t}"/>' for i, (k, t) in targets.items())
    return f"<Relationships {RELATION}>{nodes}</Relationships>"


def docx(body: str, **parts: str) -> bytes:
    """Return a DOCX whose body is the given XML; ``styles=…``, ``footnotes=…``, ``comments=…`` add parts."""
    return zipped(
        {
            "[Content_Types].xml": f"<Types {TYPES}/>",
            "_rels/.rels": relations({"r1": ("officeDocument", "word/document.xml")}),
            "word/document.xml": f"<w:document {WORD} {MATH}><w:body>{body}</w:body></w:document>",
            "word/_rels/document.xml.rels": relations({f"r{kind}": (kind, f"{kind}.xml") for kind in parts}),
            **{f"word/{kind}.xml": content for kind, content in parts.items()},
        }
    )


def paragraph(text: str, style: str = "") -> str:
    """Return a Word paragraph."""
    look = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{look}<w:r><w:t>{text}</w:t></w:r></w:p>"


def pptx(slides: list[str], **extra: str) -> bytes:
    """Return a presentation of slides, each given as the XML of its shapes."""
    ids = "".join(f'<p:sldId id="{256 + n}" r:id="r{n}"/>' for n in range(len(slides)))
    members: dict[str, str | bytes] = {
        "_rels/.rels": relations({"r1": ("officeDocument", "ppt/presentation.xml")}),
        "ppt/presentation.xml": f'<p:presentation {SLIDE} xmlns:r="{OFFICE}"><p:sldIdLst>{ids}</p:sldIdLst>'
        "</p:presentation>",
        "ppt/_rels/presentation.xml.rels": relations(
            {f"r{n}": ("slide", f"slides/slide{n}.xml") for n in range(len(slides))}
        ),
    }
    for n, shapes in enumerate(slides):
        members[f"ppt/slides/slide{n}.xml"] = (
            f"<p:sld {SLIDE} {DRAWING}><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:sld>"
        )
    return zipped(members | dict(extra))


def shape(text: str, placeholder: str = "") -> str:
    """Return a slide shape with one paragraph."""
    kind = f'<p:nvSpPr><p:nvPr><p:ph type="{placeholder}"/></p:nvPr></p:nvSpPr>' if placeholder else ""
    return f"<p:sp>{kind}<p:txBody><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:txBody></p:sp>"


def xlsx(rows: str, *, strings: Iterable[str] = (), styles: str = "") -> bytes:
    """Return a workbook with one sheet "Data" whose rows are the given XML."""
    shared = "".join(f"<si><t>{text}</t></si>" for text in strings)
    return zipped(
        {
            "_rels/.rels": relations({"r1": ("officeDocument", "xl/workbook.xml")}),
            "xl/workbook.xml": f'<workbook {SHEET} xmlns:r="{OFFICE}"><sheets><sheet name="Data" sheetId="1" r:id="r1"/>'
            "</sheets></workbook>",
            "xl/_rels/workbook.xml.rels": relations(
                {
                    "r1": ("worksheet", "worksheets/sheet1.xml"),
                    "r2": ("sharedStrings", "sharedStrings.xml"),
                    "r3": ("styles", "styles.xml"),
                }
            ),
            "xl/sharedStrings.xml": f"<sst {SHEET}>{shared}</sst>",
            "xl/styles.xml": f"<styleSheet {SHEET}>{styles}</styleSheet>",
            "xl/worksheets/sheet1.xml": f"<worksheet {SHEET}><sheetData>{rows}</sheetData></worksheet>",
        }
    )


def odf(kind: str, body: str) -> bytes:
    """Return an OpenDocument file of ``kind`` text, spreadsheet or presentation."""
    spaces = " ".join(
        f'xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for short, name in (
            ("office", "office"),
            ("text", "text"),
            ("table", "table"),
            ("draw", "drawing"),
            ("presentation", "presentation"),
        )
    )
    return zipped(
        {
            "mimetype": f"application/vnd.oasis.opendocument.{kind}",
            "content.xml": f"<office:document-content {spaces}><office:body><office:{kind}>{body}</office:{kind}>"
            "</office:body></office:document-content>",
        }
    )


def epub(chapters: list[str], **extra: str) -> bytes:
    """Return a book of XHTML chapters given by their bodies, in reverse order in the container."""
    items = "".join(
        f'<item id="c{n}" href="c%20{n}.xhtml" media-type="application/xhtml+xml"/>' for n in range(len(chapters))
    )
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(len(chapters)))
    members: dict[str, str | bytes] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>',
        "OPS/book.opf": '<package xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata><dc:title>The Book</dc:title>'
        f"<dc:creator>A. Writer</dc:creator></metadata><manifest>{items}</manifest><spine>{spine}</spine></package>",
    }
    for n in reversed(range(len(chapters))):
        members[f"OPS/c {n}.xhtml"] = (
            f'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title>x</title></head>'
            f"<body>{chapters[n]}</body></html>"
        )
    return zipped(members | dict(extra))


def pdf(pages: list[list[tuple[float, float, float, str]]], *, font: str = "Helvetica") -> bytes:
    """Return a PDF; each page is a list of (x, y, size, text) in points, y from the bottom of a 612 × 792 page."""
    objects: list[bytes] = [b"<</Type/Catalog/Pages 2 0 R>>"]
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects.append(f"<</Type/Pages/Count {len(pages)}/Kids[{kids}]>>".encode())
    objects.append(f"<</Type/Font/Subtype/Type1/BaseFont/{font}/Encoding/WinAnsiEncoding>>".encode())
    for n, page in enumerate(pages):
        objects.append(
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents {5 + 2 * n} 0 R"
            "/Resources<</Font<</F1 3 0 R>>>>>>".encode()
        )
        drawn = b"".join(
            b"BT /F1 %g Tf %g %g Td (%s) Tj ET\n" % (size, x, y, text.encode("cp1252").translate(None, b"()\\"))
            for x, y, size, text in page
        )
        objects.append(b"<</Length %d>>stream\n%sendstream" % (len(drawn), drawn))
    out = bytearray(b"%PDF-1.4\n")
    places = []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj%s endobj\n" % (number, content)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    return bytes(out + b"trailer<</Size %d/Root 1 0 R>>startxref\n%d\n%%%%EOF" % (len(objects) + 1, start))


def ole(streams: dict[str, bytes]) -> bytes:
    """Return an OLE container ([MS-CFB], version 3); paths have at most one folder, streams are padded to 4 kB."""
    folders = sorted({path.split("/")[0] for path in streams if "/" in path})
    entries: list[tuple[str, int, list[str], bytes]] = [
        ("Root Entry", 5, [p for p in streams if "/" not in p] + folders, b"")
    ]
    entries += [(folder, 1, [path for path in streams if path.startswith(folder + "/")], b"") for folder in folders]
    entries += [
        (path, 2, [], content.ljust(4096, b" " if len(content) % 2 else b"\0")) for path, content in streams.items()
    ]
    number = {entry[0]: place for place, entry in enumerate(entries)}
    following = {one: two for _, _, children, _ in entries for one, two in itertools.pairwise(children)}
    directory_sectors = -(-len(entries) // 4)
    fat = [0xFFFFFFFD, *range(2, directory_sectors + 1), 0xFFFFFFFE]
    data, directory = bytearray(), bytearray()
    for path, kind, children, content in entries:
        start = len(fat) if content else 0xFFFFFFFE
        count = -(-len(content) // 512)
        if count:
            fat += [*range(start + 1, start + count), 0xFFFFFFFE]
            data += content.ljust(count * 512, b"\0")
        name = path.split("/")[-1].encode("utf-16-le")
        right = number[following[path]] if path in following else 0xFFFFFFFF
        child = number[children[0]] if children else 0xFFFFFFFF
        directory += name.ljust(64, b"\0") + struct.pack("<HBBIII", len(name) + 2, kind, 1, 0xFFFFFFFF, right, child)
        directory += bytes(36) + struct.pack("<IQ", start, len(content))
    empty = bytes(68) + b"\xff" * 12 + bytes(48)
    directory += empty * (directory_sectors * 4 - len(entries))
    fat += [0xFFFFFFFF] * (128 - len(fat))
    assert len(fat) == 128
    header = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(16) + struct.pack("<HHHHH6x", 62, 3, 0xFFFE, 9, 6)
    header += struct.pack("<IIIIIIIIII", 0, 1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0, 0) + b"\xff" * 432
    return header + struct.pack("<128I", *fat) + bytes(directory) + bytes(data)


def blocks(reading: Reading) -> list[tuple[str, str]]:
    """Return kind and text of every block, after checking the promises every reading makes."""
    end = 0
    for block in reading.blocks:
        assert end <= block.start < block.end <= len(reading.text)
        assert reading.text[block.start : block.end].strip()
        end = block.end
    reading.text.encode("utf-8")
    assert "\0" not in reading.text
    return [(block.kind, reading.text[block.start : block.end]) for block in reading.blocks]
