r"""LaTeX source: what would be printed, without running TeX.

Not a TeX engine: ``\input`` is not followed, macros of the author without
arguments are put in, formulas stay as they were typed.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from sbf_kernel.readers.reading import RawSource, Reading, ReadingBuilder, table_line
from sbf_kernel.readers.text import decode

_COMMENT = re.compile(r"(?<!\\)((?:\\\\)*)%[^\n]*(?:\n[ \t]*(?=\S))?")
_VERBATIM = re.compile(r"\\begin\{(verbatim\*?|lstlisting|minted|Verbatim|alltt)\}(?:\[[^\]\n]*\])?(?:\{\w+\})?")
_MACRO = re.compile(r"\\(?:re)?newcommand\*?\s*\{?\\([A-Za-z]+)\}?\s*\{((?:[^{}]|\{[^{}]*\}){0,200})\}")
_DEFINITION = re.compile(r"\\(?:re|provide)?newcommand\*?|\\def\b|\\newenvironment\*?|\\DeclareMathOperator\*?|\\let\b")
_SECTION: Final = {
    "part": 1,
    "chapter": 1,
    "section": 2,
    "subsection": 3,
    "subsubsection": 4,
    "paragraph": 5,
    "subparagraph": 6,
}
_DROP_WITH_ARGUMENT: Final = frozenset(
    {
        "label",
        "ref",
        "eqref",
        "pageref",
        "autoref",
        "cref",
        "Cref",
        "cite",
        "citep",
        "citet",
        "citealp",
        "citeauthor",
        "citeyear",
        "nocite",
        "parencite",
        "textcite",
        "footcite",
        "bibliographystyle",
        "bibliography",
        "input",
        "include",
        "includegraphics",
        "vspace",
        "hspace",
        "vskip",
        "usepackage",
        "documentclass",
        "setlength",
        "addtolength",
        "setcounter",
        "addtocounter",
        "thispagestyle",
        "pagestyle",
        "hypersetup",
        "graphicspath",
        "color",
        "pagenumbering",
        "numberwithin",
        "newtheorem",
        "theoremstyle",
        "PassOptionsToPackage",
        "RequirePackage",
        "addbibresource",
        "index",
        "glsreset",
        "stepcounter",
        "refstepcounter",
        "cmidrule",
        "cline",
        "hyphenation",
        "rule",
        "resizebox",
        "scalebox",
        "fontsize",
        "selectlanguage",
        "subfile",
        "lstset",
        "captionsetup",
        "phantom",
        "hphantom",
        "vphantom",
        "markboth",
    }
)
_TWO_ARGUMENTS_LAST: Final = frozenset({
    "href", "textcolor", "colorbox", "multicolumn", "multirow", "raisebox", "parbox", "makebox", "foreignlanguage"
})  # fmt: skip
_SYMBOLS: Final = {
    "ldots": "…", "dots": "…", "textellipsis": "…", "textbackslash": "\\", "textasciitilde": "~", "ss": "ß", "ae": "æ",
    "AE": "Æ", "oe": "œ", "OE": "Œ", "aa": "å", "AA": "Å", "o": "ø", "O": "Ø", "l": "ł", "L": "Ł", "i": "ı", "j": "ȷ",
    "S": "§", "P": "¶", "copyright": "©", "pounds": "£", "euro": "€", "texteuro": "€", "LaTeX": "LaTeX", "TeX": "TeX",
    "textendash": "–", "textemdash": "—", "textbullet": "•", "quad": " ", "qquad": " ", "textdegree": "°",
    "par": "\n\n",
    "newline": "\n", "linebreak": "\n", "item": "\n\n- ", "bibitem": "\n\n- ", "and": ", ", "AND": ", ", "And": ", ",
    "dag": "†", "ddag": "‡", "textregistered": "®", "texttrademark": "™", "slash": "/", "textquotesingle": "'",
    "textgreater": ">", "textless": "<", "textbar": "|", "textunderscore": "_", "times": "×", "cdot": "·",
}  # fmt: skip
_ACCENTS: Final = {
    "'": "\u0301",
    "`": "\u0300",
    "^": "\u0302",
    '"': "\u0308",
    "~": "\u0303",
    "=": "\u0304",
    ".": "\u0307",
    "c": "\u0327",
    "v": "\u030c",
    "u": "\u0306",
    "H": "\u030b",
    "k": "\u0328",
    "r": "\u030a",
    "d": "\u0323",
    "b": "\u0331",
}
_ACCENT = re.compile(r"\\(?:(['`^\"~=.])\s*|([cvuHkrdb])(?:\s+|(?=\{)))(?:\{\\?([A-Za-z])\}|\\?([A-Za-z]))")
_COMMAND = re.compile(r"\\([A-Za-z@]+)\*?[ \t]*|\\([^A-Za-z\n]|\n)")
_MATH = re.compile(
    r"\$\$([^$]+)\$\$|(?<!\\)\$([^$]{1,3000})(?<!\\)\$|\\\[(.{1,3000}?)\\\]|\\\((.{1,3000}?)\\\)", re.DOTALL
)
_MATH_BLOCK = re.compile(
    r"\\begin\{((?:equation|align|gather|multline|eqnarray|displaymath|math|flalign|alignat)\*?)\}(?:\{\d+\})?"
)
_TABULAR = re.compile(r"\\begin\{(tabular[x*]?|longtable|tabulary|array)\}")
_BRACE = re.compile(r"(?<!\\)[{}]")
MAX_ARGUMENT: Final = 5_000
"""Characters of one argument; a longer one is an unclosed brace."""
_HELD = re.compile("\x02(\\d+)\x03")


def read_tex(source: RawSource) -> Reading:
    """Read a LaTeX file: title, abstract, sections, paragraphs, lists, tables, formulas as typed."""
    text = decode(source.content).replace("\r\n", "\n").replace("\x02", "").replace("\x03", "")
    builder = ReadingBuilder()
    paper = _Source(text)
    title = paper.title()
    if title:
        builder.heading(title, 1)
    authors = paper.argument_of("author")
    builder.add(paper.printed(authors) if authors else "")
    paper.write(builder)
    return builder.build(title=title, media_type="application/x-tex")


class _Source:
    """A LaTeX file with what must not be touched (code, formulas, tables) held aside."""

    def __init__(self, text: str) -> None:
        self._held: list[tuple[str, str]] = []
        text = self._hold_environments(text, _VERBATIM, "code")
        text = _COMMENT.sub(r"\1", text)
        self._macros = dict(_MACRO.findall(text))
        preamble, begin, body = text.partition("\\begin{document}")
        self._preamble = preamble if begin else ""
        self._body = (body if begin else text).partition("\\end{document}")[0]
        self._whole = text

    def _hold(self, kind: str, text: str) -> str:
        self._held.append((kind, text))
        return f"\x02{len(self._held) - 1}\x03"

    def _hold_environments(self, text: str, begin: re.Pattern[str], kind: str) -> str:
        """Hold aside what stands between ``begin`` and its end, in linear time; one without an end is left."""
        parts: list[str] = []
        endless: set[str] = set()
        place = 0
        for match in begin.finditer(text):
            end = f"\\end{{{match[1]}}}"
            if match.start() < place or end in endless:
                continue
            found = text.find(end, match.end())
            if found < 0:
                endless.add(end)
                continue
            parts += [text[place : match.start()], "\n\n", self._hold(kind, text[match.end() : found]), "\n\n"]
            place = found + len(end)
        return "".join([*parts, text[place:]])

    def argument_of(self, command: str) -> str:
        """Return the raw argument of the first use of a command, '' if there is none."""
        found = re.search(rf"\\{command}\s*(?:\[[^\]]*\]\s*)?(?=\{{)", self._whole)
        return _argument(self._whole, found.end())[0] if found else ""

    def title(self) -> str:
        """Return the document's title."""
        return " ".join(self.printed(self.argument_of("title")).split())

    def write(self, builder: ReadingBuilder) -> None:
        """Append the body."""
        body = re.sub(r"\\(?:title|author|date|thanks)\s*(?:\[[^\]]*\])?(?=\{)", r"\\sbfdrop", self._body)
        body = self._hold_environments(body, _TABULAR, "table")
        body = self._hold_environments(body, _MATH_BLOCK, "formula")
        for paragraph in re.split(r"\n\s*\n", self._marked(body)):
            self._add(builder, paragraph.strip())

    def _add(self, builder: ReadingBuilder, paragraph: str) -> None:
        heading = re.fullmatch(r"\x01(\d)(.*)\x01", paragraph, re.DOTALL)
        alone = _HELD.fullmatch(paragraph)
        if heading:
            builder.heading(self._released(heading[2]), int(heading[1]))
        elif alone and self._held[int(alone[1])][0] == "table":
            self._add_table(builder, self._held[int(alone[1])][1])
        elif alone and self._held[int(alone[1])][0] == "code":
            builder.add(self._held[int(alone[1])][1].strip("\n"), "code")
        else:
            text = self._released(paragraph)
            builder.add(" ".join(text.split()), "list" if text.startswith("- ") else "paragraph")

    def _add_table(self, builder: ReadingBuilder, source: str) -> None:
        source = source.lstrip()
        while source[:1] in ("{", "["):  # width, position and column specification
            end = source.find("]") + 1 if source[0] == "[" else _argument(source, 0)[1]
            source = source[max(end, 1) :].lstrip()
        source = re.sub(
            r"\\(?:hline|toprule|midrule|bottomrule)\b|\\c(?:mid)?line\s*(?:\([^)]*\))?\{[^}]*\}", "", source
        )
        rows = [
            [self.printed(cell) for cell in re.split(r"(?<!\\)&", row)]
            for row in re.split(r"\\\\(?:\[[^\]]*\])?|\\tabularnewline", source)
        ]
        builder.table([row for row in rows if table_line(row)])

    def printed(self, source: str) -> str:
        """Return a piece of source as it would be printed."""
        return " ".join(self._released(self._marked(source)).replace("\x01", " ").split())

    def _released(self, text: str) -> str:
        for _ in range(3):  # a formula may stand in a held table
            text = _HELD.sub(lambda m: " ".join(self._held[int(m[1])][1].split()), text)
        return text

    def _marked(self, text: str) -> str:
        """Return source as text: commands gone, section titles between U+0001 marks."""
        text = _MATH.sub(lambda m: self._hold("formula", next(filter(None, m.groups()), "")), text)
        text = _ACCENT.sub(_accented, text)
        text = _commands(text, self._macros)
        text = text.replace("``", "“").replace("''", "”").replace("---", "—").replace("--", "–")
        text = re.sub(r"(?<!\\)~", " ", text).replace("\x04", "~")
        return text.replace("{", "").replace("}", "").replace("\x05", "{").replace("\x06", "}")


def _accented(match: re.Match[str]) -> str:
    mark = _ACCENTS[match[1] or match[2]]
    return unicodedata.normalize("NFC", (match[3] or match[4]) + mark)


def _argument(text: str, place: int) -> tuple[str, int]:
    """Return the ``{…}`` argument that begins at ``place`` (blanks allowed) and where it ends."""
    start = place
    while start < len(text) and text[start] in " \t\n":
        start += 1
    if start >= len(text) or text[start] != "{":
        return "", place
    depth = 0
    for brace in _BRACE.finditer(text, start, start + MAX_ARGUMENT):
        depth += 1 if brace[0] == "{" else -1
        if not depth:
            return text[start + 1 : brace.start()], brace.end()
    return "", place


def _options(text: str, place: int) -> int:
    """Return the place after ``[…]`` options, if any."""
    while place < len(text) and text[place] == "[":
        end = text.find("]", place, place + 500)
        if end < 0:
            break
        place = end + 1
    return place


def _commands(text: str, macros: dict[str, str]) -> str:
    """Replace commands one after the other, left to right, once."""
    parts: list[str] = []
    place = 0
    for _ in range(len(text)):
        match = _COMMAND.search(text, place)
        if not match:
            break
        parts.append(text[place : match.start()])
        shown, place = _command(text, match, macros)
        parts.append(shown)
    parts.append(text[place:])
    return "".join(parts)


def _command(text: str, match: re.Match[str], macros: dict[str, str]) -> tuple[str, int]:
    """Return what a command prints and where the text goes on."""
    word, symbol, place = match[1], match[2], match.end()
    if word is None:
        printed = {
            "\\": "\n",
            "{": "\x05",
            "}": "\x06",
            "~": "~",
            ",": " ",
            ";": " ",
            ":": " ",
            " ": " ",
            "\n": " ",
            "-": "",
            "/": "",
            "!": "",
        }
        return printed.get(symbol, symbol), place
    if _DEFINITION.fullmatch("\\" + word):
        return "", _after_definition(text, place)
    if word in ("begin", "end"):
        return _environment(text, word, place)
    if word in _SECTION:
        title, end = _argument(text, _options(text, place))
        return f"\n\n\x01{_SECTION[word]}{_commands(title, macros)}\x01\n\n", end
    if word in _DROP_WITH_ARGUMENT or word == "sbfdrop":
        place = _options(text, place)
        _, end = _argument(text, place)
        return "", _options(text, end)
    if word in _TWO_ARGUMENTS_LAST:
        place = _options(text, _argument(text, _options(text, place))[1])
        if word in ("multicolumn", "multirow"):
            place = _argument(text, place)[1]
        return "", place
    if word in ("footnote", "caption", "thanks"):
        inner, end = _argument(text, _options(text, place))
        shown_inner = _commands(inner, macros)
        return (f" ({shown_inner})" if word != "caption" else f"\n\n{shown_inner}\n\n"), end
    if word in _SYMBOLS:
        shown = _SYMBOLS[word]
        if word == "bibitem":
            place = _argument(text, _options(text, place))[1]
        return shown, _options(text, place) if word == "item" else place
    if word in macros and "\\" + word not in macros[word]:
        return _commands(macros[word], {}), place
    return "", _options(text, place)  # formatting: its argument, if any, is ordinary text


def _environment(text: str, word: str, place: int) -> tuple[str, int]:
    name, end = _argument(text, place)
    if word == "begin":
        end = _options(text, end)
        if name.rstrip("*") in ("thebibliography", "minipage", "wrapfigure", "multicols", "adjustbox"):
            end = _options(text, _argument(text, end)[1])
        if name == "abstract":
            return "\n\n\x012Abstract\x01\n\n", end
    return "\n\n", end


def _after_definition(text: str, place: int) -> int:
    """Return the place after the name and the body of a definition."""
    match = re.compile(r"\s*(?:\{\\?[^{}]*\}|\\[A-Za-z@]+)?[^{\n\\]{0,60}").match(text, place)
    return _argument(text, match.end() if match else place)[1]
