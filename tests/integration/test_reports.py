"""Reports: a template becomes a page that needs no network, and failures stay visible."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from html import unescape
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import sbf_kernel as sbf
from sbf_kernel import reports, samples
from sbf_kernel.cli import main
from sbf_kernel.errors import InvalidInput, NotFound, SbfError

if TYPE_CHECKING:
    from pathlib import Path

nbformat = pytest.importorskip("nbformat")
translators = pytest.importorskip("papermill.translators")

HOSTILE = ["\\", '"', '\\"', "'''", '"""', "\n", "\r", "\u2028", "{x}", "%s", "\\N{DASH}", "\\u0041"]
TEXT = st.lists(st.characters(exclude_categories=["Cs"]) | st.sampled_from(HOSTILE), max_size=20).map("".join)

PARAMETERS = "title = 'Plain'\nfail = False\nwords: str = 'nothing'"
BODY = """
import os, sys
from IPython.display import HTML, Markdown
print("interpreter", sys.executable)
print("home", os.environ.get("SBF_HOME"), "static", os.environ.get("SBF_STATIC"))
if fail:
    raise ValueError("the pot fell down")
Markdown(f"said: {words}")
"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    return write(tmp_path / "template.ipynb", BODY)


def write(path: Path, *cells: str) -> Path:
    """Write a template whose kernelspec is installed nowhere."""
    first = nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    notebook = nbformat.v4.new_notebook(cells=[first, *map(nbformat.v4.new_code_cell, cells)])
    notebook.metadata["kernelspec"] = {"name": "not-installed-anywhere", "display_name": "x", "language": "python"}
    nbformat.write(notebook, path)
    return path


def test_a_template_becomes_a_page_run_by_this_interpreter(template: Path, tmp_path: Path) -> None:
    page = reports.run(template, {"words": "forty-two & more"}, tmp_path / "out" / "page.html", home=tmp_path / "home")
    html = page.read_text(encoding="utf-8")
    assert f"interpreter {sys.executable}" in html
    assert f"home {tmp_path / 'home'} static 1" in html
    assert "said: forty-two &amp; more" in html
    assert "sys.executable" not in html  # the code stays in the notebook
    executed = json.loads((tmp_path / "out" / "page.ipynb").read_text(encoding="utf-8"))
    assert all(cell["metadata"]["papermill"]["status"] == "completed" for cell in executed["cells"])


def test_the_page_loads_and_runs_nothing(template: Path, tmp_path: Path) -> None:
    html = reports.run(template, {}, tmp_path / "page.html").read_text(encoding="utf-8")
    assert reports.external_references(html) == []
    assert "<script" not in html
    assert "default-src 'none'" in html


def test_a_failing_cell_leaves_the_page_and_says_where(template: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    with pytest.raises(SbfError, match=r"template\.ipynb failed in cell \d: ValueError: the pot fell down") as failure:
        reports.run(template, {"fail": True}, page)
    assert str(page) in str(failure.value)
    assert "the pot fell down" in page.read_text(encoding="utf-8")


def test_a_failing_report_fails_the_command(template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["report", "run", str(template), "-p", "fail=true", "-o", str(tmp_path / "page.html")])
    assert code == 1
    assert "the pot fell down" in capsys.readouterr().err
    assert (tmp_path / "page.html").exists()


def test_a_page_that_would_need_a_network_is_refused(tmp_path: Path) -> None:
    far = write(
        tmp_path / "far.ipynb", "from IPython.display import HTML\nHTML('<img src=\"https://example.org/x.png\">')"
    )
    with pytest.raises(InvalidInput, match=r"https://example\.org/x\.png"):
        reports.run(far, {}, tmp_path / "page.html")


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ('<a href="https://example.org">link</a>', []),
        ('<img src="data:image/png;base64,AA==">', []),
        ('<svg><use href="#local"/></svg>', []),
        ("<style>p{color:red}</style>", []),
        ('<link rel="stylesheet" href="https://example.org/a.css">', ["https://example.org/a.css"]),
        ('<img srcset="//example.org/a.png 2x">', ["//example.org/a.png 2x"]),
        ("<script>alert(1)</script>", ["a script"]),
        ("<style>@import 'https://example.org/a.css';</style>", ["'https://example.org/a.css'"]),
        ("<style>p{background:url(https://example.org/a.png)}</style>", ["https://example.org/a.png"]),
        ('<p style="background:url(https://example.org/a.png)">', ["background:url(https://example.org/a.png)"]),
    ],
)
def test_references_are_what_a_browser_loads_by_itself(html: str, found: list[str]) -> None:
    assert reports.external_references(html) == found


@pytest.mark.parametrize(
    "arguments",
    [
        {"template": "no-such-template"},
        {"parameters": {"unknown": 1}},
        {"output": "page.pdf"},
        {"output": "template.html"},
    ],
)
def test_wrong_requests_are_refused_before_anything_runs(
    template: Path, tmp_path: Path, arguments: dict[str, Any]
) -> None:
    given = {"template": template, "parameters": {}, "output": "page.html"} | arguments
    with pytest.raises((InvalidInput, NotFound)):
        reports.run(given["template"], given["parameters"], tmp_path / given["output"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["template.ipynb"]


def test_a_file_that_is_no_notebook_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.ipynb").write_text("{}")
    with pytest.raises(InvalidInput, match="not a Jupyter notebook"):
        reports.run(tmp_path / "broken.ipynb", {}, tmp_path / "page.html")


def test_the_environment_is_left_as_it_was(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JUPYTER_PATH", raising=False)
    reports.run(template, {}, tmp_path / "page.html")
    assert "JUPYTER_PATH" not in os.environ


def test_brief_answers_questions_and_lists_every_quote(tmp_path: Path) -> None:
    home = tmp_path / "home"
    question = "Why does sourdough rise slowly?"
    with sbf.connect(home=home) as workspace:
        notebook = workspace.notebooks.create("Bread")
        notebook.add_text("Sourdough rises slowly because wild yeast is sparse. Salt slows the yeast further.", "bread")
        page = reports.run(
            "brief",
            {"title": "On <bread>", "notebook": "Bread", "questions": [question, "Who won in 1972?"]},
            tmp_path / "brief.html",
            home=home,
        )
    html = page.read_text(encoding="utf-8")
    assert "On &lt;bread&gt;" in html
    assert "1 of 2</strong> questions answered" in html
    assert "wild yeast is sparse" in html
    assert "✓" in html
    assert "not answered" in html
    assert reports.external_references(html) == []


def test_sbf_brings_the_brief() -> None:
    assert "brief" in reports.names()
    assert reports.parameters_of("brief") == ["title", "notebook", "questions"]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the samples in a notebook, and an answer that a changed source has overtaken."""
    home = tmp_path_factory.mktemp("library")
    with sbf.connect(home=home) as workspace:
        notebook = workspace.notebooks.create("Samples")
        notebook.add(*samples.own(home / "samples"), progress=False)
        notebook.add_text("The harvest supper is on Friday.", "invitation", progress=False)
        notebook.ask("When is the harvest supper?")
        notebook.add_text("The harvest supper is on Sunday.", "invitation", progress=False)
    return home


EXPECTED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "brief": ({"questions": ["How is a quote checked?"]}, ["Research brief", "1 of 1 questions", "@misc{citations,"]),
    "literature_review": (
        {"questions": ["Which bench gave the highest yield?", "Who won in 1972?"], "sources": "l"},
        ["lab_log.ipynb (version 1", "Bench A gave the highest yield", "No answer in: ", "field\\_guide.epub"],
    ),
    "reading_list": ({"subjects": ["merge two rankings"]}, ["hybrid_search.html", "of reading", "@misc{"]),
    "what_changed": (
        {"since": "2026-01-01", "questions": ["When is the harvest supper?"]},
        [
            "10 new sources",
            "1 of 1 earlier answers",
            "The harvest supper is on Friday.",
            "The harvest supper is on Sunday.",
        ],
    ),
}


def test_there_is_an_expectation_for_every_template() -> None:
    assert sorted(EXPECTED) == reports.names()


def test_all_templates_run_at_the_same_time_and_their_pages_need_nothing(library: Path, tmp_path: Path) -> None:
    def start(name: str) -> subprocess.Popen[str]:
        parameters = {"notebook": "Samples", **EXPECTED[name][0]}
        told = [part for key, value in parameters.items() for part in ("-p", f"{key}={json.dumps(value)}")]
        command = [
            sys.executable,
            "-m",
            "sbf_kernel",
            "report",
            "run",
            name,
            *told,
            "-o",
            str(tmp_path / f"{name}.html"),
        ]
        environment = {**os.environ, "SBF_HOME": str(library)}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    running = {name: start(name) for name in EXPECTED}
    ended = {name: (*process.communicate(timeout=110), process.returncode) for name, process in running.items()}
    assert {name: code for name, (_, _, code) in ended.items()} == dict.fromkeys(EXPECTED, 0), ended
    pages = {name: (tmp_path / f"{name}.html").read_text(encoding="utf-8") for name in EXPECTED}
    for name, (_, wanted) in EXPECTED.items():
        words = unescape(re.sub("<[^>]*>", "", pages[name]))
        assert [missing for missing in wanted if missing not in words] == [], name
        assert reports.external_references(pages[name]) == []
        assert "<script" not in pages[name]
        assert "BibTeX" in words
        assert len(pages[name]) < 200_000


@given(st.dictionaries(st.sampled_from(["title", "since"]), TEXT | st.lists(TEXT)))
@example({"title": '\\"); import os; os.abort() #', "since": ["'''", "{title}", "\n%%bash\nid"]})
def test_parameters_are_data_whatever_they_say(parameters: dict[str, Any]) -> None:
    cell = translators.PythonTranslator.codify(parameters, "parameters")
    assigned = {node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse(cell).body}  # type: ignore[attr-defined]
    assert assigned == parameters
