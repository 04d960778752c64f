"""The command line on a real workspace: what it prints, where, and with which exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import sbf_kernel as sbf
from sbf_kernel.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SBF = [sys.executable, "-m", "sbf_kernel"]


class Outcome(NamedTuple):
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Outcome]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("home")
    with sbf.connect(home=place):  # keeps the database up between the commands
        yield place


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> Outcome:
        code = main(["--home", str(home), *map(str, arguments)])
        return Outcome(code, *capsys.readouterr())

    return call


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("papers")
    (folder / "tides.md").write_text(
        "# Tides\n\nThe moon pulls the water of the oceans. Spring tides come after full moon and new moon.\n"
    )
    (folder / "bread.txt").write_text(
        "Sourdough rises slowly because wild yeast is sparse. Salt slows the yeast further.\n"
    )
    (folder / "empty.txt").write_text("")
    return folder


@pytest.fixture(scope="module")
def filled(home: Path, papers: Path) -> str:
    with sbf.connect(home=home) as workspace:
        workspace.notebooks.create("Filled").add(papers, progress=False)
    return "Filled"


def test_add_reports_each_source_and_ends_well_whatever_became_of_it(run: Run, papers: Path) -> None:
    done = run("add", papers, "--notebook", "Batch", "--tag", "first", "--json")
    assert done.code == 0
    assert done.err == ""
    by_name = {source["name"]: source for source in done.json()["sources"]}
    assert {name: source["status"] for name, source in by_name.items()} == {
        "tides.md": "ready",
        "bread.txt": "ready",
        "empty.txt": "failed",
    }
    assert by_name["empty.txt"]["reason"] == "source_empty"
    assert "check that the right file was chosen" in by_name["empty.txt"]["message"]
    assert by_name["tides.md"]["tags"] == ["first"]
    assert by_name["tides.md"]["chunk_count"] >= 1
    assert {"id", "stage", "origin", "media_type", "sha256", "language", "version", "char_count"} <= set(
        by_name["tides.md"]
    )


def test_adding_again_changes_nothing(run: Run, papers: Path) -> None:
    run("add", papers / "tides.md", "--notebook", "Again")
    again = run("add", papers / "tides.md", "--notebook", "Again", "--json").json()["sources"]
    assert [(source["status"], source["stage"], source["version"]) for source in again] == [("ready", "unchanged", 1)]


def test_add_tells_people_what_failed_and_what_to_do(run: Run, papers: Path) -> None:
    done = run("add", papers, "--notebook", "Told")
    assert "3 sources: " in done.out
    assert "✗ failed" in done.out
    assert "check that the right file was chosen" in done.out
    assert done.err == "1 of 3 failed; the others are ready. What to do stands in the table.\n"


def test_search_prints_hits_and_json(run: Run, filled: str) -> None:
    shown = run("search", "why does sourdough rise slowly", "--notebook", filled, "--limit", 1)
    assert shown.code == 0
    assert "1. bread.txt · words #1, meaning #1" in shown.out
    found = run("search", "spring tide", "--notebook", filled, "--arm", "lexical", "--json").json()
    assert (found["arm"], found["hits"][0]["source"], found["hits"][0]["dense_rank"]) == ("lexical", "tides.md", None)


def test_ask_answers_with_quotes_that_stand_in_the_source(run: Run, filled: str) -> None:
    answer = run("ask", "Why does sourdough rise slowly?", "--notebook", filled, "--json").json()
    assert answer["answered"]
    text = run("sources", "text", "bread.txt", "--notebook", filled, "--json").json()["text"]
    for citation in answer["citations"]:
        assert text[citation["start"] : citation["end"]] == citation["quote"]
        assert citation["status"] == "verified"


def test_ask_streams_the_answer_and_then_its_sources(run: Run, filled: str) -> None:
    done = run("ask", "Why does sourdough rise slowly?", "--notebook", filled)
    said, _, sources = done.out.partition("\n\n")
    assert "wild yeast is sparse" in said
    assert "[1] ✓ verified · bread.txt" in sources
    assert done.out.count("model extractive") == 1


def test_ask_says_when_nothing_answers(run: Run, filled: str) -> None:
    done = run("ask", "Who won the world chess championship in 1972?", "--notebook", filled)
    assert done.code == 0
    assert "⚠ not answered by the sources" in done.out


def test_notebooks_are_made_renamed_listed_and_deleted(run: Run) -> None:
    assert run("notebooks", "create", "Short", "--description", "for a while").code == 0
    assert run("notebooks", "rename", "Short", "Brief").code == 0
    names = [
        notebook["name"] for notebook in run("notebooks", "list", "--search", "Brief", "--json").json()["notebooks"]
    ]
    assert names == ["Brief"]
    assert run("notebooks", "delete", "Brief").out.startswith("deleted Brief")
    assert run("notebooks", "list", "--search", "Brief", "--json").json()["total"] == 0


def test_a_source_is_removed_restored_and_deleted(run: Run, papers: Path) -> None:
    run("add", papers / "tides.md", papers / "bread.txt", "--notebook", "Cycle")

    def listed(*more: str) -> list[str]:
        return sorted(
            source["name"]
            for source in run("sources", "list", "--notebook", "Cycle", *more, "--json").json()["sources"]
        )

    assert listed() == ["bread.txt", "tides.md"]
    assert run("sources", "remove", "tides.md", "--notebook", "Cycle").code == 0
    assert (listed(), listed("--removed")) == (["bread.txt"], ["tides.md"])
    assert run("sources", "restore", "tides.md", "--notebook", "Cycle").code == 0
    assert listed() == ["bread.txt", "tides.md"]
    assert "✓ ready" in run("sources", "show", "tides.md", "--notebook", "Cycle").out


def test_stored_text_is_written_as_it_is(home: Path, filled: str) -> None:
    done = subprocess.run(
        [*SBF, "--home", str(home), "sources", "text", "bread.txt", "--notebook", filled],
        capture_output=True,
        check=True,
    )
    with sbf.connect(home=home) as workspace:
        assert done.stdout.decode() == workspace.notebooks.get(filled).sources.text("bread.txt").text


def test_doctor_tells_what_works(run: Run) -> None:
    done = run("doctor", "--json")
    assert done.code == 0
    assert done.json()["ok"] is True
    assert {"database", "embedder"} <= set(done.json()["checks"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["search", "x", "--notebook", "nowhere"],
            "error: there is no notebook 'nowhere' → sbf notebooks list shows all\n",
        ),
        (["sources", "show", "nothing"], "error: there is no source 'nothing' → sbf sources list shows all\n"),
        (
            ["add", "/no/such/file"],
            "error: /no/such/file does not exist → check the path; a glob such as docs/**/*.md works too\n",
        ),
        (
            ["report", "run", "nothing"],
            "error: there is no report template 'nothing' → give a .ipynb file or one of: brief, literature_review, reading_list, what_changed\n",
        ),
        (
            ["report", "run", "brief", "-p", "title"],
            "error: -p title is not key=value → for example -p notebook=Research\n",
        ),
        (["eval", "/no/such/folder"], None),
        (["search", "x", "--limit", "1000"], None),
    ],
)
def test_a_wrong_request_is_one_line_and_code_2(run: Run, arguments: list[str], told: str | None) -> None:
    done = run(*arguments)
    assert done.code == 2
    assert done.out == ""
    assert done.err == (told or done.err)
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1


def test_errors_in_json_are_one_document_too(run: Run) -> None:
    done = run("search", "x", "--notebook", "nowhere", "--json")
    assert done.code == 2
    assert done.json()["error"]["code"] == "not_found"


def test_a_wrong_command_line_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["add"])
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: the following arguments are required: PATH → sbf add --help shows how\n"


def test_unexpected_errors_show_a_traceback_only_on_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def explode(*_: object, **__: object) -> None:
        raise RuntimeError("boom\nsecond line")

    monkeypatch.setattr(sbf, "connect", explode, raising=False)
    assert main(["doctor"]) == 1
    assert (
        capsys.readouterr().err
        == "error: unexpected RuntimeError: boom second line → SBF_DEBUG=1 shows where; please report it\n"
    )
    monkeypatch.setenv("SBF_DEBUG", "1")
    with pytest.raises(RuntimeError, match="boom"):
        main(["doctor"])


def test_global_options_may_stand_before_or_after_the_command(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["notebooks", "list", "--home", str(home), "--json"]) == 0
    after = capsys.readouterr().out
    assert main(["--home", str(home), "notebooks", "list", "--json"]) == 0
    assert capsys.readouterr().out == after


def test_a_reader_that_has_seen_enough_is_no_error(home: Path, filled: str) -> None:
    line = f"{sys.executable} -m sbf_kernel --home {home} search yeast --notebook {filled} --json | head -c 1 >/dev/null; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_ctrl_c_stops_and_says_so(home: Path, tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number}.txt").write_text(
            "\n\n".join(f"Paragraph {number} {n}: wind and water shape the coast. " * 8 for n in range(40))
        )
    work = subprocess.Popen(
        [*SBF, "--home", str(home), "add", str(tmp_path), "--notebook", "Stopped"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with sbf.connect(home=home) as workspace:
        wait_until(lambda: any(n.name == "Stopped" and n.source_count for n in workspace.notebooks.list(limit=100)))
    work.send_signal(signal.SIGINT)
    out, err = work.communicate(timeout=60)
    assert work.returncode == 130
    assert out == ""
    assert err == "stopped → what was stored stays; run it again to go on\n"


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_eval_measures_each_arm(run: Run, tmp_path: Path) -> None:
    texts = {"d1": "Spring tides come after full moon.", "d2": "Wild yeast makes sourdough rise."}
    (tmp_path / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": key, "title": "", "text": text}) + "\n" for key, text in texts.items())
    )
    (tmp_path / "queries.jsonl").write_text(json.dumps({"_id": "q1", "text": "when do spring tides come"}) + "\n")
    (tmp_path / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    measured = run("eval", tmp_path, "--json").json()
    assert (measured["docs"], measured["queries"]) == (2, 1)
    assert measured["arms"]["hybrid"]["ndcg@10"] == 1.0
    assert "ndcg@10" in run("eval", tmp_path).out


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = "import sys, sbf_kernel.cli; sbf_kernel.cli.build_parser().format_help(); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {
        "pydantic",
        "numpy",
        "sqlalchemy",
        "psycopg",
        "pandas",
        "onnxruntime",
        "asyncio",
        "tqdm",
        "nbconvert",
        "papermill",
    }
    assert heavy.isdisjoint(eval(done.stdout))


def test_it_starts_without_a_terminal_and_in_an_ascii_locale(home: Path, filled: str) -> None:
    environment = {
        **os.environ,
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": "ascii",
    }
    done = subprocess.run(
        [*SBF, "--home", str(home), "search", "yeast", "--notebook", filled],
        capture_output=True,
        env=environment,
        stdin=subprocess.DEVNULL,
        check=True,
    )
    assert b"bread.txt" in done.stdout
