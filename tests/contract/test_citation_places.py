"""A citation says where its own words stand, not where their chunk begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from sbf_kernel.workspace import Workspace


def test_a_citation_in_a_table_names_its_own_row(workspace: Workspace) -> None:
    notebook = workspace.notebooks.create("Places")
    notes = [
        "The newt eats slugs.",
        "The heron eats frogs.",
        "The otter eats trout.",
        "The badger eats earthworms at night.",
    ]
    frame = pd.DataFrame({"day": [1, 2, 3, 4], "note": notes})
    notebook.add_frame(frame, name="diet", progress=False)

    answer = notebook.ask("What does the badger eat?")

    assert answer.answered
    assert [c.location.row for c in answer.citations if "badger" in c.quote] == [5]  # the header is row 1


def test_a_citation_in_subtitles_names_its_own_second(workspace: Workspace) -> None:
    notebook = workspace.notebooks.create("Places")
    cues = ["Welcome to the talk.", "Hybrid search averages two scaled scores.", "Thank you for listening."]
    text = "WEBVTT\n\n" + "\n\n".join(
        f"00:00:{10 * n:02}.000 --> 00:00:{10 * n + 9:02}.000\n{cue}" for n, cue in enumerate(cues)
    )
    notebook.add_text(text, name="talk.vtt", progress=False)

    answer = notebook.ask("What does hybrid search average?")

    assert [citation.location.seconds for citation in answer.citations if "Hybrid" in citation.quote] == [10.0]
