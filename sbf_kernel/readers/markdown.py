"""Markdown: headings, paragraphs, lists, tables, code and front matter, without the markup characters.

Block structure follows CommonMark and GitHub tables closely enough to cite;
inline markup is removed because answers quote words, not asterisks.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field

from sbf_kernel.readers.reading import RawSource, Reading, ReadingBuilder
from sbf_kernel.readers.text import decode

_FENCE = re.compile(r"\s{0,3}(`{3,}|~{3,})(.*)$")
_ATX = re.compile(r"\s{0,3}(#{1,6})(?:[ \t]+(.*))?$")
_SETEXT = re.compile(r"\s{0,3}(=+|-{2,})[ \t]*$")
_RULE = re.compile(r"\s{0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$")
_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+(?=\S)")
_TABLE_RULE = re.compile(r"\s{0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*(?:\|[ \t]*)?$")
_CELL_BREAK = re.compile(r"(?<!\\)\|")
_FRONT = re.compile(r"\A---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FRONT_FACT = re.compile(r"^([A-Za-z][\w -]{0,40}):[ \t]*(.+)$", re.MULTILINE)

_CODE_SPAN = re.compile(r"(?<!`)(`{1,9})(?!`)([^`\n]+)\1(?!`)")
_TARGET = r"(?:\([^()\n]{0,2000}(?:\([^()\n]{0,500}\)[^()\n]{0,500})?\)|\[[^\]\n]{0,500}\])"
_IMAGE = re.compile(r"!\[([^\[\]\n]{0,1000})\]" + _TARGET)
_LINK = re.compile(r"\[([^\[\]\n]{0,1000})\]" + _TARGET)
_DEFINITION = re.compile(r"\s{0,3}\[(?!\^)[^\]\n]{1,500}\]:[ \t]+\S+(?:[ \t]+[\"'(].*[\"')])?[ \t]*$")
_AUTOLINK = re.compile(r"<((?:https?://|mailto:)[^\s<>]{1,2000})>")
_TAG = re.compile(r"</?[A-Za-z][\w-]*(?:\s[^<>\n]{0,2000})?/?>")
_STRONG = re.compile(r"(\*\*\*|\*\*|\*|~~)(?=[^\s*])([^*~\n]{1,2000}?)(?<=\S)\1")
_UNDERSCORE = re.compile(r"(?<![\w_])(__|_)(?=[^\s_])([^_\n]{1,2000}?)(?<=\S)\1(?![\w_])")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")


def read_markdown(source: RawSource) -> Reading:
    """Read a Markdown file; the title is the front matter's, else the first heading."""
    builder = ReadingBuilder()
    text = decode(source.content).replace("\r\n", "\n").replace("\r", "\n")
    metadata: dict[str, str] = {}
    front = _FRONT.match(text.lstrip("\ufeff"))
    if front:
        text = text.lstrip("\ufeff")[front.end() :]
        metadata = {key.lower(): value.strip(" \"'") for key, value in _FRONT_FACT.findall(front.group(1))}
    first = add_markdown(builder, text)
    if builder.empty and front:
        builder.add(front.group(1))
    return builder.build(title=metadata.pop("title", "") or first, media_type="text/markdown", metadata=metadata)


def add_markdown(builder: ReadingBuilder, text: str, *, cell: int | None = None) -> str:
    """Append Markdown to ``builder``, all of it in notebook ``cell`` if given; return the first heading or ''."""
    state = _State(builder, cell)
    for line in text.split("\n"):
        _take(state, line.expandtabs(4) if "\t" in line[:8] and not state.fence else line)
    state.flush()
    return state.first_heading


def inline_text(text: str) -> str:
    """Return Markdown inline text as a reader would see it: no emphasis marks, link targets or tags."""
    if not any(mark in text for mark in "`*_[<\\&~"):
        return text
    kept: list[str] = []

    def keep(match: re.Match[str]) -> str:
        kept.append(match.group(2).strip() or match.group(2))
        return f"\x00{len(kept) - 1}\x00"

    text = _CODE_SPAN.sub(keep, text.replace("\x00", ""))
    text = _ESCAPE.sub(lambda match: keep(_Literal(match.group(1))), text)  # type: ignore[arg-type]
    text = _LINK.sub(r"\1", _IMAGE.sub(r"\1", text))
    text = _TAG.sub("", _AUTOLINK.sub(r"\1", _without_comments(text)))
    for _ in range(2):  # emphasis inside emphasis
        text = _UNDERSCORE.sub(r"\2", _STRONG.sub(r"\2", text))
    return re.sub(r"\x00(\d+)\x00", lambda match: kept[int(match.group(1))], html.unescape(text))


def _without_comments(text: str) -> str:
    parts: list[str] = []
    place = 0
    while (start := text.find("<!--", place)) >= 0 and (end := text.find("-->", start)) >= 0:
        parts.append(text[place:start])
        place = end + 3
    return "".join([*parts, text[place:]])


class _Literal:
    """An escaped character in the shape of the match ``keep`` expects."""

    def __init__(self, char: str) -> None:
        self._char = char

    def group(self, _: int) -> str:
        return self._char


@dataclass
class _State:
    """Where the line-by-line pass stands."""

    builder: ReadingBuilder
    cell: int | None
    lines: list[str] = field(default_factory=list)
    kind: str = "paragraph"
    fence: str = ""
    first_heading: str = ""

    def flush(self) -> None:
        """Append what has been collected as one block (a table as one per row)."""
        lines, kind, self.lines, self.kind = self.lines, self.kind, [], "paragraph"
        if kind == "code":
            self.builder.add("\n".join(lines), "code", cell=self.cell)
        elif kind == "table":
            rows = [[inline_text(cell) for cell in _cells(line)] for line in lines]
            self.builder.table(rows, cell=self.cell)
        elif kind == "list":
            for item in lines:
                self.builder.add(inline_text(item), "list", cell=self.cell)
        elif lines:
            self.builder.add(inline_text("\n".join(lines)), "paragraph", cell=self.cell)

    def heading(self, text: str, level: int) -> None:
        self.flush()
        title = inline_text(text)
        self.first_heading = self.first_heading or title
        self.builder.heading(title, level, cell=self.cell)


def _take(state: _State, line: str) -> None:
    """Move the state on by one line."""
    if state.fence:
        close = line.strip()
        if close.startswith(state.fence) and not close.strip(state.fence[0]):
            state.flush()
            state.fence = ""
        else:
            state.lines.append(line)
        return
    fence = _FENCE.match(line)
    if fence and not (fence[1][0] == "`" and "`" in fence[2]):
        state.flush()
        state.fence, state.kind = fence.group(1), "code"
        return
    if not line.strip():
        if state.kind != "list":
            state.flush()
        elif state.lines:
            state.lines.append("")  # a loose list goes on after a blank line
        return
    _take_text(state, re.sub(r"^\s{0,3}(?:>\s?)+", "", line))


def _take_text(state: _State, line: str) -> None:
    """Move the state on by one line outside fences that is not blank."""
    if not line.strip() or _DEFINITION.match(line):
        return
    atx = _ATX.match(line)
    if atx:
        title = (atx.group(2) or "").rstrip()
        bare = title.rstrip("#")
        state.heading(bare if bare.endswith((" ", "\t")) or not bare else title, len(atx.group(1)))
    elif state.kind == "paragraph" and state.lines and _SETEXT.match(line) and "|" not in state.lines[-1]:
        title, state.lines = " ".join(state.lines), []
        state.heading(title, 1 if "=" in line else 2)
    elif state.kind == "paragraph" and state.lines and "|" in state.lines[-1] and _TABLE_RULE.match(line):
        header = state.lines.pop()
        state.flush()
        state.kind, state.lines = "table", [header]
    elif state.kind == "table" and "|" in line:
        state.lines.append(line)
    elif _RULE.match(line):
        state.flush()
    elif _ITEM.match(line):
        _take_item(state, line)
    elif state.kind == "list":
        _go_on_with_list(state, line)
    elif state.kind == "code" or (line.startswith("    ") and not state.lines):
        _take_indented(state, line)
    else:
        if state.kind == "table":
            state.flush()
        state.lines.append(line.strip())


def _take_item(state: _State, line: str) -> None:
    if state.kind != "list":
        state.flush()
        state.kind = "list"
    while state.lines and not state.lines[-1]:
        state.lines.pop()
    marker = line.strip()
    state.lines.append(re.sub(r"^[*+-]\s+(?:\[[ xX]\]\s+)?", "- ", marker))


def _go_on_with_list(state: _State, line: str) -> None:
    """Take a line inside a list: lazy continuation, or the end of the list after a blank line."""
    if state.lines[-1] or line.startswith("  "):
        while state.lines and not state.lines[-1]:
            state.lines.pop()
        state.lines[-1] += "\n" + line.strip()
    else:
        state.flush()
        state.lines.append(line.strip())


def _take_indented(state: _State, line: str) -> None:
    """Indented code, which ends at the first line that is not indented."""
    if line.startswith("    "):
        state.kind = "code"
        state.lines.append(line[4:])
    else:
        state.flush()
        state.lines.append(line.strip())


def _cells(line: str) -> list[str]:
    line = line.strip()
    line = line.removeprefix("|")
    line = line[:-1] if line.endswith("|") and not line.endswith("\\|") else line
    return [cell.replace("\\|", "|").strip() for cell in _CELL_BREAK.split(line)]
