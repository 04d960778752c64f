"""Files as forms: what is not understood is refused by name, and a name is one name however it is written."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sbf_kernel.workspace import NotebookHandle, Workspace
    from tests.api.conftest import Answered, Client

FILE = ('name="file"; filename="Bees.txt"', "Bees dance to tell the way.")


@pytest.fixture
def library(remote: Workspace) -> NotebookHandle:
    return remote.notebooks.create("Insects")


def send(call: Client, library: NotebookHandle, *parts: tuple[str, str], query: str = "") -> Answered:
    form = "".join(f"--x\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n" for head, value in parts)
    return call(
        "POST",
        f"/notebooks/{library.id}/sources/upload{query}",
        raw=f"{form}--x--\r\n".encode(),
        Content_Type="multipart/form-data; boundary=x",
    )


@pytest.mark.parametrize(
    ("parts", "query", "field"),
    [
        ((FILE, ('name="tag"', "insects")), "", "tag"),
        ((FILE, ('name="langage"', "en")), "", "langage"),
        ((FILE, ('name="other"; filename="Ants.txt"', "Ants")), "", "other"),
        ((FILE, FILE), "", "file"),
        ((FILE, ('name="name"', "a"), ('name="name"', "b")), "", "name"),
        ((FILE,), "?name=foo", "name"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(
    call: Client, library: NotebookHandle, parts: tuple[tuple[str, str], ...], query: str, field: str
) -> None:
    found = send(call, library, *parts, query=query)
    assert (found.status, found.json["code"]) == (422, "invalid_input")
    assert [one["field"] for one in found.json["details"]["fields"]] == [field]
    assert library.sources.list().total == 0


def test_what_is_understood_is_taken(call: Client, library: NotebookHandle) -> None:
    found = send(call, library, FILE, ('name="tags"', "a"), ('name="tags"', "b"), ('name="language"', "en"))
    assert (found.status, found.json["tags"]) == (201, ["a", "b"])


def test_a_name_is_one_source_however_its_accents_are_written(call: Client, library: NotebookHandle) -> None:
    ids = set()
    for form in ("NFC", "NFD"):
        name = unicodedata.normalize(form, "Über Käfer.txt")
        found = send(call, library, (f'name="file"; filename="{name}"', f"Beetles, {form}, have hard wings."))
        assert found.status == 201
        ids.add(found.json["id"])
    assert len(ids) == 1
