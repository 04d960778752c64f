"""The ``sbf`` command. Each family of commands has a module, which loads what it needs when it runs.

Exit codes: 0 done, 1 something failed, 2 the request was wrong, 130 stopped by
Ctrl-C. Errors are one line on stderr, ``error: what happened → what to do``;
``SBF_DEBUG=1`` shows the traceback instead.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from sbf_kernel.cli import asking, checking, kernel, notebooks, reporting, sources, users, working
from sbf_kernel.cli.console import failure, placement

if TYPE_CHECKING:
    from collections.abc import Sequence

FAMILIES = (sources, asking, notebooks, reporting, checking, users, working, kernel)


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line in one line."""

    def error(self, message: str) -> None:  # type: ignore[override]
        sys.stderr.write(f"error: {message} → {self.prog} --help shows how\n")
        raise SystemExit(2)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = _Parser(
        prog="sbf",
        description="Cited research: bring in sources, search them, ask them.",
        epilog="Example: sbf add paper.pdf notes/ --notebook Research && sbf ask 'What did they measure?'",
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    placement(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser)
    for family in (*FAMILIES, *(entry.load() for entry in entry_points(group="sbf.commands"))):
        family.register(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that lacks a letter shows its code instead of failing
            stream.reconfigure(errors="backslashreplace")
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.version:
        import sbf_kernel

        print(sbf_kernel.__version__)
        return 0
    if not hasattr(options, "run"):
        parser.print_help()
        return 2
    return _run(options)


def _run(options: argparse.Namespace) -> int:
    try:
        code: int = options.run(options) or 0
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        sys.stderr.write("stopped → what was stored stays; run it again to go on\n")
        return 130
    except Exception as error:
        if os.environ.get("SBF_DEBUG") == "1":
            raise
        return failure(error, as_json=getattr(options, "json", False))
