"""``sbf users …`` and ``sbf keys …`` on a real workspace."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import sbf_kernel as sbf
from sbf_kernel import operations as op
from sbf_kernel.accounts import authenticate
from sbf_kernel.cli import main
from sbf_kernel.errors import NotSignedIn

if TYPE_CHECKING:
    from pathlib import Path

    from sbf_kernel.workspace import Workspace

PASSWORD = "correct horse battery"


class Outcome(NamedTuple):
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Outcome]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with sbf.connect(home=tmp_path_factory.mktemp("home"), embedder="none") as opened:
        yield opened


@pytest.fixture
def run(workspace: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("SBF_EMBEDDER", "none")

    def call(*arguments: object, stdin: str = "") -> Outcome:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        code = main(["--home", str(workspace.settings.home), *map(str, arguments)])
        return Outcome(code, *capsys.readouterr())

    return call


def signs_in(workspace: Workspace, name: str, password: str = PASSWORD) -> bool:
    try:
        workspace.call(op.SignIn(name=name, password=password))  # type: ignore[arg-type]
    except NotSignedIn:
        return False
    return True


def test_a_user_is_added_listed_suspended_reinstated_and_deleted(run: Run, workspace: Workspace) -> None:
    added = run("users", "add", "Ann", "--json", stdin=PASSWORD + "\n")
    assert (added.code, added.json()["name"], added.json()["role"]) == (0, "ann", "member")
    assert PASSWORD not in added.out + added.err
    assert signs_in(workspace, "ann")
    assert "ann" in run("users", "list").out
    assert run("users", "suspend", "ann").code == 0
    assert not signs_in(workspace, "ann")
    assert [u["name"] for u in run("users", "list", "--status", "suspended", "--json").json()["users"]] == ["ann"]
    assert run("users", "reinstate", "ANN").code == 0
    assert signs_in(workspace, "ann")
    assert run("users", "password", "ann", stdin="another password\r\n").code == 0
    assert not signs_in(workspace, "ann")
    assert signs_in(workspace, "ann", "another password")
    assert run("users", "delete", "ann").out == "deleted ann and all that was theirs\n"
    assert run("users", "list", "--json").json()["total"] == 0


def test_a_token_and_an_invitation_are_printed_alone_so_that_they_can_be_piped(run: Run, workspace: Workspace) -> None:
    run("users", "add", "bob", "--admin", stdin=PASSWORD)
    printed = run("users", "token", "bob", "--scope", "read", "--scope", "admin", "--days", 2)
    assert (printed.code, printed.err) == (0, "it is shown this once\n")
    backend: Any = workspace._backend
    principal = workspace._loop.run(authenticate(backend.runtime, printed.out.strip()))
    assert (principal.roles, principal.scopes) == (("admin",), ("admin", "read"))
    invitation = run("users", "invite", "--admin", "--hours", 1)
    accepted = workspace.call(
        op.AcceptInvitation(invitation=invitation.out.strip(), name="eve", password=PASSWORD)  # type: ignore[arg-type]
    )
    assert accepted.role == "admin"
    assert run("users", "token", "eve", "--json").json()["token"]["scopes"] == ["read"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("users", "suspend", "nobody"), "sbf users list"),
        (("users", "add", "a b"), "name"),
        (("users", "add", "short"), "password"),
        (("users", "token", "nobody"), "nobody"),
        (("users", "frobnicate"), "invalid choice"),
        (("keys", "retire", "x"), "sbf keys list"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_mistakes_are_told_in_one_line(run: Run, arguments: tuple[str, ...], told: str) -> None:
    try:
        done = run(*arguments, stdin="hunter2\n")
    except SystemExit as stopped:
        assert stopped.code == 2
        return
    assert done.code == 2
    assert told in done.err
    assert done.err.count("\n") == 1
    assert "hunter2" not in done.err


def test_keys_are_listed_rotated_and_retired_without_a_database(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def keys(*arguments: str) -> Any:
        assert main(["--home", str(tmp_path), "keys", *arguments, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    (first,) = [key["kid"] for key in keys("list")["keys"]]
    second = keys("rotate")["signs"]
    assert [key["kid"] for key in keys("list")["keys"]] == [second, first]
    assert main(["--home", str(tmp_path), "keys", "list"]) == 0
    assert [line.endswith("signs") for line in capsys.readouterr().out.splitlines()] == [True, False]
    assert keys("retire", first) == {"retired": first}
    assert main(["--home", str(tmp_path), "keys", "retire", second]) == 2
    monkeypatch.setenv("SBF_SIGNING_KEYS", json.dumps({"k": "s" * 32}))
    assert main(["--home", str(tmp_path), "keys", "rotate"]) == 2
    assert "restart" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"signing-keys.json", "signing-keys.lock"}
