"""Web pages: main text, structure, encodings, and pages made to hurt."""

from __future__ import annotations

import resource
import subprocess
import sys
import time

import pytest
from reader_files import blocks

from sbf_kernel.readers import read

ARTICLE = " ".join(["This sentence is part of the article and long enough to count."] * 12)
MENU = "<ul>" + "".join(f'<li><a href="/{n}">Menu entry {n}</a></li>' for n in range(20)) + "</ul>"


def text_of(markup: str) -> str:
    return read(markup.encode(), name="a.html").text


def test_structure() -> None:
    page = (
        '<html lang="en"><head><title>T - Site</title><meta property="og:title" content="T"></head><body><h1>One</h1>'
        "<p>Text with <b>bold</b> and<br>a break.</p><ul><li>a<ul><li>b</li></ul></li></ul><h2>Two</h2>"
        "<pre>x = 1\n  y</pre><table><tr><th>A</th><th>B</th></tr><tr><td>1</td><td>2</td></tr></table>"
        "<script>no()</script><p style='display:none'>no</p><div>tail</div></body></html>"
    )
    reading = read(page.encode(), name="a.html")
    assert blocks(reading) == [
        ("heading", "One"),
        ("paragraph", "Text with bold and\na break."),
        ("list", "- a"),
        ("list", "- b"),
        ("heading", "Two"),
        ("code", "x = 1\n  y"),
        ("table", "A | B"),
        ("table", "1 | 2"),
        ("paragraph", "tail"),
    ]
    assert (reading.title, reading.metadata) == ("T", {"language": "en"})
    assert reading.blocks[-1].place.headings == ("One", "Two")


@pytest.mark.parametrize(
    "page",
    [
        f"<nav>{MENU}</nav><article><h1>Head</h1><p>{ARTICLE}</p></article><footer>Imprint here</footer>",
        f"<div class='sidebar'>{MENU}</div><div id=main role=main><h1>Head</h1><p>{ARTICLE}</p></div>",
        (
            f"{MENU}<div><h1>Head</h1><div><p>{ARTICLE}</p><p>{ARTICLE}</p></div></div><div class='cookie-banner'>Imprint here"
            "</div>"
        ),
        f"<table><tr><td>{MENU}</td><td><h1>Head</h1><p>{ARTICLE}</p></td></tr></table>",
    ],
)
def test_menus_are_not_the_text(page: str) -> None:
    text = text_of(f"<html><head><title>Head</title></head><body>{page}</body></html>")
    assert text.startswith("Head")
    assert ARTICLE in text
    assert "Menu entry" not in text
    assert "Imprint" not in text


def test_a_page_that_is_a_list_of_links_keeps_them() -> None:
    assert "Menu entry 7" in text_of(f"<body><h1>All pages</h1>{MENU}</body>")


def test_short_pages_keep_everything_readable() -> None:
    assert text_of("<p>Hello</p><footer>by me</footer>") == "Hello"
    assert text_of("<footer>only this</footer>")


def test_number_columns_are_put_together() -> None:
    page = (
        "<table><tr><td></td><td colspan=3>2021</td><td colspan=3>2020</td></tr><tr><td>Sales</td><td>$</td><td>10</td>"
        "<td></td><td>$</td><td>9</td><td></td></tr><tr><td>Margin</td><td></td><td>5</td><td>%</td><td></td><td>(4</td>"
        "<td>)%</td></tr></table>"
    )
    assert text_of(page) == "| 2021 | 2020\nSales | $10 | $9\nMargin | 5% | (4)%"


def test_layout_tables_and_bullet_tables() -> None:
    assert text_of("<table><tr><td><p>left</p></td></tr></table>") == "left"
    assert text_of("<table><tr><td>•</td><td>first</td></tr><tr><td>•</td><td>second</td></tr></table>") == (
        "- first\n- second"
    )


def test_bold_lines_are_headings_where_there_are_none() -> None:
    page = "<p><b>ITEM 1. BUSINESS</b></p><p>We sell things.</p><p><b>Not</b> a heading.</p>"
    assert blocks(read(f"<html>{page}</html>".encode(), name="a.html")) == [
        ("heading", "ITEM 1. BUSINESS"),
        ("paragraph", "We sell things."),
        ("paragraph", "Not a heading."),
    ]


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        ('<meta charset="windows-1251">', "cp1251"),
        ('<meta http-equiv="Content-Type" content="text/html; charset=Shift_JIS">', "cp932"),
        ('<?xml version="1.0" encoding="euc-jp"?>', "euc-jp"),
        ("", "utf-16"),
        ('<meta charset="utf-8">', "utf-8"),
    ],
)
def test_encodings(head: str, encoding: str) -> None:
    text = "Привет мир" if encoding == "cp1251" else "吾輩は猫である"
    assert text_of_bytes(f"{head}<html><p>{text}</p></html>".encode(encoding)) == text


def text_of_bytes(content: bytes) -> str:
    return read(content, name="a.html").text


@pytest.mark.parametrize("depth", [10, 190, 300, 10_000, 200_000])
def test_depth_costs_linear_time_and_loses_no_text(depth: int) -> None:
    start = time.process_time()
    assert "needle" in text_of("<html><body>" + "<div>" * depth + "needle" + "</div>" * depth)
    assert "needle" in text_of("<html><body>" + "<b>" * depth + "needle")
    assert time.process_time() - start < 8


@pytest.mark.parametrize(
    "hostile",
    ["<!--" * 100_000, "<script>" * 50_000, "<p>" * 210_000, "<" * 300_000, "<a " * 100_000, "&#1;<nav>x</nav>&#2;" * 50,
     "<table><tr><td>" * 300, "<li>" * 100_000],
)  # fmt: skip
def test_hostile_pages_end(hostile: str) -> None:
    page = f"<html><body><p>needle</p>{hostile}"
    start = resource.getrusage(resource.RUSAGE_CHILDREN)
    read_it = (
        "import sys; from sbf_kernel.readers import read; print(read(sys.stdin.buffer.read(), name='a.html').text)"
    )
    # A process of its own, as in the product: measuring coverage would count as the reader's time.
    done = subprocess.run([sys.executable, "-c", read_it], input=page.encode(), capture_output=True, check=True)
    assert b"needle" in done.stdout
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime < 10


def test_controls_from_references_are_removed() -> None:
    assert text_of("<html><p>a&#0;b&#8203;c&#x202e;d&#xD800;</p></html>").startswith("a")
    assert text_of("<html><p>so&shy;ft</p></html>") == "soft"
