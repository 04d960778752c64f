"""``sbf notebooks …``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sbf_kernel.cli.console import command, group, open_workspace, page, write

if TYPE_CHECKING:
    import argparse


def register(commands: Any) -> None:
    """Add the commands of this module."""
    family = group(commands, "notebooks", "list, create, rename and delete notebooks")
    listing = command(family, "list", list_notebooks, "list notebooks")
    listing.add_argument("--search", default="", metavar="TEXT", help="part of name or description")
    listing.add_argument("--limit", type=int, default=50)
    listing.add_argument("--offset", type=int, default=0)
    new = command(family, "create", create, "make a notebook")
    new.add_argument("name", metavar="NAME")
    new.add_argument("--description", default="", metavar="TEXT")
    renamed = command(family, "rename", rename, "rename a notebook")
    renamed.add_argument("notebook", metavar="NOTEBOOK", help="its id or name")
    renamed.add_argument("name", metavar="NEW_NAME")
    renamed.add_argument("--description", metavar="TEXT")
    gone = command(family, "delete", delete, "delete a notebook; its sources stay")
    gone.add_argument("notebook", metavar="NOTEBOOK", help="its id or name")


def list_notebooks(options: argparse.Namespace) -> None:
    """List notebooks."""
    with open_workspace(options) as workspace:
        found = workspace.notebooks.list(options.search, limit=options.limit, offset=options.offset)
    write(options, found, page(found, "notebooks"))


def create(options: argparse.Namespace) -> None:
    """Make a notebook."""
    with open_workspace(options) as workspace:
        record = workspace.notebooks.create(options.name, options.description).record
    write(options, record, record.model_dump(mode="json"))


def rename(options: argparse.Namespace) -> None:
    """Rename a notebook."""
    with open_workspace(options) as workspace:
        notebook = workspace.notebooks.get(options.notebook)
        notebook.rename(options.name, options.description)
    write(options, notebook.record, notebook.record.model_dump(mode="json"))


def delete(options: argparse.Namespace) -> None:
    """Delete a notebook."""
    with open_workspace(options) as workspace:
        notebook = workspace.notebooks.get(options.notebook)
        notebook.delete()
    from sbf_kernel.display.escaping import one_line

    write(
        options,
        f"deleted {one_line(notebook.name)} → its sources stay: sbf sources list",
        {"deleted": notebook.record.model_dump(mode="json")},
    )
