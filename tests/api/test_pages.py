"""Pictures of pages over HTTP: kept for a year when the version is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sbf_kernel.samples import own

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sbf_kernel.records import Principal
    from sbf_kernel.workspace import Workspace
    from tests.api.conftest import Client


def test_a_page_of_a_version_is_kept_for_a_year(
    call: Client, open_workspace: Callable[[str, Principal], Workspace], principal: Principal, tmp_path: Path
) -> None:
    notebook = open_workspace("local", principal).notebooks.create("Papers")
    source = notebook.add(next(path for path in own(tmp_path) if path.suffix == ".pdf"))[0]
    lasting = call("GET", f"/sources/{source.id}/pages/1?version_id={source.version_id}&width=300")
    assert lasting.status == 200
    assert lasting.headers["cache-control"] == "private, max-age=31536000, immutable"
    again = call(
        "GET",
        f"/sources/{source.id}/pages/1?version_id={source.version_id}&width=300",
        If_None_Match=lasting.headers["etag"],
    )
    assert (again.status, again.body) == (304, b"")
    newest = call("GET", f"/sources/{source.id}/pages/1?width=300")
    assert "max-age" not in newest.headers["cache-control"]
    assert call("GET", f"/sources/{source.id}/pages/99").status == 404
