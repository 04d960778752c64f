"""What the pages for users show is run as it stands there, and the lists in them are complete."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sbf_api.settings import ServiceSettings
from sbf_kernel.cli import build_parser
from sbf_kernel.settings import Settings
from tests.serving import Serving

if TYPE_CHECKING:
    from sbf_kernel.backends.loop import LoopThread
    from sbf_kernel.records import Principal
    from sbf_kernel.runtime import Runtime

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LEFT_OUT = "…"
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_END = "\x1e"


@dataclass(frozen=True)
class Example:
    """Something to run, and what the page shows of its output."""

    place: str
    code: str
    shown: str


def blocks(page: Path) -> Iterator[tuple[str, str, str]]:
    """Yield place, language and content of each fenced block."""
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        yield f"{page.name}:{text.count(chr(10), 0, found.start()) + 1}", found[1], found[2]


def commands(page: Path) -> list[Example]:
    """Return the commands of a page; a line that ends in a backslash goes on in the next."""
    found = []
    for place, _, content in blocks(page):
        for part in re.split(r"^\$ ", content, flags=re.MULTILINE)[1:]:
            code = re.match(r"(?:.*\\\n)*.*\n", part)
            assert code is not None
            found.append(Example(f"{place} {code[0].split()[0]}", code[0], part[code.end() :]))
    return found


def programs(page: Path) -> list[Example]:
    """Return the Python blocks of a page, each with the text block that follows it."""
    found: list[Example] = []
    for place, language, content in blocks(page):
        if language == "python":
            found.append(Example(place, content, ""))
        else:
            found[-1] = Example(found[-1].place, found[-1].code, content)
    return found


def matches(output: str, shown: str) -> bool:
    """Tell whether an output is what a page shows; ``…`` stands for anything."""
    pattern = ".*?".join(re.escape(part) for part in shown.strip().split(LEFT_OUT))
    return re.fullmatch(pattern, output.strip(), re.DOTALL) is not None


@pytest.fixture(scope="module")
def address(runtime: Runtime, loop: LoopThread, home: Path) -> Iterator[str]:
    """A service with the allowances that the pages tell; only slow machines may be slow."""
    with Serving(ServiceSettings(home=home, threads=2, static=True, request_seconds=60), runtime, loop) as running:
        yield running.url


async def _only_ada(runtime: Runtime) -> None:
    """Make the user of the examples anew: other tests send the same examples."""
    from sbf_kernel.accounts import users
    from sbf_kernel.storage import accounts

    async with runtime.db.accounts() as connection:
        known = await accounts.by_name(connection, "ada")
    if known is not None:
        await users.delete(runtime, known.id)
    await users.create(runtime, "ada", "correct horse battery", "member")


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_every_command_of_the_http_page_does_what_it_shows(
    address: str, runtime: Runtime, loop: LoopThread, tmp_path: Path
) -> None:
    loop.run(_only_ada(runtime))
    page = commands(DOCS / "http.md")
    # The address of the example is one that SBF refuses by its name: nothing of it leaves this machine.
    script = "".join(f"{example.code}printf '{_END}'\n" for example in page).replace(
        "//example.org", "//example.internal"
    )
    done = subprocess.run(
        ["sh"], input=script, capture_output=True, text=True, cwd=tmp_path, timeout=240, check=False,
        env={"PATH": os.environ["PATH"], "SBF": address, "no_proxy": "*"},
    )  # fmt: skip
    assert done.stderr == ""
    outputs = done.stdout.replace("//example.internal", "//example.org").split(_END)[:-1]
    assert len(outputs) == len(page) > 30, "some command was not run"
    for example, output in zip(page, outputs, strict=True):
        assert matches(output, example.shown), (
            f"{example.place}\n{example.code}shows\n{example.shown}but gives\n{output}"
        )


def test_every_program_of_the_python_page_does_what_it_shows(
    address: str,
    new_user: Callable[..., Principal],
    new_token: Callable[[Principal], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SBF_URL", address)
    monkeypatch.setenv("SBF_TOKEN", new_token(new_user("ada@example.org")))
    monkeypatch.setenv("GRACE_TOKEN", new_token(new_user("grace@example.org")))
    page, namespace = programs(DOCS / "python-client.md"), dict[str, Any]()
    assert len(page) > 8
    for example in page:
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compile(example.code, example.place, "exec"), namespace)
        given = output.getvalue()
        assert matches(given, example.shown), f"{example.place} shows\n{example.shown}but gives\n{given}"


@pytest.mark.parametrize(("page", "languages"), [("http.md", {"console"}), ("python-client.md", {"python", "text"})])
def test_a_page_whose_examples_are_run_has_no_others(page: str, languages: set[str]) -> None:
    assert {language for _, language, _ in blocks(DOCS / page)} == languages
    assert (DOCS / page).read_text(encoding="utf-8").count("\n```") == 2 * len(list(blocks(DOCS / page)))


def test_an_example_that_shows_something_else_is_noticed() -> None:
    assert matches('{"id":"1","name":"a"}\n', '{"id":"…","name":"a"}')
    assert not matches('{"id":"1","name":"b"}', '{"id":"…","name":"a"}')
    assert not matches("", "a")
    assert not matches("something", "")


def sbf_commands(page: Path) -> Iterator[list[str]]:
    """Yield the arguments of each ``sbf`` in the console blocks of a page."""
    for _, language, content in blocks(page):
        for line in re.findall(r"^\$ (.+)$", content, re.MULTILINE) if language == "console" else ():
            for part in re.split(r" && | \| ", line):
                if part.startswith("sbf "):
                    yield shlex.split(part, comments=True)[1:]


SHOWN = [words for page in (ROOT / "README.md", *sorted(DOCS.glob("*.md"))) for words in sbf_commands(page)]


@pytest.mark.parametrize("words", SHOWN, ids=" ".join)
def test_every_sbf_command_that_a_page_shows_exists(words: list[str]) -> None:
    assert callable(build_parser().parse_args(words).run)


def settings_in_the_page() -> dict[str, str]:
    """Return the default that the page tells for each variable."""
    rows = re.findall(r"^\| `(SBF_\w+)` \| (.*?) \|", (DOCS / "settings.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) == len(dict(rows)), "a variable stands there twice"
    return dict(rows)


def test_the_page_of_settings_has_every_setting_and_no_other() -> None:
    fields = {f"SBF_{name.upper()}" for name in ServiceSettings.model_fields}
    assert set(settings_in_the_page()) == fields | {"SBF_SECRETS_DIR"}


@pytest.mark.parametrize("kind", [Settings, ServiceSettings])
def test_the_page_of_settings_tells_the_defaults(kind: type[Settings]) -> None:
    page = settings_in_the_page()
    for name, field in kind.model_fields.items():
        if isinstance(field.default, bool):
            assert page[f"SBF_{name.upper()}"] == ("on" if field.default else "off")
        elif isinstance(field.default, int | float) or (isinstance(field.default, str) and field.default):
            told = re.findall(r"[\w.:-]+", page[f"SBF_{name.upper()}"].replace(",", ""))
            assert f"{field.default:g}" in told if not isinstance(field.default, str) else field.default in told, name
