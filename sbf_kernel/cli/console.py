"""What all commands share: where the data are, how results are written, how errors are told."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from sbf_kernel.errors import SbfError

if TYPE_CHECKING:
    from sbf_kernel.workspace import NotebookHandle, Workspace


def placement(parser: argparse.ArgumentParser, *, default: str | None = None) -> None:
    """Let a parser take ``--home`` and ``--database-url``."""
    where = parser.add_argument_group("where the data are")
    where.add_argument(
        "--home",
        metavar="DIR",
        default=default,
        help="folder of database and files (default: SBF_HOME or the user's data folder)",
    )
    where.add_argument(
        "--database-url",
        metavar="URL",
        default=default,
        help="postgresql://… of a server to use instead of the embedded one (default: SBF_DATABASE_URL)",
    )


def command(commands: Any, name: str, run: Any, about: str, *, json_too: bool = True) -> argparse.ArgumentParser:
    """Add a command that calls ``run(options)``; it also takes the global options after its name."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=about, description=about)
    placement(parser, default=argparse.SUPPRESS)  # absent here must not undo what stood before the command
    if json_too:
        parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    parser.set_defaults(run=run)
    return parser


def group(commands: Any, name: str, about: str) -> Any:
    """Add a command that has commands of its own."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=about, description=about)
    placement(parser, default=argparse.SUPPRESS)
    return parser.add_subparsers(metavar="COMMAND", required=True, parser_class=type(parser))


def open_workspace(options: argparse.Namespace) -> Workspace:
    """Open the workspace that the options name."""
    import sbf_kernel

    return sbf_kernel.connect(options.database_url, home=options.home)


def scope_of(workspace: Workspace, name: str | None) -> Workspace | NotebookHandle:
    """Return the notebook of this name or id, or the whole workspace for None."""
    return workspace.notebooks.get(name) if name else workspace


def write(options: argparse.Namespace, shown: Any, document: Any) -> None:
    """Write a result: ``document`` as JSON when asked for, else ``shown`` for people."""
    if options.json:
        print(json.dumps(document, indent=2, default=str))
    else:
        print(shown)


def say(text: str) -> None:
    """Tell something about the work on stderr, so that stdout carries results only."""
    from sbf_kernel.display.escaping import clean

    sys.stderr.write(clean(text) + "\n")


def page(listing: Any, noun: str) -> dict[str, Any]:
    """Return a page of records in JSON, its items under their noun."""
    document: dict[str, Any] = listing.model_dump(mode="json")
    return {noun: document.pop("items"), **document}


_CURES = (
    ("ws.notebooks.list()", "sbf notebooks list"),
    ("sources.list()", "sbf sources list"),
    ("ws.users.list()", "sbf users list"),
    ("add it again with password=", "add it again with --password"),
)
"""What hints call in Python, and how the same is called here."""


def failure(error: Exception, *, as_json: bool) -> int:
    """Tell an error in one line and return the exit code: 2 when the request was wrong, else 1."""
    from sbf_kernel.display.escaping import one_line

    if isinstance(error, SbfError):
        known = error
    else:
        known = SbfError(
            f"unexpected {type(error).__name__}: {error}", hint="SBF_DEBUG=1 shows where; please report it"
        )
    line = one_line(str(known))
    for python, here in _CURES:
        line = line.replace(python, here)
    sys.stderr.write(f"error: {line}\n")
    if as_json:
        print(json.dumps({"error": known.as_dict()}, indent=2, default=str))
    return 2 if known.status < 500 else 1
