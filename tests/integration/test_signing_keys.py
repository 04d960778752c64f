"""Signing keys: made once by many, replaced while in use, refused when retired."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from sbf_kernel.accounts import tokens
from sbf_kernel.accounts.keys import KEPT, KeyFile, keys_of
from sbf_kernel.errors import Conflict, InvalidInput, NotFound, StoreUnavailable
from sbf_kernel.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

CLAIMS = tokens.Claims(uuid4(), uuid4(), 0)


def test_processes_that_start_at_once_have_the_same_key_in_a_file_for_its_owner_only(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from sbf_kernel.accounts.keys import KeyFile;"
        "print(dict(KeyFile(Path(sys.argv[1])).keys()))"
    )
    home = tmp_path / "new" / "home"
    processes = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", code, home], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    outcomes = {process.communicate(timeout=60)[0] for process in processes}
    assert len(outcomes) == 1
    assert outcomes == {f"{KeyFile(home).keys()}\n"}
    assert (home / "signing-keys.json").stat().st_mode & 0o777 == 0o600
    assert {path.name for path in home.iterdir()} == {"signing-keys.json", "signing-keys.lock"}


async def test_twenty_rotations_under_use_refuse_nobody(tmp_path: Path) -> None:
    """Two servers sign and read each other's tokens all the while."""
    servers = [KeyFile(tmp_path), KeyFile(tmp_path)]
    done, taken, signed_by = asyncio.Event(), 0, set()

    async def use(server: KeyFile, reader: KeyFile) -> None:
        nonlocal taken
        held = [tokens.issue(server.keys(), CLAIMS)]
        while not done.is_set():
            held.append(tokens.issue(server.keys(), CLAIMS))
            signed_by.add(next(iter(server.keys())))
            for token in (held[0], held[len(held) // 2], held[-1]):
                assert tokens.read(reader.keys(), token) == CLAIMS
                taken += 1
            await asyncio.sleep(0)

    async def rotate() -> None:
        for _ in range(20):
            KeyFile(tmp_path).rotate()
            await asyncio.sleep(0.01)
        done.set()

    await asyncio.gather(use(servers[0], servers[1]), use(servers[1], servers[0]), rotate())
    assert taken >= 100
    assert len(signed_by) >= 15
    assert len(servers[0].keys()) == 21


def test_a_rotated_key_signs_and_a_retired_one_is_refused_at_once(tmp_path: Path) -> None:
    server, operator = KeyFile(tmp_path), KeyFile(tmp_path)
    old = next(iter(server.keys()))
    token = tokens.issue(server.keys(), CLAIMS)
    new = operator.rotate()
    assert next(iter(server.keys())) == new
    assert tokens.read(server.keys(), token) == CLAIMS
    operator.retire(old)
    assert tokens.read(server.keys(), token) is None
    assert tokens.read(server.keys(), tokens.issue(server.keys(), CLAIMS)) == CLAIMS


def test_the_key_that_signs_cannot_be_retired_nor_one_that_is_not_there(tmp_path: Path) -> None:
    file = KeyFile(tmp_path)
    with pytest.raises(Conflict, match="signs"):
        file.retire(file.listed()[0][0])
    with pytest.raises(NotFound, match="'x'"):
        file.retire("x")
    assert len(file.keys()) == 1


def test_a_rotation_removes_keys_that_signed_nothing_which_is_still_good(tmp_path: Path) -> None:
    file = KeyFile(tmp_path)
    file.keys()
    newest = file.rotate()
    replaced_just_now = file.listed()[1][0]
    content = json.loads(file.path.read_text())
    content["keys"][1]["created_at"] = (datetime.now(UTC) - KEPT - timedelta(minutes=1)).isoformat()
    content["keys"].append({"kid": "ancient", "secret": "s" * 32, "created_at": "2020-01-01T00:00:00+00:00"})
    file.path.write_text(json.dumps(content))
    assert list(file.keys()) == [newest, replaced_just_now, "ancient"]
    signing = file.rotate()
    assert list(file.keys()) == [signing, newest, replaced_just_now]


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b'{"keys": []}', b'{"keys": [{"kid": "a"}]}', b'{"keys": 1}', b"\xff",
     b'{"keys": [{"kid": "a", "secret": "short", "created_at": "2026-01-01T00:00:00+00:00"}]}'],
)  # fmt: skip
def test_a_damaged_key_file_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    file = KeyFile(tmp_path)
    file.path.write_bytes(content)
    file.path.chmod(0o600)
    for call in (file.keys, file.rotate):
        if b"short" in content and call == file.rotate:
            continue  # it would be replaced, which mends it
        with pytest.raises(InvalidInput, match=r"signing-keys.json"):
            call()
        assert file.path.read_bytes() == content


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = KeyFile(tmp_path)
    file.keys()
    file.path.chmod(0o604)
    with pytest.raises(InvalidInput, match="others may read"):
        KeyFile(tmp_path).keys()
    file.path.chmod(0o640)  # a group's, as Kubernetes makes it
    assert KeyFile(tmp_path).keys()


def test_a_home_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="signing-keys") as caught:
        KeyFile(tmp_path / "file").rotate()
    assert "SBF_SIGNING_KEYS" in caught.value.hint


def given(tmp_path: Path, value: str) -> Callable[[], Any]:
    return keys_of(Settings(home=tmp_path, signing_keys=value))  # type: ignore[arg-type]


def test_keys_may_be_given_in_the_settings_and_the_first_signs(tmp_path: Path) -> None:
    new, old = "n" * 32, "o" * 40
    before = given(tmp_path, json.dumps({"old": old}))()
    after = given(tmp_path, json.dumps({"new": new, "old": old}))()
    assert list(after.items()) == [("new", new.encode()), ("old", old.encode())]
    assert tokens.read(after, tokens.issue(before, CLAIMS)) == CLAIMS
    assert tokens.read(before, tokens.issue(after, CLAIMS)) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "value", ["", "secret", "[]", "{}", "1", '{"a": "short-secret"}', '{"a": 1}', '{"": "%s"}' % ("s" * 32),
              '{"../x": "%s"}' % ("s" * 32), '{"a": "%s"}' % ("s" * 31)],
)  # fmt: skip
def test_wrong_keys_in_the_settings_are_refused_without_showing_them(tmp_path: Path, value: str) -> None:
    with pytest.raises(InvalidInput, match="SBF_SIGNING_KEYS") as caught:
        given(tmp_path, value)
    assert "short-secret" not in str(caught.value)
    assert "sss" not in str(caught.value)
