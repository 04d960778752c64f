"""``sbf doctor`` and ``sbf eval``: does it work, and how well."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sbf_kernel.cli.console import command, open_workspace, write

if TYPE_CHECKING:
    import argparse


def register(commands: Any) -> None:
    """Add the commands of this module."""
    command(commands, "doctor", doctor, "tell what works")
    measure = command(commands, "eval", evaluate, "measure search on gold questions")
    measure.add_argument(
        "directory", metavar="DIR", type=Path, help="with corpus.jsonl, queries.jsonl and qrels.tsv (BEIR layout)"
    )


def doctor(options: argparse.Namespace) -> int:
    """Print the state of each part; exit code 1 when one does not work."""
    with open_workspace(options) as workspace:
        health = workspace.health()
    write(options, health, health.model_dump(mode="json"))
    return 0 if health.ok else 1


def evaluate(options: argparse.Namespace) -> None:
    """Print the measures of each arm of the search."""
    import asyncio

    from sbf_kernel import evaluation
    from sbf_kernel.settings import Settings

    chosen = {"home": options.home, "database_url": options.database_url}
    settings = Settings(**{name: value for name, value in chosen.items() if value is not None})
    with _Bars(visible=sys.stderr.isatty() and not options.json) as progress:
        measured = asyncio.run(evaluation.evaluate(settings, options.directory, progress))
    write(options, _table(measured), measured)


def _table(measured: dict[str, Any]) -> str:
    from sbf_kernel import display

    arms = measured["arms"]
    names = list(next(iter(arms.values())))
    rows = [(arm, *(values[name] for name in names)) for arm, values in arms.items()]
    ingest = ", ".join(f"{name} {value}" for name, value in measured["ingest"].items())
    title = f"{measured['docs']} documents, {measured['queries']} questions · ingest: {ingest}"
    return display.table(title, ("arm", *names), rows).plain


class _Bars:
    """A progress bar per stage on stderr."""

    def __init__(self, *, visible: bool) -> None:
        self._visible, self._stage = visible, ""
        self._bar: Any = None

    def __enter__(self) -> Any:
        return self._advance if self._visible else lambda *_: None

    def _advance(self, stage: str, done: int, total: int) -> None:
        from tqdm import tqdm

        if stage != self._stage or self._bar is None:
            self.__exit__()
            self._stage, self._bar = stage, tqdm(total=total, desc=stage, leave=False)
        self._bar.update(done - self._bar.n)

    def __exit__(self, *exc: object) -> None:
        if self._bar is not None:
            self._bar.close()
