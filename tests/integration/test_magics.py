"""The magics in a real IPython shell: what they do, show, complete, and how they fail."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from sbf_kernel.errors import SbfError
from sbf_kernel.records import Answer, Hits, Report

pytest.importorskip("IPython")
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from sbf_kernel.magics.completing import suggestions
from sbf_kernel.magics.namespace import Later, Namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sbf_kernel.workspace import NotebookHandle, Workspace


NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["local", "remote"])
def backend_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def shell(workspace: Workspace, notebook: NotebookHandle, tmp_path: Any) -> Iterator[InteractiveShell]:
    """A shell with the extension loaded and a notebook chosen."""
    os.environ["IPYTHONDIR"] = str(tmp_path)
    shell = InteractiveShell.instance()
    shell.push({"ws": workspace})
    run(shell, "%load_ext sbf_kernel")
    notebook.add_text("Quartz scratches glass. It is harder.", "stones")
    notebook.add_text("Tea is best at eighty degrees.", "tea notes")
    run(shell, f"%sbf use {notebook.name}")
    yield shell
    shell.history_manager.end_session()
    InteractiveShell.clear_instance()
    del os.environ["IPYTHONDIR"]


def run(shell: InteractiveShell, code: str) -> Any:
    """Run a cell that goes well; returns what it displayed and its value."""
    with capture_output() as captured:
        result = shell.run_cell(code)
    result.raise_error()
    return captured.outputs, result.result


def fail(shell: InteractiveShell, code: str) -> tuple[BaseException, str]:
    """Run a cell that goes wrong; returns the error and all that is shown of it."""
    with capture_output() as captured:
        result = shell.run_cell(code)
    assert result.error_in_exec is not None
    return result.error_in_exec, captured.stdout + captured.stderr


def test_search_looks_in_the_notebook_and_gives_hits(shell: InteractiveShell, workspace: Workspace) -> None:
    workspace.notebooks.create("Other").add_text("Quartz is a mineral.", "elsewhere")
    _, hits = run(shell, "%search what does quartz scratch?")
    assert isinstance(hits, Hits)
    assert hits[0].source == "stones"
    assert "elsewhere" not in {hit.source for hit in hits}
    assert "elsewhere" in {hit.source for hit in run(shell, "%search --all quartz")[1]}
    assert {hit.source for hit in run(shell, "%search -N Other quartz")[1]} == {"elsewhere"}
    assert {hit.source for hit in run(shell, '%search --source "tea notes" best')[1]} == {"tea notes"}
    assert len(run(shell, "%search -n 1 --arm lexical quartz")[1]) == 1


def test_search_into_a_variable_shows_nothing(shell: InteractiveShell) -> None:
    outputs, shown = run(shell, "%search -o found quartz")
    assert shown is None
    assert outputs == []
    assert isinstance(shell.user_ns["found"], Hits)
    run(shell, "again = %search quartz")
    assert shell.user_ns["again"].items[0].source == "stones"


def test_a_cell_asks_shows_one_rich_answer_and_names_it(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SBF_STATIC", "1")
    outputs, _ = run(shell, "%%ask -o answer\nWhat does quartz\nscratch?")
    answer = shell.user_ns["answer"]
    assert isinstance(answer, Answer)
    assert answer.question == "What does quartz\nscratch?"
    assert answer.answered
    assert len(outputs) == 1
    assert set(outputs[0].data) == {"text/plain", "text/markdown", "text/html"}
    assert "Quartz scratches glass." in outputs[0].data["text/plain"]


def test_a_live_answer_is_updated_in_place_and_ends_as_the_whole_answer(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SBF_STATIC", raising=False)
    outputs, _ = run(shell, "%ask -o answer What does quartz scratch?")
    assert len({output.transient["display_id"] for output in outputs}) == 1
    assert [output.update for output in outputs][:2] == [False, True]
    assert "…" in outputs[0].data["text/plain"]
    assert outputs[-1].data == shell.user_ns["answer"]._repr_mimebundle_()


def test_a_question_may_end_as_questions_do(shell: InteractiveShell) -> None:
    run(shell, "if True:\n    hits = %search what does quartz scratch?\n")
    assert shell.user_ns["hits"].query == "what does quartz scratch?"
    with capture_output() as captured:
        shell.run_cell("%ask?")
    assert captured.outputs or "Ask the sources" in captured.stdout


def test_variables_are_filled_in_and_unknown_ones_left_alone(shell: InteractiveShell) -> None:
    shell.push({"stone": "quartz", "table": {"verb": "scratch"}, "things": ["a", "glass"]})
    run(
        shell,
        "%%ask -o answer\nWhat does {stone} {table[verb]}, {unknown} or {things[1]} or {stone.nope}? {} {1+1} ${stone",
    )
    question = shell.user_ns["answer"].question
    assert question == "What does quartz scratch, {unknown} or glass or {stone.nope}? {} {1+1} ${stone"
    assert run(shell, "%search -o found {stone} and $stone")[1] is None
    assert shell.user_ns["found"].query == "quartz and $stone"


def test_a_variable_that_looks_like_code_is_only_text(shell: InteractiveShell) -> None:
    shell.push({"evil": "{__import__('os')} {stone}", "stone": "never"})
    run(shell, "%search -o found {evil} tea")
    assert shell.user_ns["found"].query == "{__import__('os')} {stone} tea"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("%sbf use", "InvalidInput: %sbf use needs the name of a notebook → %sbf notebooks lists them"),
        ("%sbf fly", "InvalidInput: %sbf has no command 'fly' → there are: status, connect"),
        ("%sbf add nowhere.pdf", "nowhere.pdf"),
        ("%search", "the following arguments are required: query → %search? shows how"),
        ("%search -n 101 quartz", "InvalidInput: limit: must be at most 100"),
        ("%search -N Nowhere quartz", "NotFound: there is no notebook 'Nowhere' → ws.notebooks.list() shows all"),
        ("%ask", "InvalidInput: there is no question → %ask What did they measure?"),
        ("%%ask --model nobody:x\nWhy?", "nobody"),
        (
            "%%ask -o 1x\nWhat does quartz scratch?",
            "InvalidInput: '1x' is not the name of a variable → for example -o answer",
        ),
        ("%sbf connect https://127.0.0.1:1 --token NO_SUCH", "holds a text → from getpass"),
    ],
)
def test_an_error_is_one_line_that_says_what_to_do_and_the_cell_fails(
    shell: InteractiveShell, code: str, said: str
) -> None:
    error, shown = fail(shell, code)
    assert isinstance(error, SbfError)
    assert said in shown
    assert "Traceback" not in shown
    assert len(shown.strip().splitlines()) == 1


def test_stopping_a_question_is_told_in_one_line(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sbf_kernel.magics.showing.show_answer", stopped)
    error, shown = fail(shell, "%%ask\nWhat does quartz scratch?")
    assert isinstance(error, KeyboardInterrupt)
    assert shown.strip() == "KeyboardInterrupt: stopped"


def test_a_report_says_how_to_see_its_page(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Report(
        id=uuid4(), notebook_id=uuid4(), template="brief", status="ready", created_at=NOW, updated_at=NOW, html="<p>"
    )
    monkeypatch.setattr("sbf_kernel.workspace.reports.Reports.run", lambda *_, **__: made)
    for line, held in (("%sbf report brief", f'ws.reports.get("{made.id}")'), ("%sbf report brief -o page", "page")):
        (output, *_), _ = run(shell, line)
        assert output.data["text/plain"].startswith(f'{held}.save("brief.html")')


def test_tracebacks_are_shown_when_asked_for(shell: InteractiveShell) -> None:
    run(shell, "%sbf --debug")
    _, shown = fail(shell, "%search -N Nowhere quartz")
    assert "Traceback" in shown


def test_the_workspace_is_looked_after(shell: InteractiveShell, workspace: Workspace, tmp_path: Any) -> None:
    _, view = run(shell, "%sbf")
    assert "Notes (2 sources)" in view.plain
    assert [one.name for one in run(shell, "%sbf sources tea")[1]] == ["tea notes"]
    assert [one.name for one in run(shell, "%sbf notebooks ot")[1]] == ["Notes"]
    (tmp_path / "a b.txt").write_text("Basil likes light.")
    _, added = run(shell, f'%sbf add "{tmp_path}/a b.txt"')
    assert [(source.name, source.status) for source in added] == [("a b.txt", "ready")]
    _, made = run(shell, '%sbf use "New one"')
    assert made.name == shell.user_ns["nb"].name == workspace.notebooks.get("New one").name == "New one"
    assert run(shell, "%sbf jobs basil")[1].total == 0


@pytest.mark.parametrize(
    ("line", "fragment", "found"),
    [
        ("%sbf ", "", ["status", "connect", "use", "notebooks", "sources", "add", "jobs", "report"]),
        ("%sbf s", "s", ["status", "sources"]),
        ("%sbf use ", "", ['"Deep Tides"', "Notes"]),
        ("%sbf use n", "n", ["Notes"]),
        ('%sbf use "Deep T', '"Deep T', ['"Deep Tides"']),
        ("%search --notebook dee", "dee", ['"Deep Tides"']),
        ("%%ask -N No", "No", ["Notes"]),
        ("%%ask --source te", "te", ['"tea notes"']),
        ("hits = %search --source ", "", ["stones", '"tea notes"']),
        ("%search --arm ", "", ["hybrid", "lexical", "dense"]),
        ("%search --per", "--per", ["--per-source"]),
        ("%sbf report l", "l", ["literature_review"]),
        ("%search quartz ", "", []),
        ("print(", "", []),
        ("%timeit se", "", []),
    ],
)
def test_tab_completes_commands_options_and_names(
    shell: InteractiveShell, workspace: Workspace, line: str, fragment: str, found: list[str]
) -> None:
    workspace.notebooks.create("Deep Tides")
    assert suggestions(Namespace(shell), line) == (fragment, found)


def test_the_shell_offers_what_tab_completes(shell: InteractiveShell, workspace: Workspace) -> None:
    from IPython.core.completer import provisionalcompleter

    workspace.notebooks.create("Deep Tides")
    line = '%%ask --notebook "Deep T'
    with provisionalcompleter():
        found = list(shell.Completer.completions(line, len(line)))
    assert [line[: one.start] + one.text + line[one.end :] for one in found] == ['%%ask --notebook "Deep Tides"']
    run(shell, "%unload_ext sbf_kernel")
    with provisionalcompleter():
        assert not list(shell.Completer.completions(line, len(line)))


def test_what_the_user_has_is_not_replaced(shell: InteractiveShell) -> None:
    fresh = InteractiveShell()
    fresh.push({"nb": "mine"})
    run(fresh, "%load_ext sbf_kernel")
    assert fresh.user_ns["nb"] == "mine"
    assert isinstance(fresh.user_ns["ws"], Later)
    assert "ws" not in run(fresh, "%who_ls")[1]
    fresh.history_manager.end_session()


LAZY = r"""
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell()
shell.run_line_magic("load_ext", "sbf_kernel")
assert not [name for name in sys.modules if name.startswith(("sqlalchemy", "psycopg", "numpy", "pydantic", "sbf_kernel.storage"))]
shell.run_cell("nb")
assert "sqlalchemy" not in sys.modules
shell.run_cell("ws.notebooks.create('First')\n%sbf use First").raise_error()
assert type(shell.user_ns["ws"]).__name__ == "Workspace" and shell.user_ns["nb"].name == "First"
shell.run_cell("%sbf connect --home {place}").raise_error()
assert "nb" not in {name for name, value in shell.user_ns.items() if type(value).__name__ == "NotebookHandle"}
print("as it should be")
"""


def test_loading_connects_to_nothing_until_something_is_wanted(tmp_path: Any) -> None:
    environment = {**os.environ, "SBF_HOME": str(tmp_path / "home"), "IPYTHONDIR": str(tmp_path), "SBF_STATIC": "1"}
    code = LAZY.replace("{place}", str(tmp_path / "second"))
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=100)
    assert "as it should be" in done.stdout, done.stdout + done.stderr
    assert "<nb: no notebook is chosen → %sbf use NAME>" in done.stdout
