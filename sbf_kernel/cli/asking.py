"""``sbf search`` and ``sbf ask``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from sbf_kernel.cli.console import command, open_workspace, page, scope_of, write

if TYPE_CHECKING:
    import argparse


def register(commands: Any) -> None:
    """Add the commands of this module."""
    find = command(commands, "search", search, "rank passages by words and meaning")
    find.add_argument("query", metavar="QUERY")
    find.add_argument("--notebook", metavar="NAME", help="only this notebook (default: all)")
    find.add_argument(
        "--arm", choices=("hybrid", "lexical", "dense"), default="hybrid", help="words, meaning, or both (default)"
    )
    find.add_argument("--limit", type=int, default=10, metavar="N")
    question = command(commands, "ask", ask, "answer a question from the sources, every statement cited")
    question.add_argument("question", metavar="QUESTION")
    question.add_argument("--notebook", metavar="NAME", help="only this notebook (default: all)")
    question.add_argument("--model", metavar="ID", help="language model (default: SBF_MODEL, else extractive)")


def search(options: argparse.Namespace) -> None:
    """Print a ranking."""
    with open_workspace(options) as workspace:
        found = scope_of(workspace, options.notebook).search(options.query, arm=options.arm, limit=options.limit)
    write(options, found, page(found, "hits"))


def ask(options: argparse.Namespace) -> None:
    """Print an answer: for people as it is written, then its sources."""
    from sbf_kernel.display.answers import footnotes
    from sbf_kernel.display.escaping import clean
    from sbf_kernel.records import Answer

    with open_workspace(options) as workspace:
        for event in scope_of(workspace, options.notebook).ask_stream(options.question, model=options.model):
            if isinstance(event, Answer):
                answer = event
            elif not options.json:
                sys.stdout.write(clean(event.text))
                sys.stdout.flush()
    if options.json:
        document = answer.model_dump(mode="json")
        document["citations"] = document["citations"]["items"]
        write(options, "", document)
    else:
        print(f"\n\n{footnotes(answer)}")
