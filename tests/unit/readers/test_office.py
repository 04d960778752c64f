"""Word, PowerPoint, Excel, OpenDocument, EPUB and mail."""

from __future__ import annotations

import struct
from email.message import EmailMessage

import pytest
from reader_files import (
    DRAWING,
    MATH,
    OFFICE,
    SLIDE,
    WORD,
    blocks,
    docx,
    epub,
    odf,
    ole,
    paragraph,
    pdf,
    pptx,
    relations,
    shape,
    xlsx,
    zipped,
)

from sbf_kernel.errors import SourceBroken, SourceEmpty, SourceEncrypted
from sbf_kernel.readers import read
from sbf_kernel.readers.outlook import decompressed_rtf

STYLES = (
    f'<w:styles {WORD}><w:style w:type="paragraph" w:styleId="H1"><w:name w:val="heading 1"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="Mine"><w:name w:val="Mine"/><w:basedOn w:val="H1"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="Outlined"><w:name w:val="X"/><w:pPr><w:outlineLvl w:val="1"/></w:pPr>'
    "</w:style></w:styles>"
)


def test_docx_in_reading_order() -> None:
    box = (
        '<w:p><w:r><mc:AlternateContent xmlns:mc="urn:x"><mc:Choice><w:txbxContent>' + paragraph("In a box")
        + "</w:txbxContent></mc:Choice><mc:Fallback><w:txbxContent>" + paragraph("In a box")
        + "</w:txbxContent></mc:Fallback></mc:AlternateContent></w:r></w:p>"
    )  # fmt: skip
    table = (
        f"<w:tbl><w:tr><w:tc>{paragraph('A')}</w:tc><w:tc>{paragraph('B')}</w:tc></w:tr>"
        f"<w:sdt><w:sdtContent><w:tr><w:tc>{paragraph('1')}{paragraph('one')}</w:tc><w:tc>{paragraph('2')}</w:tc></w:tr>"
        "</w:sdtContent></w:sdt></w:tbl>"
    )
    body = (
        paragraph("Title", "H1")
        + "<w:p><w:r><w:t>Some </w:t></w:r><w:ins><w:r><w:t>new</w:t></w:r></w:ins><w:del><w:r><w:delText>old</w:delText>"
        "</w:r></w:del><w:r><w:tab/><w:t>text</w:t><w:br/><w:t>below</w:t></w:r></w:p>"
        + '<w:p><w:pPr><w:numPr><w:ilvl w:val="0"/><w:numId w:val="3"/></w:numPr></w:pPr><w:r><w:t>item</w:t></w:r></w:p>'
        + paragraph("Section", "Outlined") + table + box
        + "<w:p><m:oMath><m:f><m:num><m:r><m:t>a+b</m:t></m:r></m:num><m:den><m:r><m:t>c</m:t></m:r></m:den></m:f>"
        "</m:oMath></w:p>" + paragraph("Next", "Mine")
    )  # fmt: skip
    notes = f'<w:footnotes {WORD}><w:footnote w:type="separator" w:id="0">{paragraph("-")}</w:footnote>'
    notes += f'<w:footnote w:id="2">{paragraph("a note")}</w:footnote></w:footnotes>'
    comments = f'<w:comments {WORD}><w:comment w:id="1" w:author="Ada">{paragraph("why?")}</w:comment></w:comments>'
    reading = read(docx(body, styles=STYLES, footnotes=notes, comments=comments), name="a.docx")
    assert blocks(reading) == [
        ("heading", "Title"),
        ("paragraph", "Some new text\nbelow"),
        ("list", "- item"),
        ("heading", "Section"),
        ("table", "A | B"),
        ("table", "1 one | 2"),
        ("paragraph", "In a box"),
        ("paragraph", "(a+b)/c"),
        ("heading", "Next"),
        ("paragraph", "[Footnote 2] a note"),
        ("paragraph", "[Comment by Ada] why?"),
    ]
    assert reading.title == "Title"
    assert reading.blocks[5].place.headings == ("Title", "Section")
    assert reading.blocks[5].place.row == 2
    assert MATH


def test_pptx_slides_are_pages() -> None:
    table = (
        "<p:graphicFrame><a:tbl><a:tr><a:tc><a:txBody><a:p><a:r><a:t>A</a:t></a:r></a:p></a:txBody></a:tc><a:tc><a:txBody>"
        "<a:p><a:r><a:t>B</a:t></a:r></a:p></a:txBody></a:tc></a:tr></a:tbl></p:graphicFrame>"
    )
    first = (
        shape("body text") + shape("Head", "title") + shape("7", "sldNum") + f"<p:grpSp>{shape('grouped')}</p:grpSp>"
    )
    chart = f'<p:graphicFrame><c:chart xmlns:c="urn:c" xmlns:r="{OFFICE}" r:id="c1"/></p:graphicFrame>'
    points = "<c:pt><c:v>{}</c:v></c:pt>"
    series = (
        f"<c:ser><c:tx>{points.format('Sales')}</c:tx><c:cat>{points.format('2020')}{points.format('2021')}</c:cat>"
        f"<c:val>{points.format('1.50')}{points.format('2')}</c:val></c:ser>"
    )
    extra = {
        "ppt/slides/_rels/slide1.xml.rels": relations(
            {"c1": ("chart", "../charts/chart1.xml"), "n1": ("notesSlide", "../notesSlides/n1.xml")}
        ),
        "ppt/charts/chart1.xml": f'<c:chartSpace xmlns:c="urn:c">{series}</c:chartSpace>',
        "ppt/notesSlides/n1.xml": f"<p:notes {SLIDE} {DRAWING}><p:cSld><p:spTree>{shape('say this', 'body')}</p:spTree>"
        "</p:cSld></p:notes>",
    }
    reading = read(pptx([first, table + chart], **extra), name="a.pptx")
    assert blocks(reading) == [
        ("heading", "Head"),
        ("paragraph", "body text"),
        ("paragraph", "grouped"),
        ("table", "A | B"),
        ("table", "| Sales"),
        ("table", "2020 | 1.5"),
        ("table", "2021 | 2"),
        ("paragraph", "[Notes] say this"),
    ]
    assert [block.place.page for block in reading.blocks] == [1, 1, 1, 2, 2, 2, 2, 2]
    assert (reading.pages, reading.title) == (2, "Head")
    assert reading.blocks[3].place.headings == ()


def test_xlsx_values_as_a_person_reads_them() -> None:
    styles = '<numFmts><numFmt numFmtId="164" formatCode="dd\\.mm\\.yyyy"/></numFmts><cellXfs><xf numFmtId="0"/>'
    styles += '<xf numFmtId="10"/><xf numFmtId="164"/><xf numFmtId="20"/></cellXfs>'
    rows = (
        '<row r="2"><c r="A2" t="s"><v>0</v></c><c r="C2" t="s"><v>1</v></c></row>'
        '<row r="3"><c r="A3" t="inlineStr"><is><r><t>rich </t></r><r><t>text</t></r><rPh><t>x</t></rPh></is></c>'
        '<c r="C3"><v>1234.5</v></c><c r="XFD3" s="1"><v>0.125</v></c></row>'
        '<row r="1048576"><c r="A1048576" s="2"><v>44197</v></c><c r="C1048576" t="b"><v>1</v></c>'
        '<c r="XFD1048576" s="3"><v>0.5</v></c></row>'
    )
    reading = read(xlsx(rows, strings=["Name", "Value"], styles=styles), name="a.xlsx")
    assert blocks(reading) == [
        ("heading", "Data"),
        ("table", "Name | Value"),
        ("table", "rich text | 1234.5 | 12.5%"),
        ("table", "2021-01-01 | TRUE | 12:00:00"),
    ]
    last = reading.blocks[-1]
    assert (last.place.sheet, last.place.row, last.header) == ("Data", 1_048_576, "Name | Value")


def test_xlsx_headers_of_several_tables_in_a_sheet() -> None:
    def row(number: int, *texts: str) -> str:
        cells = "".join(
            f'<c r="{chr(65 + n)}{number}" t="str"><v>{text}</v></c>' for n, text in enumerate(texts) if text
        )
        return f'<row r="{number}">{cells}</row>'

    rows = row(1, "Report") + row(3, "", "Sales", "Cost") + row(5, "North", "10", "5") + row(7, "Staff", "Heads", "Pay")
    reading = read(xlsx(rows + row(8, "Ada", "1", "99")), name="a.xlsx")
    headers = {block.place.row: block.header for block in reading.blocks if block.kind == "table"}
    assert headers[5] == "| Sales | Cost"
    assert headers[8] == "Staff | Heads | Pay"


def test_an_empty_workbook_is_empty() -> None:
    with pytest.raises(SourceEmpty, match="without any filled cell"):
        read(xlsx(""), name="a.xlsx")


def test_odt_ods_odp() -> None:
    text = (
        '<text:h text:outline-level="1">Head</text:h><text:p>a<text:s/>b<text:note text:note-class="footnote"><text:note-'
        "body><text:p>note</text:p></text:note-body></text:note></text:p><text:list><text:list-item><text:p>item</text:p>"
        "</text:list-item></text:list><table:table><table:table-row><table:table-cell><text:p>x</text:p></table:table-cell>"
        "<table:table-cell><text:p>y</text:p></table:table-cell></table:table-row></table:table>"
    )
    assert blocks(read(odf("text", text), name="a.odt")) == [
        ("heading", "Head"),
        ("paragraph", "a b"),
        ("paragraph", "[Footnote] note"),
        ("list", "- item"),
        ("table", "x | y"),
    ]
    row = "<table:table-row {}><table:table-cell {}><text:p>{}</text:p></table:table-cell></table:table-row>"
    sheet = '<table:table table:name="S">' + row.format("", 'table:number-columns-repeated="2"', "h")
    sheet += '<table:table-row table:number-rows-repeated="5"><table:table-cell/></table:table-row>' + row.format(
        "", "", "v"
    )
    sheet += '<table:table-row table:number-rows-repeated="1048570"><table:table-cell/></table:table-row></table:table>'
    reading = read(odf("spreadsheet", sheet), name="a.ods")
    assert blocks(reading) == [("heading", "S"), ("table", "h | h"), ("table", "v")]
    assert [block.place.row for block in reading.blocks] == [None, 1, 7]
    slides = (
        "<draw:page><draw:frame><draw:text-box><text:p>body</text:p></draw:text-box></draw:frame>"
        '<draw:frame presentation:class="title"><draw:text-box><text:p>Head</text:p></draw:text-box></draw:frame>'
        "<presentation:notes><draw:frame><draw:text-box><text:p>say</text:p></draw:text-box></draw:frame>"
        "</presentation:notes></draw:page><draw:page/>"
    )
    reading = read(odf("presentation", slides), name="a.odp")
    assert blocks(reading) == [("heading", "Head"), ("paragraph", "body"), ("paragraph", "[Notes] say")]
    assert (reading.pages, reading.blocks[1].place.page) == (2, 1)


def test_epub_follows_the_spine() -> None:
    toc = (
        "<ncx><navMap><navPoint><navLabel><text>Second from contents</text></navLabel>"
        '<content src="c%201.xhtml#x"/></navPoint></navMap></ncx>'
    )
    book = epub(["<h1>First</h1><p>one</p>", "<p>two</p><p>" + "long " * 50 + "</p>"])
    reading = read(book, name="a.epub")
    assert [text for _, text in blocks(reading)][:3] == ["First", "one", "two"]
    assert (reading.title, reading.metadata["author"]) == ("The Book", "A. Writer")
    opf = (
        '<package><manifest><item id="c0" href="c%200.xhtml"/><item id="c1" href="c%201.xhtml"/>'
        '<item id="n" href="toc.ncx" media-type="application/x-dtbncx+xml"/></manifest>'
        '<spine><itemref idref="c0"/><itemref idref="c1"/></spine></package>'
    )
    book = epub(["<h1>First</h1><p>one</p>", "<p>two</p>"], **{"OPS/toc.ncx": toc})
    with pytest.warns(UserWarning, match="Duplicate name"):
        import io
        import zipfile

        target = io.BytesIO(book)
        with zipfile.ZipFile(target, "a") as archive:
            archive.writestr("OPS/book.opf", opf)
    reading = read(target.getvalue(), name="a.epub")
    assert ("heading", "Second from contents") in blocks(reading)


def test_a_protected_book_is_encrypted() -> None:
    rights = '<encryption><EncryptedData><EncryptionMethod Algorithm="http://ns.adobe.com/adept"/></EncryptedData></encryption>'
    with pytest.raises(SourceEncrypted, match="digital rights"):
        read(epub(["<p>x</p>"], **{"META-INF/encryption.xml": rights}), name="a.epub")
    fonts = rights.replace("http://ns.adobe.com/adept", "http://www.idpf.org/2008/embedding")
    assert read(epub(["<p>x</p>"], **{"META-INF/encryption.xml": fonts}), name="a.epub").text == "x"


def mail(subject: str = "Größe") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "Ada <ada@x.y>", "bob@x.y", subject
    message.set_content("Plain body.\n\nSecond.")
    return message


def test_mail_with_attachments() -> None:
    message = mail()
    message.add_alternative("<p>Marked body</p>", subtype="html")
    message.add_attachment(
        docx(paragraph("In Word")), maintype="application", subtype="octet-stream", filename="a.docx"
    )
    message.add_attachment(b"\x89PNG\r\n\x1a\n", maintype="application", subtype="x", filename="p.png")
    message.add_attachment(mail("Inner"))
    reading = read(message.as_bytes(), name="a.eml")
    texts = [text for _, text in blocks(reading)]
    assert texts[:4] == ["Größe", "From: Ada <ada@x.y>\nTo: bob@x.y", "Plain body.", "Second."]
    assert "In Word" in texts
    assert any("Attachment not read" in text and "picture" in text for text in texts)
    assert "Inner" in texts
    assert reading.metadata["attachments"] == "3"
    assert reading.metadata["attachments_not_read"] == "1"
    place = reading.blocks[texts.index("In Word")].place
    assert place.headings == ("Größe", "Attachment: a.docx")


def test_mail_in_mail_in_mail_ends() -> None:
    message = mail("0")
    for depth in range(1, 6):
        outer = mail(str(depth))
        outer.add_attachment(message)
        message = outer
    reading = read(message.as_bytes(), name="a.eml")
    assert "nested too deep" in reading.text
    titles = [text for kind, text in blocks(reading) if kind == "heading" and text.isdigit()]
    assert titles == ["5", "4", "3"]


def test_html_mail_and_broken_headers() -> None:
    raw = (
        b"From: \xff\xfe <a@b>\nTo: =?nope?q?x?=\nDate: never\nSubject: s\nContent-Type: text/html; charset=cp1252\n\n"
    )
    assert "caf\xe9" in read(raw + "<p>café</p>".encode("cp1252"), name="a.eml").text
    with pytest.raises(SourceBroken, match="no mail"):
        read(b"\n\nnothing", name="a.eml")


def test_compressed_rtf_of_outlook() -> None:
    # The two examples of [MS-OXRTFCP] section 4.
    simple = bytes.fromhex(
        "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0"
    )
    assert decompressed_rtf(simple) == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"
    crossing = bytes.fromhex("1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0")
    assert decompressed_rtf(crossing) == b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}"


def test_damaged_containers_are_broken() -> None:
    whole = docx(paragraph("text"))
    for content in (whole[:200], whole[:-30], whole.replace(b"word/document", b"word/dokument")):
        with pytest.raises(SourceBroken, match=r"a\.docx"):
            read(content, name="a.docx")
    with pytest.raises(SourceBroken):
        read(zipped({"word/document.xml": "<w:document"}), name="a.docx")
    assert pdf([])


def test_office_files_under_a_password() -> None:
    import io

    from msoffcrypto.format.ooxml import OOXMLFile

    target = io.BytesIO()
    OOXMLFile(io.BytesIO(docx("".join(paragraph(f"Secret words {n * 7919}") for n in range(3000))))).encrypt(
        "key", target
    )
    content = target.getvalue()
    with pytest.raises(SourceEncrypted, match="needs a password"):
        read(content, name="a.docx")
    with pytest.raises(SourceEncrypted, match="was wrong"):
        read(content, name="a.docx", password="guess")
    assert read(content, name="a.docx", password="key").text.startswith("Secret words 0\n")


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1000)


@pytest.mark.parametrize("stream", ["Workbook", "__substg1.0_0037001F", "EncryptedPackage"])
def test_damaged_old_office_files_are_broken(stream: str) -> None:
    with pytest.raises(SourceBroken):
        read(OLE + stream.encode("utf-16-le"), name="a", password="x")


def test_values_of_old_workbooks() -> None:
    from datetime import date, datetime, time

    from sbf_kernel.readers.workbooks import value_text

    values = [None, "", True, 3.0, 0.1 + 0.2, 1e20, float("nan"), "x", 7, date(2020, 1, 2), time(9, 30)]
    assert [value_text(value) for value in values] == [
        "", "", "TRUE", "3", "0.3", "1e+20", "nan", "x", "7", "2020-01-02", "09:30:00",
    ]  # fmt: skip
    assert value_text(datetime(2020, 1, 2)) == "2020-01-02"  # noqa: DTZ001
    assert value_text(datetime(2020, 1, 2, 3, 4, 5)) == "2020-01-02 03:04:05"  # noqa: DTZ001


def test_outlook_messages() -> None:
    def wide(text: str) -> bytes:
        return text.encode("utf-16-le").ljust(4100, b"\0")

    content = ole(
        {
            "__substg1.0_0037001F": wide("Größe"),
            "__substg1.0_0C1A001F": wide("Ada"),
            "__substg1.0_0C1F001F": wide("ada@x.y"),
            "__substg1.0_0E04001E": "Bób".encode("cp1252").ljust(4101, b"\0"),
            "__substg1.0_1000001F": wide("Plain body."),
            "__attach_version1.0_#00000000/__substg1.0_3707001F": wide("notes.txt"),
            "__attach_version1.0_#00000000/__substg1.0_37010102": b"Attached words.".ljust(4101),
        }
    )
    reading = read(content, name="a.msg")
    assert [text for _, text in blocks(reading)] == [
        "Größe",
        "From: Ada <ada@x.y>\nTo: Bób",
        "Plain body.",
        "Attachment: notes.txt",
        "Attached words.",
    ]
    assert reading.title == "Größe"


@pytest.mark.parametrize(
    ("tag", "body"),
    [
        ("10130102", b"<html><meta charset=utf-8><p>words in it</p></html>".ljust(4200)),
        ("10090102", b"\0\0\0\0" + (26).to_bytes(4, "little") + b"MELA\0\0\0\0" + b"{\\rtf1\\ansi words in it}".ljust(4200)),
    ],
)  # fmt: skip
def test_outlook_bodies_in_html_and_rtf(tag: str, body: bytes) -> None:
    content = ole({"__substg1.0_0037001F": "x".encode("utf-16-le").ljust(4100, b"\0"), f"__substg1.0_{tag}": body})
    assert "words in it" in read(content, name="a.msg").text


def test_xls() -> None:
    def record(kind: int, content: bytes) -> bytes:
        return struct.pack("<HH", kind, len(content)) + content

    def label(row: int, column: int, text: str) -> bytes:
        return record(0x0204, struct.pack("<HHHHB", row, column, 0, len(text), 0) + text.encode("latin-1"))

    def number(row: int, column: int, value: float) -> bytes:
        return record(0x0203, struct.pack("<HHHd", row, column, 0, value))

    start = record(0x0809, struct.pack("<HHHHII", 0x0600, 5, 0, 0, 0, 0)) + record(0x0042, struct.pack("<H", 1200))
    sheet = record(0x0809, struct.pack("<HHHHII", 0x0600, 16, 0, 0, 0, 0)) + label(0, 0, "Name") + label(0, 1, "Value")
    sheet += label(2, 0, "Größe") + number(2, 1, 12.5) + record(0x000A, b"")
    bound = record(0x0085, struct.pack("<IHBB", 0, 0, 4, 0) + b"Data")
    place = len(start) + len(bound) + 4
    globals_ = start + record(0x0085, struct.pack("<IHBB", place, 0, 4, 0) + b"Data") + record(0x000A, b"")
    reading = read(ole({"Workbook": (globals_ + sheet).ljust(4200, b"\0")}), name="a.xls")
    assert blocks(reading) == [("heading", "Data"), ("table", "Name | Value"), ("table", "Größe | 12.5")]
    assert (reading.blocks[2].place.sheet, reading.blocks[2].place.row) == ("Data", 3)
