"""From what people hand over to single inputs: paths, folders, globs, links, odd names."""

from __future__ import annotations

import os
import sys
import unicodedata
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest

from sbf_kernel.errors import InvalidInput, SourceBroken
from sbf_kernel.inputs import Input, from_frame, from_sql, from_text, gather


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        "b.txt",
        "a.md",
        "sub/c.txt",
        "sub/deep/d.txt",
        ".env",
        ".git/config",
        "node_modules/x.js",
        "__pycache__/y.pyc",
    ):
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "folder"


def names(*things: Any) -> list[str]:
    return [item.name for item in gather(things, "scope")]


def test_a_folder_gives_all_files_below_without_hidden_ones_and_machinery(folder: Path) -> None:
    assert names(folder) == ["a.md", "b.txt", "c.txt", "d.txt"]
    assert names(str(folder) + "/") == names(folder)


def test_a_hidden_file_or_folder_is_taken_when_it_is_named(folder: Path) -> None:
    assert names(folder / ".env") == [".env"]
    assert names(folder / ".git") == ["config"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.txt", ["b.txt"]),
        ("**/*.txt", ["b.txt", "c.txt", "d.txt"]),
        ("sub/*", ["c.txt"]),
        ("[ab].*", ["a.md", "b.txt"]),
        ("?.md", ["a.md"]),
    ],
)
def test_globs_match_files_only(folder: Path, pattern: str, expected: list[str]) -> None:
    assert sorted(names(str(folder / pattern))) == expected


def test_a_name_with_glob_characters_is_itself_when_it_exists(tmp_path: Path) -> None:
    for name in ("a[1].txt", "what?.txt", "star*.txt"):
        (tmp_path / name).write_text("x")
        assert names(tmp_path / name) == [name]
    assert (tmp_path / "a1.txt").write_text("y")
    assert names(tmp_path / "a[1].txt") == ["a[1].txt"]


def test_each_source_comes_once_in_the_order_given(folder: Path) -> None:
    assert names(folder / "sub" / "c.txt", folder, folder / "b.txt") == ["c.txt", "a.md", "b.txt", "d.txt"]


def test_relative_paths_and_the_home_folder_are_resolved(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    wanted = (folder / "b.txt").as_uri()
    for thing in ("b.txt", "./b.txt", "~/b.txt", Path("b.txt")):
        (item,) = gather((thing,), "scope")
        assert (item.origin, item.path) == (wanted, folder / "b.txt")


def test_links_are_followed_to_files_but_not_round_in_circles(folder: Path, tmp_path: Path) -> None:
    (folder / "circle").symlink_to(folder)
    (folder / "file").symlink_to(folder / "b.txt")
    (folder / "nowhere").symlink_to(folder / "missing")
    (tmp_path / "linked").symlink_to(folder)
    assert names(folder) == ["a.md", "b.txt", "file", "c.txt", "d.txt"]
    assert names(tmp_path / "linked") == names(folder)
    (folder / "self").symlink_to(folder / "self")
    with pytest.raises(InvalidInput):
        gather((folder / "self",), "scope")
    with pytest.raises(InvalidInput, match="does not exist"):
        gather((folder / "nowhere",), "scope")


@pytest.mark.parametrize("thing", [
    "missing.txt", "*.nothing", "", " ", "x" * 5_000, "a\0b", "~nobody-of-that-name/x", "ftp://example.org/x", 5, None, b"bytes", [], {"a": 1}, object(),
], ids=repr)  # fmt: skip
def test_what_is_no_source_is_refused_with_a_hint(folder: Path, monkeypatch: pytest.MonkeyPatch, thing: Any) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(InvalidInput) as caught:
        gather((folder / "b.txt", thing), "scope")
    assert caught.value.hint
    assert len(str(caught.value)) < 500 or thing == "x" * 5_000


def test_pipes_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for thing in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(InvalidInput, match="neither a file nor a folder"):
            gather((thing,), "scope")
    (tmp_path / "a.txt").write_text("x")
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS normalises names and refuses odd ones")
def test_composed_and_decomposed_names_are_two_files(tmp_path: Path) -> None:
    for form in ("NFC", "NFD"):
        (tmp_path / (unicodedata.normalize(form, "é") + ".txt")).write_text(form)
    found = gather((tmp_path,), "scope")
    assert {item.path.read_text() for item in found if item.path} == {"NFC", "NFD"}
    assert len({item.origin for item in found}) == 2


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS refuses names that are not UTF-8")
def test_names_that_are_not_utf8_can_be_read_and_shown(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/caf\xe9.txt"
    Path(os.fsdecode(raw)).write_bytes(b"content")
    for thing in (tmp_path, os.fsdecode(raw)):
        (item,) = gather((thing,), "scope")
        assert item.name == "caf\ufffd.txt"
        assert item.read() == b"content"
        assert unquote_to_bytes(item.origin) == b"file://" + raw
    with pytest.raises(InvalidInput):
        gather((os.fsdecode(raw) + ".not",), "scope")


@pytest.mark.parametrize("url", ["https://example.org/a?b=c", "HTTP://EXAMPLE.ORG", "https://youtu.be/x"])
def test_web_addresses_stay_as_they_are(url: str) -> None:
    (item,) = gather((url,), "scope")
    assert (item.url, item.origin, item.path, item.read()) == (url, url, None, None)


def test_a_file_that_cannot_be_read_is_a_broken_source(tmp_path: Path) -> None:
    with pytest.raises(SourceBroken, match=r"gone\.txt cannot be read"):
        Input("gone.txt", "file:///gone", path=tmp_path / "gone.txt").read()


def test_a_text_is_known_by_its_name_within_its_notebook() -> None:
    one, same, other, elsewhere = (
        from_text(*args) for args in (("a", "n", "s"), ("b", "n", "s"), ("a", "m", "s"), ("a", "n", "t"))
    )
    assert one.origin == same.origin
    assert len({one.origin, other.origin, elsewhere.origin}) == 3
    assert from_text("lone \ud800", "n", "s").content == b"lone ?"
    with pytest.raises(InvalidInput, match="needs a name"):
        from_text("a", "", "s")


def test_frames_keep_a_named_index_and_drop_a_counting_one() -> None:
    import pandas as pd

    frame = pd.DataFrame({"x": [1, 2]})
    assert from_frame(frame, "t", "s").content == b"x\n1\n2\n"
    frame.index.name = "key"
    assert from_frame(frame, "t", "s").content == b"key,x\n0,1\n1,2\n"
    nameless, same = gather((frame,), "s")[0], gather((frame.copy(),), "s")[0]
    assert nameless.origin == same.origin
    assert gather((frame * 2,), "s")[0].origin != nameless.origin


def test_a_query_names_itself() -> None:
    import sqlite3

    connection = sqlite3.connect(":memory:")
    item = from_sql("select 1 as one", connection, "", "s")
    connection.close()
    assert (item.name, item.content, item.media_type) == ("select 1 as one", b"one\n1\n", "text/csv")
