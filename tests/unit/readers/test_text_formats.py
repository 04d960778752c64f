"""Plain text, code, Markdown, tables, JSON, subtitles, notebooks, LaTeX, RTF and XML."""

from __future__ import annotations

import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reader_files import blocks

from sbf_kernel.errors import SourceBroken
from sbf_kernel.readers import read
from sbf_kernel.readers.text import decode

SAMPLES = {
    "de": "Die schöne Frau aß Würstchen und trank grünen Tee, während draußen der Föhn blies.",
    "fr": "L’été dernier, nous avons visité un château près de la forêt où naît la rivière.",
    "es": "El niño comió paella en España y preguntó por qué la señora había llegado mañana.",
    "pl": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. Są oni obdarzeni rozumem.",
    "ru": "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом.",
    "el": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.",
    "he": "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם. כולם חוננו בתבונה ובמצפון.",
    "ja": "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。何でも薄暗い所で泣いていた。",
    "ko": "모든 국민은 인간으로서의 존엄과 가치를 가지며, 행복을 추구할 권리를 가진다.",
    "zh": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
}


@pytest.mark.parametrize(
    ("language", "encoding"),
    [(language, encoding) for language in SAMPLES for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32")]
    + [("de", "cp1252"), ("fr", "cp1252"), ("es", "cp1252"), ("es", "iso8859-15"), ("pl", "cp1250"), ("ru", "cp1251")]
    + [("ru", "koi8-r"), ("el", "cp1253"), ("he", "cp1255"), ("ja", "cp932"), ("ja", "euc-jp"), ("ja", "iso2022-jp")]
    + [("ko", "cp949"), ("zh", "gb18030"), ("de", "utf-16-le"), ("ru", "utf-16-be"), ("de", "utf-32-le")],
)
def test_every_encoding_is_recognised(language: str, encoding: str) -> None:
    assert decode(SAMPLES[language].encode(encoding)) == SAMPLES[language]


@pytest.mark.parametrize(
    "text", ["naïve café", "Price: 20 € for “members”", "It’s 5 °C – cold", "© 2020 Müller & Söhne"]
)
def test_mostly_english_text_is_windows_1252(text: str) -> None:
    assert decode(text.encode("cp1252")) == text


def test_a_declared_encoding_counts_unless_it_cannot_be() -> None:
    assert decode("Łódź".encode("iso8859-2"), "ISO-8859-2") == "Łódź"
    assert decode("“quoted”".encode("cp1252"), "iso-8859-1") == "“quoted”"
    assert decode("schön".encode(), "latin-1") == "schön"
    assert decode("schön".encode(), "rot13") == "schön"


def test_text_encoded_twice_is_repaired() -> None:
    assert decode("a 2–1 defeat".encode().decode("latin-1").encode()) == "a 2–1 defeat"


@given(st.binary(max_size=400), st.none() | st.text(max_size=12))
def test_decode_never_fails(content: bytes, declared: str | None) -> None:
    assert isinstance(decode(content, declared), str)


def test_plain_text_has_paragraphs_lists_and_chapters() -> None:
    reading = read(b"CHAPTER I\r\n\r\nOne line\r\nand more.\r\n\r\n- a\r\n- b\r\n\r\nEnd.", name="a.txt")
    assert blocks(reading) == [
        ("heading", "CHAPTER I"),
        ("paragraph", "One line\nand more."),
        ("list", "- a\n- b"),
        ("paragraph", "End."),
    ]
    assert reading.blocks[-1].place.headings == ("CHAPTER I",)


def test_code_keeps_indentation() -> None:
    assert blocks(read(b"def f():\n    return 1\n\n\nx = 2\n", name="a.py")) == [
        ("code", "def f():\n    return 1"),
        ("code", "x = 2"),
    ]


MARKDOWN = """---
title: "The Title"
author: Ada
---
Intro with **bold**, `code **kept**`, [a link](http://x.y/(z)) and snake_case_name.

Setext
======
## Sub ##
* one
  goes on
* [x] two

| A | B |
|---|:-:|
| 1 | x \\| y |

```python
# not a heading
```
> quoted <b>text</b> &amp; more

    indented = 1
"""


def test_markdown() -> None:
    reading = read(MARKDOWN.encode(), name="a.md")
    assert blocks(reading) == [
        ("paragraph", "Intro with bold, code **kept**, a link and snake_case_name."),
        ("heading", "Setext"),
        ("heading", "Sub"),
        ("list", "- one\ngoes on"),
        ("list", "- two"),
        ("table", "A | B"),
        ("table", "1 | x | y"),
        ("code", "# not a heading"),
        ("paragraph", "quoted text & more"),
        ("code", "indented = 1"),
    ]
    assert reading.title == "The Title"
    assert reading.metadata["author"] == "Ada"
    assert reading.blocks[6].header == "A | B"
    assert reading.blocks[7].place.headings == ("Setext", "Sub")


@pytest.mark.parametrize(
    "hostile",
    ["`" * 200_000, "<!--" * 100_000, "[" * 200_000, "*a" * 100_000, "> " * 100_000, "-" + " " * 200_000 + "x",
     "# " + " " * 200_000 + "x", "```" + "a" * 200_000 + "`", "[a](" * 50_000, "|" * 200_000, "_a " * 100_000],
)  # fmt: skip
def test_hostile_markdown_takes_linear_time(hostile: str) -> None:
    start = time.process_time()
    with_text = read(f"{hostile}\n\nneedle".encode(), name="a.md")
    assert "needle" in with_text.text
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b'a,b\n1,"x, y"\n', ["a | b", "1 | x, y"]),
        (b"a;b;c\n1,5;2;3\n2,5;3;4\n", ["a | b | c", "1,5 | 2 | 3", "2,5 | 3 | 4"]),
        (b"sep=|\na|b\n1|2\n", ["a | b", "1 | 2"]),
        (b'a,b\n"two\nlines",2\n', ["a | b", "two lines | 2"]),
        (b"a,b\n1,2,3,4\n\n5\n", ["a | b", "1 | 2 | 3 | 4", "5"]),
        ("名前,年齢\n佐藤太郎,30\n".encode("cp932"), ["名前 | 年齢", "佐藤太郎 | 30"]),
        ("a,b\n1,2".encode("utf-16"), ["a | b", "1 | 2"]),
    ],
)
def test_csv(content: bytes, rows: list[str]) -> None:
    reading = read(content, name="a.csv")
    assert blocks(reading) == [("table", row) for row in rows]
    assert all(block.header == rows[0] for block in reading.blocks)


def test_csv_rows_are_numbered_as_in_the_file() -> None:
    reading = read(b"a\tb\n1\t2\n\n3\t4\n", name="a.tsv")
    assert [block.place.row for block in reading.blocks] == [1, 2, 4]


def test_json_records_become_a_table_and_the_rest_text() -> None:
    records = [{"id": 1, "name": "Ada"}, {"id": 2, "name": "Bob", "tags": ["x"]}]
    assert blocks(read(json.dumps(records).encode(), name="a.json")) == [
        ("table", "id | name | tags"),
        ("table", "1 | Ada"),
        ("table", '2 | Bob | ["x"]'),
    ]
    lines = "\n".join(json.dumps({"text": "long " * 100, "n": n}) for n in range(2)) + "\n{broken"
    reading = read(lines.encode(), name="a.jsonl")
    assert [block.place.row for block in reading.blocks] == [1, 2, 3]
    assert blocks(reading)[2] == ("paragraph", "{broken")
    assert "needle" in read(b'{"a": {"b": "needle"}}', name="a.json").text
    assert "needle" in read(b"{not json: needle", name="a.json").text
    assert "needle" in read(b"[" * 100_000 + b"needle", name="a.json").text


SRT = "1\n00:00:01,500 --> 00:00:03,000\n<i>Hello</i>\nthere\n\n2\n01:00:00,000 --> 01:00:02,000\n{\\an8}- 42\n"


def test_subtitles_have_seconds() -> None:
    reading = read(SRT.encode(), name="a.srt")
    assert blocks(reading) == [("cue", "Hello there"), ("cue", "- 42")]
    assert [block.place.seconds for block in reading.blocks] == [1.5, 3600.0]


def test_rolling_captions_are_said_once() -> None:
    cues = ["one", "one\ntwo<00:00:02.000><c> more</c>", "two more", "two more\nthree"]
    text = "WEBVTT - Talk\n\nNOTE skip me\n\n" + "\n\n".join(
        f"00:00:0{n}.000 --> 00:00:0{n + 1}.000 align:start\n{cue}" for n, cue in enumerate(cues)
    )
    reading = read(text.encode(), name="a.vtt")
    assert blocks(reading) == [("cue", "one"), ("cue", "two more"), ("cue", "three")]
    assert reading.title == "Talk"
    twice = "1\n00:01 --> 00:02\nNo.\n\n2\n00:02 --> 00:03\nYes.\n\n3\n00:03 --> 00:04\nYes.\n"
    assert len(read(twice.encode(), name="a.srt").blocks) == 3


def test_subtitles_without_times_are_broken() -> None:
    with pytest.raises(SourceBroken, match="no subtitle times"):
        read(b"WEBVTT\n\nnothing", name="a.vtt")


def test_notebook_cells_are_numbered() -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "text"]},
        {
            "cell_type": "code",
            "source": "print(1)",
            "outputs": [
                {"output_type": "stream", "text": ["1%\r100%\n", "\x1b[31mred\x1b[0m"]},
                {"output_type": "display_data", "data": {"image/png": "AAAA", "text/plain": "<Figure size 1x1>"}},
                {"output_type": "error", "ename": "ValueError", "evalue": "bad", "traceback": ["long"]},
            ],
        },
        {"cell_type": "raw", "source": "raw"},
    ]
    reading = read(json.dumps({"nbformat": 4, "cells": cells}).encode(), name="a.ipynb")
    assert blocks(reading) == [
        ("heading", "Title"),
        ("paragraph", "text"),
        ("code", "print(1)"),
        ("code", "100%\nred"),
        ("code", "ValueError: bad"),
        ("paragraph", "raw"),
    ]
    assert [block.place.cell for block in reading.blocks] == [1, 1, 2, 2, 2, 3]
    assert reading.title == "Title"


@pytest.mark.parametrize("content", [b"{", b"[]", b"[" * 5000])
def test_a_broken_notebook_says_so(content: bytes) -> None:
    with pytest.raises(SourceBroken, match="no notebook"):
        read(content, name="a.ipynb")


TEX = r"""\documentclass{article} % comment
\newcommand{\name}{Grace}
\title{On \emph{Things}}\author{A. Writer\thanks{Somewhere}}
\begin{document}\maketitle
\begin{abstract}Short.\end{abstract}
\section{First}\label{s}
Caf\'e, na\"{\i}ve, 50\% of $x^2$ by \name{} \cite{knuth}; see \ref{s} -- ``quoted''.
\begin{itemize}\item one \item two\end{itemize}
\begin{tabular}{ll}\hline A & B \\ 1 & \textbf{2} \\ \end{tabular}
\begin{verbatim}
\not{touched} % kept
\end{verbatim}
\end{document}
never printed"""


def test_latex() -> None:
    reading = read(TEX.encode(), name="a.tex")
    assert blocks(reading) == [
        ("heading", "On Things"),
        ("paragraph", "A. Writer (Somewhere)"),
        ("heading", "Abstract"),
        ("paragraph", "Short."),
        ("heading", "First"),
        ("paragraph", "Café, naïve, 50% of x^2 by Grace ; see – “quoted”."),
        ("list", "- one"),
        ("list", "- two"),
        ("table", "A | B"),
        ("table", "1 | 2"),
        ("code", r"\not{touched} % kept"),
    ]


@pytest.mark.parametrize(
    "hostile", [r"\section{" * 5000, r"\begin{verbatim}" * 5000, "$$" * 9999, r"\[" * 9999, "{" * 50_000]
)
def test_hostile_latex_ends(hostile: str) -> None:
    start = time.process_time()
    assert "needle" in read(f"\\documentclass{{a}} needle {hostile}".encode(), name="a.tex").text
    assert time.process_time() - start < 10


def test_rtf_code_pages_follow_the_font() -> None:
    head = rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0\fcharset0 A;}{\f1\fcharset128 B;}{\f2\fcharset204 C;}}"
    japanese = "".join(f"\\'{byte:02x}" for byte in "猫".encode("cp932")).encode()
    russian = "".join(f"\\'{byte:02x}" for byte in "кот".encode("cp1251")).encode()
    body = (
        rb"{\info{\title The Title}{\author x}}{\*\generator hidden;}\outlinelevel0 Head\par\pard caf\'e9 {\f1 "
        + japanese + rb"} {\f2 " + russian + rb"} \u8364? {\b bold}\line next\par"
        rb"\trowd\intbl one\cell two\cell\row\pard after {\pict 0011}\bin3 }}}end\par}"
    )  # fmt: skip
    reading = read(head + body, name="a.rtf")
    assert blocks(reading) == [
        ("heading", "Head"),
        ("paragraph", "café 猫 кот € bold\nnext"),
        ("table", "one | two"),
        ("paragraph", "after end"),
    ]
    assert reading.title == "The Title"


JATS = """<?xml version="1.0"?><!DOCTYPE article PUBLIC "-//NLM//DTD JATS" "JATS.dtd">
<article article-type="research"><front><journal-meta><p>Journal</p></journal-meta><article-meta>
<article-id pub-id-type="doi">10.1/x</article-id><title-group><article-title>The <i>Title</i></article-title></title-group>
<contrib-group><contrib contrib-type="author"><name><surname>Lovelace</surname><given-names>Ada</given-names></name></contrib>
</contrib-group><abstract><p>Abstract text.</p></abstract></article-meta></front>
<body><sec><title>Methods</title><p>Text <xref>[1]</xref>.</p><sec><title>Inner</title><p>Deep.</p></sec>
<table-wrap><caption><p>Caption</p></caption><table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>
</table-wrap></sec></body><back><ref-list><title>References</title><ref><mixed-citation>Knuth 1968</mixed-citation></ref>
</ref-list></back></article>"""


def test_jats_sections() -> None:
    reading = read(JATS.encode(), name="a.xml")
    assert blocks(reading) == [
        ("heading", "The Title"),
        ("paragraph", "Ada Lovelace"),
        ("heading", "Abstract"),
        ("paragraph", "Abstract text."),
        ("heading", "Methods"),
        ("paragraph", "Text [1]."),
        ("heading", "Inner"),
        ("paragraph", "Deep."),
        ("paragraph", "Caption"),
        ("table", "a | b"),
        ("table", "1 | 2"),
        ("heading", "References"),
        ("list", "- Knuth 1968"),
    ]
    assert reading.title == "The Title"
    assert reading.metadata == {"doi": "10.1/x", "author": "Ada Lovelace"}
    assert reading.blocks[7].place.headings[-2:] == ("Methods", "Inner")


def test_feeds_and_other_xml() -> None:
    feed = (
        "<?xml version='1.0' encoding='euc-jp'?><rss><channel><title>ニュース</title><item><title>猫</title>"
        "<description>&lt;p&gt;needle &amp;amp; thread&lt;/p&gt;</description></item></channel></rss>"
    )
    reading = read(feed.encode("euc-jp"), name="a.xml")
    assert blocks(reading) == [("heading", "ニュース"), ("heading", "猫"), ("paragraph", "needle & thread")]
    assert "needle" in read(b"<a><b>needle</b><c><d>x</d></c></a>", name="a.xml").text


def test_xml_entities_are_not_resolved(tmp_path: object) -> None:
    secret = f"{tmp_path}/secret"
    with open(secret, "w", encoding="utf-8") as file:
        file.write("SECRET")
    attack = f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file://{secret}">]><a>text &x; more</a>'
    with contextlib.suppress(SourceBroken):
        assert "SECRET" not in read(attack.encode(), name="a.xml").text
    laughs = (
        '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "ha">'
        + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(12))
        + "]><a>&m;</a>"
    )
    with contextlib.suppress(SourceBroken):
        assert len(read(laughs.encode(), name="a.xml").text) < 1000
