"""``sbf demo`` and ``sbf report …``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sbf_kernel.cli.console import command, group, write

if TYPE_CHECKING:
    import argparse


def register(commands: Any) -> None:
    """Add the commands of this module."""
    command(
        commands, "demo", demo, "show all of SBF in a minute, on documents found in this installation", json_too=False
    )
    family = group(commands, "report", "run a report notebook")
    run = command(family, "run", run_report, "run a template and write an HTML page that needs no network")
    run.add_argument(
        "template", metavar="TEMPLATE", help="path of a .ipynb, or the name of one that SBF brings, such as brief"
    )
    run.add_argument(
        "-p",
        "--parameter",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="value as JSON, else as text; repeatable",
    )
    run.add_argument(
        "-o", "--output", type=Path, default=Path("report.html"), metavar="HTML", help="default: report.html"
    )
    run.add_argument("--theme", choices=("light", "dark"), default="light")
    command(family, "list", list_reports, "list the templates that SBF brings")


def demo(options: argparse.Namespace) -> None:
    """Show all of SBF."""
    from sbf_kernel.demo import run

    run(home=options.home, database_url=options.database_url)


def run_report(options: argparse.Namespace) -> None:
    """Run a template; a failing cell still leaves the page, with the failure in it."""
    from sbf_kernel import reports

    parameters = dict(_parameter(text) for text in options.parameter)
    path = reports.run(
        options.template,
        parameters,
        options.output,
        home=options.home,
        database_url=options.database_url,
        theme=options.theme,
    )
    write(options, f"wrote {path}", {"report": str(path)})


def _parameter(text: str) -> tuple[str, Any]:
    import json

    from sbf_kernel.errors import InvalidInput

    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise InvalidInput(f"-p {text} is not key=value", hint="for example -p notebook=Research")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def list_reports(options: argparse.Namespace) -> None:
    """List templates."""
    from sbf_kernel import reports

    names = reports.names()
    write(options, "\n".join(names), {"templates": names})
