"""Takes pictures of what people see, light and dark, to be looked at: ``python tests/ui/screenshots.py OUT [PAGE.html …]``.

Without pages it draws a gallery of all views. Needs Chromium; loads nothing from outside.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from sbf_kernel import display, records

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
]
ID, TIME = UUID(int=1), datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
TEXT = (
    "The lexical arm finds exact words such as names and codes. The dense arm compares embeddings and finds passages that say the "
    "same thing in other words. A passage that both arms rank high is almost always worth reading.\n\nScore fusion stretches the "
    "scores of each arm to the range from zero to one and then averages them."
)
PLACED: dict[str, Any] = {"source_id": ID, "version_id": ID, "version": 1, "chunk_id": ID, "start": 0, "end": len(TEXT)}


def gallery() -> str:
    """Return all views, one below the other."""
    place = records.Location(page=3, headings=("Why two arms",))
    hit = records.Hit(
        **PLACED,
        rank=1,
        score=0.91,
        source="hybrid search.pdf",
        text=TEXT,
        location=place,
        dense_rank=1,
        lexical_rank=3,
        highlights=((12, 15), (31, 36), (63, 68)),
    )
    other = hit.model_copy(
        update={"rank": 2, "score": 0.4, "dense_rank": None, "source": "<b>notes</b> of a \u202every long name.md"}
    )
    cited = records.Citation(
        **PLACED, marker=1, status="verified", source="hybrid search.pdf", quote=TEXT[:58], location=place
    )
    doubtful = cited.model_copy(update={"marker": 2, "status": "unverified", "source": "notes.md"})
    answer = records.Answer(
        id=ID,
        question="Why are two searches better than one?",
        answered=True,
        created_at=TIME,
        milliseconds=840,
        text="Each finds what the other misses: one finds exact words [1], the other finds the same thing in other words [2].",
        citations=records.Citations(items=(cited, doubtful)),
        provenance=records.Provenance(model="extractive"),
        budget=records.Budget(window=16_000, used=2_400, passages=12, cut=3, cut_sources=("appendix.pdf",)),
    )
    silent = answer.model_copy(
        update={"answered": False, "text": "The sources do not answer this question.", "citations": records.Citations()}
    )
    sources = [
        records.Source(
            id=ID,
            name=name,
            origin="x",
            status=status,
            message=message,
            stage=stage,
            chunk_count=count,
            language="en",
            created_at=TIME,
            updated_at=TIME,
        )
        for name, status, message, stage, count in (
            ("hybrid search.pdf", "ready", "", "stored", 12),
            ("locked.pdf", "failed", "locked.pdf is protected → add it again with password=", "", 0),
            ("book.epub", "processing", "", "embedding", 140),
            ("later.docx", "pending", "", "queued", 0),
        )
    ]
    rechecked = records.RecheckedCitation(
        marker=1, source="notes.md", holds=False, current=False, quote=TEXT[:58], detail="the text differs"
    )
    shown = [
        records.Hits(
            query="why two arms?",
            arm="hybrid",
            items=(hit, other),
            searched_chunks=1_234,
            milliseconds=8,
            warnings=("2 sources are still being read; they are not searched yet",),
        ),
        answer,
        silent,
        answer.citations,
        records.Recheck(answer_id=ID, items=(rechecked,)),
        records.SourceList(items=tuple(sources), total=4, limit=20, offset=0),
        sources[0],
        records.SourceText(source_id=ID, version_id=ID, version=1, name="notes.md", sha256="", text=TEXT),
        records.Health(
            ok=True,
            version="1.0",
            checks={"database": "PostgreSQL 18", "embedder": "bge-small", "redis": "failed: not reachable"},
        ),
    ]
    views = [record._view() for record in shown]
    return "<hr>".join(
        view.html for view in [*views, display.bars("Passages by source", [("a.pdf", 24), ("b.md", 7), ("c.csv", 1)])]
    )


def picture(page: Path, out: Path, *, dark: bool = False, width: int = 1100, height: int = 2400) -> None:
    """Draw one page."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert chromium, "Chromium is not installed"
    with tempfile.TemporaryDirectory() as profile:
        prefer = ["--blink-settings=preferredColorScheme=0"] if dark else []
        subprocess.run(
            [
                chromium,
                *FLAGS,
                *prefer,
                f"--user-data-dir={profile}",
                f"--window-size={width},{height}",
                f"--screenshot={out}",
                page.absolute().as_uri(),
            ],
            check=True,
            timeout=120,
            capture_output=True,
        )


def main(out: Path, pages: list[Path]) -> None:
    """Draw the given pages, or the gallery in both themes."""
    out.mkdir(parents=True, exist_ok=True)
    for page in pages:
        picture(page, out / f"{page.stem}.png")
    if not pages:
        for name, paper in (("light", "#fff"), ("dark", "#15171b")):
            page = out / f"gallery-{name}.html"
            page.write_text(
                f"<!doctype html><meta charset=utf-8><body style='background:{paper};padding:20px'>{gallery()}",
                encoding="utf-8",
            )
            picture(page, page.with_suffix(".png"), dark=name == "dark")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(page) for page in sys.argv[2:]])
