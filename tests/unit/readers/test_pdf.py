"""PDF: pages, columns, hyphens, running heads, tables, refusals."""

from __future__ import annotations

import pytest
from reader_files import blocks, pdf

from sbf_kernel.errors import SourceBroken, SourceEncrypted, SourceHasNoText
from sbf_kernel.readers import read

Drawn = list[tuple[float, float, float, str]]


def lines(texts: list[str], *, x: float = 72, top: float = 700, size: float = 10, step: float = 12) -> Drawn:
    return [(x, top - step * n, size, text) for n, text in enumerate(texts)]


def prose(count: int, word: str) -> list[str]:
    return [f"{word} line {n} runs to the margin of its column here" for n in range(count)]


def test_pages_headings_and_paragraphs() -> None:
    first = [(72, 740, 20, "The Title"), *lines(["First line of text that is long", "and goes on here."])]
    second = lines(["Second page text."])
    reading = read(pdf([first, second]), name="a.pdf")
    assert blocks(reading) == [
        ("heading", "The Title"),
        ("paragraph", "First line of text that is long and goes on here."),
        ("paragraph", "Second page text."),
    ]
    assert [block.place.page for block in reading.blocks] == [1, 1, 2]
    assert (reading.pages, reading.title) == (2, "The Title")
    assert reading.blocks[2].place.headings == ("The Title",)


def test_columns_are_read_one_after_the_other_however_drawn() -> None:
    left = lines(prose(12, "left"), x=60, size=9)
    right = lines(prose(12, "right"), x=320, size=9)
    across = [line for pair in zip(left, right, strict=True) for line in pair]
    for page in (left + right, right + left, across):
        text = read(
            pdf([[(60, 740, 16, "A heading across both of the columns of this page"), *page]]), name="a.pdf"
        ).text
        assert text.index("left line 11") < text.index("right line 0")
        assert text.index("left line 0") < text.index("left line 1 ")


def test_hyphens_at_line_ends_are_joined_as_the_document_writes_the_word() -> None:
    text = [
        "We speak of self-attention in the docu-",
        "ment and of retrieval and of self-",
        "attention again, by Zettle-",
        "Moyer.",
    ]
    joined = read(pdf([lines(text)]), name="a.pdf").text
    assert "in the document and" in joined
    assert "self-attention again" in joined
    assert "Zettle-Moyer" in joined


def test_table_rows_stay_together() -> None:
    table: Drawn = []
    for n, row in enumerate(
        [("Item", "2020", "2021"), ("Sales", "10", "20"), ("Costs", "5", "6"), ("Profit", "5", "14")]
    ):
        table += [(x, 600 - 14 * n, 10, cell) for x, cell in zip((72, 250, 350), row, strict=True)]
    reading = read(pdf([lines(["Some text before the table."]) + table]), name="a.pdf")
    rows = [block for block in reading.blocks if block.kind == "table"]
    assert [reading.text[row.start : row.end] for row in rows] == [
        "Item | 2020 | 2021",
        "Sales | 10 | 20",
        "Costs | 5 | 6",
        "Profit | 5 | 14",
    ]
    assert {row.header for row in rows} == {"Item | 2020 | 2021"}
    assert [row.place.row for row in rows] == [1, 2, 3, 4]


def test_running_heads_and_page_numbers_go() -> None:
    pages = [
        [(72, 770, 9, "Annual Report of the Company"), (300, 20, 9, f"Page {n} of 9"), *lines([f"Body of page {n}."])]
        for n in range(1, 7)
    ]
    text = read(pdf(pages), name="a.pdf").text
    assert text.count("Annual Report of the Company") == 1
    assert "of 9" not in text.replace("Page 1 of 9", "")
    assert all(f"Body of page {n}." in text for n in range(1, 7))


def test_a_blank_page_has_no_text() -> None:
    with pytest.raises(SourceHasNoText, match="blank or drawn"):
        read(pdf([[]]), name="a.pdf")


@pytest.mark.parametrize("content", [b"%PDF-1.7 nothing", b"%PDF-1.4\n" + bytes(500)])
def test_a_damaged_file_is_broken(content: bytes) -> None:
    with pytest.raises(SourceBroken, match=r"a\.pdf.*damaged"):
        read(content, name="a.pdf")


def test_text_before_the_signature_is_skipped() -> None:
    assert read(b"\n\n" + pdf([lines(["Hello there."])]), name="a.pdf").text == "Hello there."


def encrypted(user: str, owner: str) -> bytes:
    """Return a PDF under a 40-bit RC4 password (PDF 1.7, 7.6.3), made by hand because pdfium cannot write one."""
    import hashlib

    padding = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")

    def rc4(key: bytes, data: bytes) -> bytes:
        box, j, out = list(range(256)), 0, bytearray()
        for i in range(256):
            j = (j + box[i] + key[i % len(key)]) % 256
            box[i], box[j] = box[j], box[i]
        i = j = 0
        for byte in data:
            i = (i + 1) % 256
            j = (j + box[i]) % 256
            box[i], box[j] = box[j], box[i]
            out.append(byte ^ box[(box[i] + box[j]) % 256])
        return bytes(out)

    def padded(password: str) -> bytes:
        return (password.encode() + padding)[:32]

    o = rc4(hashlib.md5(padded(owner)).digest()[:5], padded(user))
    key = hashlib.md5(padded(user) + o + (-4 & 0xFFFFFFFF).to_bytes(4, "little") + b"0123456789abcdef").digest()[:5]
    u = rc4(key, padding)
    drawn = b"BT /F1 12 Tf 72 700 Td (Secret words) Tj ET"
    cipher = rc4(hashlib.md5(key + (4).to_bytes(3, "little") + b"\0\0").digest()[:10], drawn)
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
        (
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1<</Type/Font/Subtype/Type1"
            b"/BaseFont/Helvetica>>>>>>>>"
        ),
        b"<</Length %d>>stream\n%s\nendstream" % (len(cipher), cipher),
    ]
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj%s endobj\n" % (number, content)
    start = len(out)
    out += b"xref\n0 5\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % place for place in places)
    identifier = b"0123456789abcdef".hex().encode()
    out += b"trailer<</Size 5/Root 1 0 R/ID[<%s><%s>]/Encrypt<</Filter/Standard/V 1/R 2/O<%s>/U<%s>/P -4>>>>" % (
        identifier, identifier, o.hex().encode(), u.hex().encode(),
    )  # fmt: skip
    return bytes(out + b"startxref\n%d\n%%%%EOF" % start)


def test_passwords() -> None:
    content = encrypted("user", "owner")
    with pytest.raises(SourceEncrypted, match="needs a password"):
        read(content, name="a.pdf")
    with pytest.raises(SourceEncrypted, match="was wrong"):
        read(content, name="a.pdf", password="guess")
    assert read(content, name="a.pdf", password="user").text == "Secret words"
    assert read(encrypted("", "owner"), name="a.pdf").text == "Secret words"
