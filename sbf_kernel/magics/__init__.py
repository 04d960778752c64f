"""``%load_ext sbf_kernel``: ``%sbf``, ``%search``, ``%ask`` and ``%%ask``, and ``ws`` and ``nb`` at hand.

The namespace of the user is the state: the magics work on the ``ws`` and
``nb`` they find there, and ``%sbf connect`` and ``%sbf use`` set them. Loading
connects to nothing; that happens when something is wanted.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


_QUESTION = re.compile(r"^(\s*(?:\w+\s*=\s*)?)%(ask|search)\s+(\S.*\?)\s*$")


def load(shell: InteractiveShell) -> None:
    """Put the magics, their completion, ``ws`` and ``nb`` into a shell; what the user calls so stays."""
    from sbf_kernel.magics.commands import SbfMagics
    from sbf_kernel.magics.completing import complete_in
    from sbf_kernel.magics.namespace import Namespace

    names = Namespace(shell)
    names.offer()
    shell.register_magics(SbfMagics(shell, names))
    shell.Completer.custom_matchers.append(complete_in(names))
    if keep_question_marks not in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.append(keep_question_marks)


def keep_question_marks(lines: list[str]) -> list[str]:
    """Let ``%ask Why?`` ask: for IPython a question mark at the end of a line is a request for help."""
    if lines and lines[0].lstrip().startswith("%%"):
        return lines
    return [_QUESTION.sub(_as_call, line) for line in lines]


def _as_call(found: re.Match[str]) -> str:
    return f"{found[1]}get_ipython().run_line_magic({found[2]!r}, {found[3]!r})\n"


def unload(shell: InteractiveShell) -> None:
    """Take completion and question marks out again; the magics stay, as IPython cannot forget any."""
    shell.Completer.custom_matchers[:] = [
        matcher for matcher in shell.Completer.custom_matchers if matcher.__module__ != "sbf_kernel.magics.completing"
    ]
    shell.input_transformers_cleanup[:] = [
        transform for transform in shell.input_transformers_cleanup if transform is not keep_question_marks
    ]
