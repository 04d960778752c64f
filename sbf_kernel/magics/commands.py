# mypy: disable-error-code="no-untyped-call, untyped-decorator"
"""The magics themselves."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

from sbf_kernel.errors import InvalidInput, SbfError
from sbf_kernel.magics.namespace import Namespace

COMMANDS = {
    "status": "what is open, what works, how much there is",
    "connect": "open a workspace: an address, or nothing for the one of the settings",
    "use": "choose the notebook of this name, made if there is none",
    "notebooks": "list notebooks whose name contains this",
    "sources": "list sources whose name contains this",
    "add": "bring files, folders, globs and web addresses into the notebook",
    "jobs": "list background work",
    "report": "make a report from a template about the notebook",
}
"""Of ``%sbf``."""


def readable(magic: Callable[..., Any]) -> Callable[..., Any]:
    """Let an error of a magic be one line that says what to do, unless ``%sbf --debug`` was said."""

    @wraps(magic)
    def told(self: SbfMagics, *arguments: str) -> Any:
        try:
            return magic(self, *arguments)
        except UsageError as error:
            raise _in_one_line(InvalidInput(str(error), hint=f"%{magic.__name__}? shows how")) from None
        except (SbfError, KeyboardInterrupt) as error:
            if self.debug:
                raise
            raise _in_one_line(error) from None
        except Exception as error:
            if self.debug:
                raise
            words = f"unexpected {type(error).__name__}: {error}"
            raise _in_one_line(SbfError(words, hint="%sbf --debug, then try again, shows where")) from None

    return told


def _in_one_line(error: BaseException) -> BaseException:
    """Return an error that IPython shows without a traceback; the cell fails all the same."""
    words = f"{type(error).__name__}: {str(error) or 'stopped'}"
    error._render_traceback_ = lambda: [words]  # type: ignore[attr-defined]
    return error


@magics_class
class SbfMagics(Magics):
    """``%sbf``, ``%search``, ``%ask`` and ``%%ask``."""

    def __init__(self, shell: Any, names: Namespace) -> None:
        super().__init__(shell)
        self.names = names
        self.debug = False

    @no_var_expand
    @line_magic
    @magic_arguments()
    @argument(
        "command", nargs="?", default="status", help="; ".join(f"{name}: {about}" for name, about in COMMANDS.items())
    )
    @argument("words", nargs="*", help="what the command is about")
    @argument(
        "--token", metavar="NAME", help="variable that holds the token of a service, in Python or the environment"
    )
    @argument("--home", metavar="DIR", help="with connect: folder of the embedded database")
    @argument("--password", metavar="NAME", help="with add: variable that holds the password of encrypted files")
    @argument("-o", "--output", metavar="NAME", help="variable that gets the result")
    @argument("--debug", action="store_true", help="show tracebacks from now on")
    @readable
    def sbf(self, line: str) -> Any:
        """Look after the workspace: ``%sbf use NAME``, ``%sbf add paper.pdf``, ``%sbf status`` and more."""
        given = self._parsed(self.sbf, line)
        self.debug = self.debug or given.debug
        if given.command not in COMMANDS:
            raise InvalidInput(f"%sbf has no command {given.command!r}", hint=f"there are: {', '.join(COMMANDS)}")
        found = getattr(self, f"_{given.command}")(given)
        return self._given_out(given, found)

    @no_var_expand
    @line_magic
    @magic_arguments()
    @argument("query", nargs="+", help="what to look for; {variables} are filled in")
    @argument("-n", "--limit", type=int, default=10, help="hits, 1 to 100 (default: 10)")
    @argument("-N", "--notebook", metavar="NAME", help="look there (default: nb, else everywhere)")
    @argument("--all", action="store_true", help="look everywhere")
    @argument("--source", action="append", metavar="NAME", help="only this source; repeatable")
    @argument("--tag", action="append", help="only sources with this tag; repeatable")
    @argument(
        "--type", action="append", metavar="TYPE", help="only this media type, such as application/pdf; repeatable"
    )
    @argument(
        "--arm", choices=("hybrid", "lexical", "dense"), default="hybrid", help="words, meaning, or both (default)"
    )
    @argument("--per-source", action="store_true", help="only the best hit of each source")
    @argument("-o", "--output", metavar="NAME", help="variable that gets the hits")
    @readable
    def search(self, line: str) -> Any:
        """Rank passages by words and meaning: ``%search --limit 5 why attention scales``."""
        given = self._parsed(self.search, line)
        scope = self.names.scope(given.notebook, given.all)
        found = scope.search(
            _text(given.query),
            limit=given.limit,
            arm=given.arm,
            per_source=given.per_source,
            tags=tuple(given.tag or ()),
            media_types=tuple(given.type or ()),
            source_ids=_ids(scope, given.source),
        )
        return self._given_out(given, found)

    @no_var_expand
    @line_cell_magic
    @magic_arguments()
    @argument("question", nargs="*", help="the question, when it is not the cell; {variables} are filled in")
    @argument("-N", "--notebook", metavar="NAME", help="ask there (default: nb, else everywhere)")
    @argument("--all", action="store_true", help="ask everywhere")
    @argument("--source", action="append", metavar="NAME", help="only this source; repeatable")
    @argument("--model", metavar="ID", help="language model (default: SBF_MODEL, else extractive)")
    @argument("--passages", type=int, default=12, help="passages to consider, 1 to 50 (default: 12)")
    @argument("-o", "--output", metavar="NAME", help="variable that gets the answer")
    @readable
    def ask(self, line: str, cell: str = "") -> None:
        """Ask the sources, every statement cited. ``%%ask`` takes the cell as the question."""
        given = self._parsed(self.ask, line)
        question = self.names.fill(cell).strip() or _text(given.question)
        if not question:
            raise InvalidInput("there is no question", hint="%ask What did they measure?")
        scope = self.names.scope(given.notebook, given.all)
        from sbf_kernel.magics.showing import show_answer

        answer = show_answer(
            scope,
            question,
            model=given.model,
            passages=given.passages,
            source_ids=_ids(scope, given.source),
        )
        if given.output:
            self.names.set(given.output, answer)

    def _parsed(self, magic: Any, line: str) -> Any:
        given = parse_argstring(magic, self.names.fill(line))
        if given.output and not given.output.isidentifier():
            raise InvalidInput(f"{given.output!r} is not the name of a variable", hint="for example -o answer")
        return given

    def _given_out(self, given: Any, found: Any) -> Any:
        """Show a result, or with ``-o`` let it be a variable and stay silent."""
        if not given.output:
            return found
        self.names.set(given.output, found)
        return None

    def _status(self, given: Any) -> Any:
        from sbf_kernel.magics.showing import status

        return status(self.names.workspace(), self.names.current())

    def _connect(self, given: Any) -> Any:
        from sbf_kernel.connecting import connect
        from sbf_kernel.magics.showing import status

        settings: dict[str, Any] = {"token": self._secret(given.token)} if given.token else {}
        if given.home:
            settings["home"] = _unquoted(given.home)
        workspace = connect(_text(given.words) or None, **settings)
        if (before := self.names.connected()) is not None:
            before.close()
        self.names.set("ws", workspace)
        self.names.values.pop("nb", None)  # it belonged to the workspace before
        self.names.offer()
        return status(workspace, None)

    def _use(self, given: Any) -> Any:
        name = _text(given.words)
        if not name:
            raise InvalidInput("%sbf use needs the name of a notebook", hint="%sbf notebooks lists them")
        notebook = self.names.workspace().notebooks.open(name)
        self.names.set("nb", notebook)
        return notebook

    def _notebooks(self, given: Any) -> Any:
        return self.names.workspace().notebooks.list(_text(given.words), limit=100)

    def _sources(self, given: Any) -> Any:
        return (self.names.current() or self.names.workspace()).sources.list(_text(given.words), limit=100)

    def _add(self, given: Any) -> Any:
        if not given.words:
            raise InvalidInput("%sbf add needs files, folders or web addresses", hint="%sbf add paper.pdf notes/")
        password = self._secret(given.password) if given.password else None
        return self.names.notebook().add(*map(_unquoted, given.words), password=password)

    def _jobs(self, given: Any) -> Any:
        return self.names.workspace().jobs.list(_text(given.words))

    def _report(self, given: Any) -> Any:
        from sbf_kernel.magics.showing import show_where_the_page_is

        template, *parameters = map(_unquoted, given.words or ["brief"])
        values: dict[str, Any] = {}
        for parameter in parameters:
            name, equals, value = parameter.partition("=")
            if not equals:
                raise InvalidInput(f"{parameter!r} is not NAME=VALUE", hint='%sbf report brief "questions=Why?"')
            values.setdefault(name, []).append(_unquoted(value))
        single = {name: value[0] if len(value) == 1 else value for name, value in values.items()}
        made = self.names.workspace().reports.run(template, self.names.notebook().id, **single)
        show_where_the_page_is(made, given.output)
        return made

    def _secret(self, name: str) -> str:
        """Return the value of a variable, so that no secret stands in a cell."""
        value = self.names.values.get(name, os.environ.get(name))
        if not isinstance(value, str):
            raise InvalidInput(
                f"neither a variable nor an environment variable {name} holds a text",
                hint="from getpass import getpass; secret = getpass()",
            )
        return value


def _ids(scope: Any, wanted: list[str] | None) -> tuple[Any, ...]:
    return tuple(scope.sources.get(_unquoted(name)).id for name in wanted or ())


def _text(words: list[str]) -> str:
    return _unquoted(" ".join(words))


def _unquoted(word: str) -> str:
    """Return a word without the quotes around it, which IPython leaves there."""
    word = word.strip()
    return word[1:-1] if len(word) > 1 and word[0] == word[-1] and word[0] in "'\"" else word
