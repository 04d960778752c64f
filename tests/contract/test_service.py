"""The deployment: models and usage, as one sees them without a language model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from sbf_kernel.errors import InvalidInput
from sbf_kernel.records import LOCAL, Principal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sbf_kernel.workspace import NotebookHandle, Workspace


def test_the_models_that_are_here_are_listed(workspace: Workspace) -> None:
    models = {model.kind: model for model in workspace.models()}
    assert set(models) == {"language", "embedding", "reranking"}
    assert (models["language"].id, models["language"].default) == ("extractive", True)
    assert models["embedding"].id.startswith("bge-small-en-v1.5/")
    assert all(model.available for model in models.values())


def test_what_costs_nothing_is_not_in_the_ledger(notebook: NotebookHandle, workspace: Workspace) -> None:
    notebook.add_text("Whales breathe air.", "whales")
    notebook.ask("What do whales breathe?")
    notebook.chat().send("What do whales breathe?")
    for by in ("day", "model", "operation"):
        report = workspace.usage(by)
        assert (report.by, len(report)) == (by, 0)


def test_usage_takes_times_with_and_without_a_zone_and_refuses_what_it_cannot_sum_up_by(workspace: Workspace) -> None:
    now = datetime.now(UTC)
    assert len(workspace.usage(after=now - timedelta(days=1), before=now.replace(tzinfo=None))) == 0
    with pytest.raises(InvalidInput, match="by"):
        workspace.usage("colour")


def test_health_tells_places_to_administrators_versions_to_users_and_others_that_it_works(
    open_workspace: Callable[[str, Principal], Workspace], home: Path
) -> None:
    def checks(principal: Principal) -> dict[str, str]:
        return open_workspace("local", principal).health().checks

    owner = checks(LOCAL)
    assert str(home) in owner["place"]
    assert "pgvector" in owner["database"]
    assert "schema" in owner["database"]
    assert checks(Principal(user_id="a", roles=("admin",))) == owner
    user = checks(Principal(user_id="u", roles=("member",)))
    assert user == {**owner, "place": "embedded"}
    anonymous = checks(Principal(user_id="anonymous", scopes=()))
    assert anonymous == dict.fromkeys(owner, "ok")
