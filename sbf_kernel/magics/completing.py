"""Tab completion on the lines of the magics: commands, options, names of notebooks and sources.

Names are offered once a workspace is open: a Tab starts no database.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher

from sbf_kernel.errors import SbfError

if TYPE_CHECKING:
    from sbf_kernel.magics.namespace import Namespace

MOST = 50
"""Names to offer at most."""

_LINE = re.compile(r"^\s*(?:[\w.]+\s*=\s*)?%{1,2}(sbf|search|ask)\s+(.*)$", re.DOTALL)
_WORD = re.compile(r"""("[^"]*|'[^']*|\S*)$""")


def complete_in(names: Namespace) -> Callable[[CompletionContext], Any]:
    """Return a matcher for IPython's completer."""

    @context_matcher(identifier="sbf")  # type: ignore[untyped-decorator]
    def complete(context: CompletionContext) -> Any:
        line = context.text_until_cursor.rpartition("\n")[2]
        fragment, found = suggestions(names, line)
        completions = [SimpleCompletion(text=text, type="sbf") for text in found]
        return {"completions": completions, "matched_fragment": fragment, "suppress": bool(found), "ordered": True}

    complete.__module__ = __name__
    return complete  # type: ignore[no-any-return]


def suggestions(names: Namespace, line: str) -> tuple[str, list[str]]:
    """Return what stands before the cursor and would be replaced, and what by."""
    magic = _LINE.match(line)
    if magic is None:
        return "", []
    word = _WORD.search(magic[2])
    fragment = word[1] if word else ""
    before = magic[2][: len(magic[2]) - len(fragment)].split()
    return fragment, [text for text in _candidates(names, magic[1], before, fragment) if text != fragment]


def _candidates(names: Namespace, magic: str, before: list[str], fragment: str) -> list[str]:
    from sbf_kernel.magics.commands import COMMANDS

    last = before[-1] if before else ""
    if fragment.startswith("-"):
        return [option for option in _options(magic) if option.startswith(fragment)]
    if last in ("-N", "--notebook") or (magic == "sbf" and before == ["use"]):
        return _names(names, "notebooks", fragment)
    if last == "--source":
        return _names(names, "sources", fragment)
    if last == "--arm":
        return [arm for arm in ("hybrid", "lexical", "dense") if arm.startswith(fragment)]
    if magic == "sbf" and before == ["report"]:
        from sbf_kernel import reports

        return [template for template in reports.names() if template.startswith(fragment)]
    if magic == "sbf" and not before:
        return [command for command in COMMANDS if command.startswith(fragment)]
    return []


def _options(magic: str) -> list[str]:
    from sbf_kernel.magics.commands import SbfMagics

    parser = getattr(SbfMagics, magic).parser
    return [option for action in parser._actions for option in action.option_strings if option.startswith("--")]


def _names(names: Namespace, noun: str, fragment: str) -> list[str]:
    """Return names that begin with what was typed, quoted where IPython would else cut them."""
    workspace = names.connected()
    if workspace is None:
        return []
    holder: Any = names.current() if noun == "sources" else None
    typed = fragment.lstrip("\"'")
    try:
        page = getattr(holder or workspace, noun).list(typed, sort="name", limit=100)
    except SbfError:
        return []
    found = sorted({one.name for one in page if one.name.casefold().startswith(typed.casefold())}, key=str.casefold)
    return [_quoted(name) for name in found[:MOST]]


def _quoted(name: str) -> str:
    if re.fullmatch(r"[\w.\-]+", name):
        return name
    return f"'{name}'" if '"' in name else f'"{name}"'
