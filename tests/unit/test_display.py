"""Display: what hostile data cannot do, and what people see."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbf_kernel import display, records
from sbf_kernel.display.escaping import WIDTH, clean, columns, element, markdown, wrap

ID = UUID(int=7)
TIME = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)

PAYLOADS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg/onload=alert(1)>',
    "'><iframe src=javascript:alert(1)>",
    "</section></td></table><h1>gone</h1>",
    "</style><script>alert(1)</script>",
    "<!-- --><b>bold</b>",
    "]]><b>",
    "javascript:alert(1)",
    '" onmouseover="alert(1)" x="',
    "' style='background:url(https://evil.example/x)",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<a href=https://evil.example>click</a>",
    "<\x00script>alert(1)</script>",
    "<scr\u2028ipt>",
    "\ud800<b>lone surrogate</b>",
    "[1](javascript:alert(1)) ![x](https://evil.example/p.png)",
    "a | b | <b>\n| --- |",
    "invoice\u202efdp.exe",
    "\x1b[31mred\x1b[0m",
]

ALLOWED = {
    "section",
    "style",
    "table",
    "caption",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "span",
    "div",
    "p",
    "ol",
    "li",
    "bdi",
    "strong",
    "mark",
    "sup",
    "a",
    "blockquote",
}


class Outline(HTMLParser):
    """The elements and attributes of a page, and what it says."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.comments: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(tag, tuple(name for name, _ in attrs)) for tag, attrs in self.elements]

    def text(self) -> str:
        return " ".join("".join(self.words).split())


def outline(html: str) -> Outline:
    parser = Outline()
    parser.feed(html)
    parser.close()
    assert not parser.open
    return parser


def hit(**changes: Any) -> records.Hit:
    plain: dict[str, Any] = {
        "rank": 1,
        "score": 0.5,
        "source_id": ID,
        "source": "a.pdf",
        "version_id": ID,
        "version": 1,
        "chunk_id": ID,
        "start": 10,
        "end": 37,
        "text": "Attention scales quadratic.",
        "location": records.Location(page=3, headings=("Methods",)),
        "highlights": ((0, 9),),
        "dense_rank": 1,
        "lexical_rank": 3,
    }
    return records.Hit(**plain | changes)


def hits(*items: records.Hit, **changes: Any) -> records.Hits:
    plain: dict[str, Any] = {
        "query": "why?",
        "arm": "hybrid",
        "items": items,
        "searched_chunks": 1_234,
        "milliseconds": 8.2,
    }
    return records.Hits(**plain | changes)


def citation(**changes: Any) -> records.Citation:
    plain: dict[str, Any] = {
        "marker": 1,
        "status": "verified",
        "source_id": ID,
        "source": "a.pdf",
        "version_id": ID,
        "version": 1,
        "chunk_id": ID,
        "start": 1_000,
        "end": 1_027,
        "quote": "Attention scales quadratic.",
        "location": records.Location(page=3),
    }
    return records.Citation(**plain | changes)


def answer(*cited: records.Citation, **changes: Any) -> records.Answer:
    plain: dict[str, Any] = {
        "id": ID,
        "question": "Why?",
        "answered": True,
        "text": "It scales [1]. Twice [1, 2]. Not [9].",
        "created_at": TIME,
        "citations": records.Citations(items=cited or (citation(), citation(marker=2, status="unverified"))),
        "provenance": records.Provenance(model="extractive"),
        "milliseconds": 12.0,
        "budget": records.Budget(window=16_000, used=800, passages=12, cut=3),
    }
    return records.Answer(**plain | changes)


def source(**changes: Any) -> records.Source:
    plain: dict[str, Any] = {
        "id": ID,
        "name": "a.pdf",
        "origin": "file:///a.pdf",
        "status": "ready",
        "stage": "stored",
        "chunk_count": 12,
        "created_at": TIME,
        "updated_at": TIME,
    }
    return records.Source(**plain | changes)


def source_list(*items: records.Source) -> records.SourceList:
    return records.SourceList(items=items, total=len(items), limit=20, offset=0)


def everything_said_with(text: str) -> list[display.View]:
    """Return every kind of view, with this text wherever data can stand."""
    place = records.Location(page=3, headings=(text,), sheet=text)
    cited = citation(source=text, quote=text, location=place)
    rechecked = records.RecheckedCitation(marker=1, source=text, holds=False, current=True, quote=text, detail=text)
    shown = [
        hits(
            hit(source=text, text=text, location=place, highlights=((0, 3), (2, 900))),
            query=text,
            arm=text,
            warnings=(text,),
        ),
        hit(source=text, text=text, location=place),
        answer(
            cited,
            question=text,
            text=f"{text} [1]",
            provenance=records.Provenance(model=text),
            budget=records.Budget(cut=1, cut_sources=(text,)),
        ),
        answer(cited, question=text, text=f"{text} [1]", answered=False),
        cited,
        records.Citations(items=(cited,)),
        records.Recheck(answer_id=ID, items=(rechecked,)),
        source(name=text, origin=text, message=text, status="failed", tags=(text,)),
        source_list(source(name=text, message=text, status="failed"), source(name=text)),
        records.SourceText(source_id=ID, version_id=ID, version=1, name=text, sha256="", text=text),
        records.Notebook(id=ID, name=text, description=text, created_at=TIME, updated_at=TIME),
        records.NotebookList(
            items=(records.Notebook(id=ID, name=text, description=text, created_at=TIME, updated_at=TIME),),
            total=1,
            limit=1,
            offset=0,
        ),
        records.AnswerList(items=(answer(question=text),), total=1, limit=1, offset=0),
        records.Health(ok=False, version=text, checks={text: text}),
    ]
    return [record._view() for record in shown] + [
        display.table(text, (text, "b"), [(text, [text]), ({text: text}, 1.5)]),
        display.bars(text, [(text, 2), (text, 1)], most=1),
    ]


@pytest.fixture(scope="module")
def harmless_shapes() -> list[Any]:
    return [outline(view.html).shape() for view in everything_said_with("harmless")]


def assert_harmless(text: str, shapes: list[Any]) -> None:
    for view, shape in zip(everything_said_with(text), shapes, strict=True):
        page = outline(view.html)
        assert not page.comments
        assert {tag for tag, _ in page.elements} <= ALLOWED
        # Same elements with the same attributes as with harmless words: none comes from the data.
        # What data may change is how many highlighted pieces there are, and whether an empty cell is shown.
        assert set(page.shape()) <= set(shape) | {
            ("mark", ()),
            ("span", ("class",)),
            ("th", ("scope",)),
            ("td", ()),
            ("p", ()),
        }
        for _, attributes in page.elements:
            for name, value in attributes:
                assert not name.startswith("on")
                if name == "href":
                    assert re.fullmatch(r"#sbf-[0-9a-f]{10}-\d+", value or "")
        for face in (view.plain, view.html, view.markdown):
            assert not re.search(
                "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", face
            )
            face.encode("utf-8")


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_element_or_attribute_comes_from_data(payload: str, harmless_shapes: list[Any]) -> None:
    try:
        assert_harmless(payload, harmless_shapes)
    except ValueError as error:  # a record refuses what is no text at all
        assert "surrogates" in str(error) or "unicode" in str(error)


@given(
    st.text(
        st.sampled_from("<>&\"'`=/ \n\t[]()|\\*_#!-:;abconSCRIPT1\u202e\x1b\u200f注e\u0301"), min_size=1, max_size=60
    )
)
def test_no_text_at_all_breaks_out(text: str) -> None:
    assert_harmless(text, [outline(view.html).shape() for view in everything_said_with("harmless")])


@given(st.text(max_size=80))
def test_html_says_the_text_itself(text: str) -> None:
    page = outline(str(element("p", text)))
    assert "".join(page.words) == clean(text)
    assert len(clean(text)) == len(text)


def test_markdown_escapes_markup_links_and_html() -> None:
    assert markdown("a|b [c](d) <e> *f* `g`") == r"a\|b \[c\]\(d\) &lt;e&gt; \*f\* \`g\`"
    assert markdown("see https://evil.example or www.evil.example") == r"see https\://evil.example or www\.evil.example"
    assert markdown("# no heading") == r"\# no heading"
    assert markdown("- no item") == r"\- no item"
    assert markdown("1. no item") == r"1\. no item"
    assert markdown("$x$ and $y$") == r"\$x\$ and \$y\$"


@pytest.mark.parametrize("payload", PAYLOADS)
def test_markdown_renders_as_plain_words(payload: str) -> None:
    mistune = pytest.importorskip("mistune")
    render = mistune.create_markdown(escape=False, plugins=["table", "url", "strikethrough", "math"])
    page = outline(render(markdown(payload)))
    assert {tag for tag, _ in page.elements} <= {"p"}


def test_hits_show_source_place_arms_and_highlights() -> None:
    view = hits(hit(), hit(rank=2, dense_rank=None, source="b.md"))._view()
    page = outline(view.html)
    assert "2 hits for “why?” hybrid · 1,234 passages searched · 8 ms" in page.text()
    assert "<mark>Attention</mark> scales quadratic." in view.html
    assert page.text().count("words #3") == 2
    assert page.text().count("meaning #1") == 1
    assert "1. a.pdf · p. 3 · Methods · words #3, meaning #1 · 0.500\n    Attention scales quadratic." in view.plain
    assert "**Attention** scales quadratic." in view.markdown


def test_no_hits_says_so() -> None:
    assert hits()._view().plain.startswith("0 hits for “why?”")


def test_markers_of_an_answer_lead_to_its_quotes() -> None:
    view = answer()._view()
    page = outline(view.html)
    targets = [value for _, attributes in page.elements for name, value in attributes if name == "id"]
    links = [value for _, attributes in page.elements for name, value in attributes if name == "href"]
    assert [link[-2:] for link in links if link] == ["-1", "-1", "-2"]
    assert {link.removeprefix("#") for link in links if link} == set(targets)
    assert "Not [9]." in page.text()
    assert "✓ verified" in page.text()
    assert "⚠ unverified" in page.text()
    assert "1 of 2 quotes were not found word for word in their source" in page.text()
    assert "model extractive · 12 passages seen · 3 left out · 800 of 16,000 tokens · 12 ms" in view.plain
    assert "[1] ✓ verified · a.pdf · p. 3 · characters 1,000–1,027\n      “Attention scales quadratic.”" in view.plain


def test_a_marker_cited_twice_has_one_target() -> None:
    page = outline(answer(citation(), citation(quote="other"))._view().html)
    ids = [value for _, attributes in page.elements for name, value in attributes if name == "id"]
    assert len(ids) == len(set(ids)) == 1


def test_an_unanswered_question_is_visibly_unanswered() -> None:
    view = answer(answered=False, text="The sources do not say.", citations=records.Citations())._view()
    assert "⚠ not answered The sources do not say." in outline(view.html).text()
    assert "⚠ not answered: The sources do not say." in view.plain
    assert "**⚠ not answered.** The sources do not say." in view.markdown


def test_the_same_record_looks_the_same_every_time() -> None:
    assert answer()._view() == answer()._view()
    assert answer()._view().html != answer(question="Other?")._view().html


def test_static_output_has_no_times_and_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SBF_STATIC", "1")
    assert " ms" not in answer()._view().plain + hits(hit())._view().html
    assert "2026" not in source()._view().html
    assert str(ID) not in source()._view().plain


def test_sources_tell_state_and_cure() -> None:
    view = source_list(
        source(),
        source(
            name="b.pdf",
            status="failed",
            stage="reading",
            chunk_count=0,
            message="b.pdf needs a password → add it again with password=",
        ),
    )._view()
    assert view.plain.splitlines()[0] == "2 sources: 1 ready, 1 failed"
    assert re.search(
        r"^b\.pdf +✗ failed +b\.pdf needs a password → add it again with password= +0$", view.plain, re.MULTILINE
    )
    assert "language" not in view.plain  # empty in every row


def test_tables_format_each_kind_of_value() -> None:
    rows = [(1_234, 0.123456, True, None, TIME, ("a", "b")), (5, 12.0, False, "x|y", TIME, ())]
    view = display.table("t", ("n", "f", "b", "s", "when", "tags"), rows)
    assert view.plain.splitlines()[3:] == [
        "1234  0.1235  yes       2026-01-02 03:04  a, b",
        "   5      12  no   x|y  2026-01-02 03:04",
    ]
    assert r"| 5 | 12 | no | x\|y | 2026-01-02 03:04 |  |" in view.markdown
    assert outline(view.html).text().startswith("tnfbswhentags12340.1235yes2026-01-02 03:04")


def test_an_empty_table_keeps_its_header() -> None:
    assert display.table("none", ("a", "b"), []).plain.splitlines()[:2] == ["none", "a  b"]


WIDE = st.text(st.sampled_from("abc defgh注意力 \u0301éß–\n"), max_size=300)


@given(st.lists(st.tuples(WIDE, WIDE, st.integers()), max_size=4))
def test_plain_tables_fit_a_terminal(rows: list[tuple[str, str, int]]) -> None:
    lines = display.table("t", ("first", "second", "third"), rows).plain.splitlines()
    assert max(map(columns, lines)) <= WIDTH


@given(WIDE, st.integers(2, 40))
def test_wrapping_loses_nothing_but_spaces(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert all(columns(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


@given(
    st.text(st.sampled_from("ab c注"), max_size=400),
    st.lists(st.tuples(st.integers(-5, 410), st.integers(-5, 410)), max_size=6),
    st.integers(10, 200),
)
def test_a_window_is_short_and_inside(text: str, spans: list[tuple[int, int]], width: int) -> None:
    start, end = display.window(text, spans, width)
    assert 0 <= start <= end <= len(text)
    assert end - start <= width


def test_a_window_shows_where_most_matches_stand() -> None:
    text = "needle " + "hay " * 200 + "needle needle needle " + "hay " * 200
    spans = [(found.start(), found.end()) for found in re.finditer("needle", text)]
    start, end = display.window(text, spans, 100)
    assert text[start:end].count("needle") == 3
    assert text[start - 1].isspace()


def test_views_load_nothing_and_run_nothing() -> None:
    for view in everything_said_with("x"):
        assert "url(" not in view.html
        assert "@import" not in view.html
        assert "<script" not in view.html
        assert not re.search(r"https?://", view.html)


def test_tables_are_named_and_headed_for_screen_readers() -> None:
    page = outline(source_list(source())._view().html)
    assert ("section", (("class", "sbf-view"), ("aria-label", "1 source: 1 ready"))) in page.elements
    assert all(dict(attributes).get("scope") == "col" for tag, attributes in page.elements if tag == "th")
    assert any(tag == "caption" for tag, _ in page.elements)


def luminance(color: tuple[float, float, float]) -> float:
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (c / 255 for c in color)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def blend(
    over: tuple[float, float, float], share: float, under: tuple[float, float, float]
) -> tuple[float, float, float]:
    mixed = [a * share + b * (1 - share) for a, b in zip(over, under, strict=True)]
    return mixed[0], mixed[1], mixed[2]


def color(text: str) -> tuple[float, float, float]:
    digits = text.lstrip("#") if len(text) == 7 else "".join(c * 2 for c in text.lstrip("#"))
    return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_every_text_has_enough_contrast(theme: int) -> None:
    css = hits()._view().html
    ink, paper, link = (
        color(re.findall(rf"--sbf-{name}:(#[0-9a-f]+)", css)[theme]) for name in ("ink", "paper", "link")
    )
    muted = float(re.findall(r"\.sbf-muted\{opacity:([0-9.]+)", css)[0])
    tints = [
        ((float(r), float(g), float(b)), float(a))
        for r, g, b, a in re.findall(
            r"background:rgba\((\d+),(\d+),(\d+),([0-9.]+)\)", css.replace(".sbf-bar", "").split(".sbf-badge", 1)[1]
        )
    ]
    assert len(tints) >= 6
    assert contrast(blend(ink, muted, paper), paper) >= 4.5
    assert contrast(link, paper) >= 4.5
    for tint, share in tints:
        assert contrast(ink, blend(tint, share, paper)) >= 4.5
