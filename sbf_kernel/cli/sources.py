"""``sbf add`` and ``sbf sources …``."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from sbf_kernel.cli.console import command, group, open_workspace, page, say, write

if TYPE_CHECKING:
    import argparse

INBOX = "Inbox"
"""The notebook that sources go to when none is named."""

ASK = "-"
"""In place of a password: ask for it on the terminal, so that no list of processes shows it."""


def register(commands: Any) -> None:
    """Add the commands of this module."""
    _register_add(commands)
    family = group(commands, "sources", "list, read, remove and repair sources")
    listing = command(family, "list", list_sources, "list sources")
    listing.add_argument("--notebook", metavar="NAME", help="only this notebook (default: all)")
    listing.add_argument("--status", choices=("pending", "processing", "ready", "failed"))
    listing.add_argument("--search", default="", metavar="TEXT", help="part of the name")
    listing.add_argument("--removed", action="store_true", help="those removed, which can be restored")
    listing.add_argument("--limit", type=int, default=50)
    listing.add_argument("--offset", type=int, default=0)
    _one(command(family, "show", show, "show all that is known about a source"))
    _one(command(family, "text", text, "print the stored text of a source"))
    _one(command(family, "remove", remove, "take a source out of a notebook; it can be restored"), needs_notebook=True)
    _one(command(family, "restore", restore, "put a removed source back"), needs_notebook=True)
    _one(command(family, "delete", delete, "delete a source with all its versions, for good"))
    retrying = command(family, "retry", retry, "process a source again")
    _one(retrying)
    _password(retrying)
    command(family, "resume", resume, "go on with everything that a crash or Ctrl-C interrupted")


def _register_add(commands: Any) -> None:
    add = command(commands, "add", add_sources, "bring files, folders, globs and URLs into a notebook")
    add.add_argument("paths", nargs="+", metavar="PATH", help="file, folder, glob or http(s) URL")
    add.add_argument("--notebook", default=INBOX, metavar="NAME", help=f"made if there is none (default: {INBOX})")
    add.add_argument("--tag", action="append", default=[], metavar="TAG", help="may be given several times")
    add.add_argument("--language", default="", metavar="CODE", help="ISO 639-1 code (default: detected)")
    _password(add)


def _one(parser: argparse.ArgumentParser, *, needs_notebook: bool = False) -> None:
    parser.add_argument("source", metavar="SOURCE", help="its id or name")
    parser.add_argument("--notebook", metavar="NAME", required=needs_notebook, help="the notebook it is in")


def _password(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--password", metavar="PASSWORD", help="for encrypted files; - asks for it")


def _given_password(options: argparse.Namespace) -> str | None:
    given: str | None = options.password
    if given == ASK:
        from getpass import getpass

        return getpass("password: ")
    return given


def add_sources(options: argparse.Namespace) -> None:
    """Add a batch. It ends well when every source has an outcome, whatever that is."""
    password = _given_password(options)
    watched = sys.stderr.isatty() and not options.json
    with open_workspace(options) as workspace:
        notebook = workspace.notebooks.open(options.notebook)
        found = notebook.add(
            *options.paths, password=password, tags=tuple(options.tag), language=options.language, progress=watched
        )
    write(options, found, page(found, "sources"))
    failed = [source for source in found if source.status == "failed"]
    if failed and not options.json:
        say(f"{len(failed)} of {len(found)} failed; the others are ready. What to do stands in the table.")
        if any(source.reason == "source_encrypted" for source in failed):
            say("Protected files: add them again with --password, or with --password - to be asked for it.")


def _holder(workspace: Any, options: argparse.Namespace) -> Any:
    return workspace.notebooks.get(options.notebook).sources if options.notebook else workspace.sources


def list_sources(options: argparse.Namespace) -> None:
    """List sources of one notebook or all."""
    with open_workspace(options) as workspace:
        found = _holder(workspace, options).list(
            options.search, status=options.status, removed=options.removed, limit=options.limit, offset=options.offset
        )
    write(options, found, page(found, "sources"))


def show(options: argparse.Namespace) -> None:
    """Show one source."""
    with open_workspace(options) as workspace:
        source = _holder(workspace, options).get(options.source)
    write(options, source, source.model_dump(mode="json"))


def text(options: argparse.Namespace) -> None:
    """Print stored text: byte for byte into a file or pipe, made harmless on a terminal."""
    from sbf_kernel.display.escaping import clean

    with open_workspace(options) as workspace:
        found = _holder(workspace, options).text(options.source)
    if options.json:
        write(options, "", found.model_dump(mode="json"))
    elif sys.stdout.isatty():
        print(clean(found.text))
    else:
        sys.stdout.flush()
        with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as out:
            out.write(found.text.encode())


def remove(options: argparse.Namespace) -> None:
    """Take a source out of a notebook."""
    with open_workspace(options) as workspace:
        holder = _holder(workspace, options)
        source = holder.get(options.source)
        holder.remove(source)
    _done(options, source, "removed", f"sbf sources restore --notebook … brings it back: {source.id}")


def restore(options: argparse.Namespace) -> None:
    """Put a source back into a notebook."""
    with open_workspace(options) as workspace:
        source = _holder(workspace, options).restore(options.source)
    _done(options, source, "restored")


def delete(options: argparse.Namespace) -> None:
    """Delete a source for good."""
    with open_workspace(options) as workspace:
        holder = _holder(workspace, options)
        source = holder.get(options.source)
        holder.delete(source)
    _done(options, source, "deleted")


def _done(options: argparse.Namespace, source: Any, what: str, hint: str = "") -> None:
    from sbf_kernel.display.escaping import one_line

    write(
        options,
        f"{what} {one_line(source.name)}" + (f" → {hint}" if hint else ""),
        {what: source.model_dump(mode="json")},
    )


def retry(options: argparse.Namespace) -> None:
    """Process a source again and wait."""
    password = _given_password(options)
    with open_workspace(options) as workspace:
        source = _holder(workspace, options).retry(
            options.source, password=password, progress=sys.stderr.isatty() and not options.json
        )
    write(options, source, source.model_dump(mode="json"))


def resume(options: argparse.Namespace) -> None:
    """Go on with interrupted sources and wait."""
    with open_workspace(options) as workspace:
        found = workspace.sources.resume(progress=sys.stderr.isatty() and not options.json)
    write(options, found, page(found, "sources"))
