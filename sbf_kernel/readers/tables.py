"""CSV and TSV: rows with their header, whatever the delimiter and encoding."""

from __future__ import annotations

import csv
import re
from collections import Counter
from typing import Final

from sbf_kernel.readers.reading import RawSource, Reading, ReadingBuilder
from sbf_kernel.readers.text import add_plain_text, decode

_DELIMITERS: Final = ",;\t|"
_SAMPLE: Final = 60_000
"""Characters looked at to find the delimiter."""


def read_csv(source: RawSource) -> Reading:
    """Read delimited text; the first row with text is the header of all others."""
    builder = ReadingBuilder()
    text = decode(source.content)
    rows = parse_rows(text)
    if all(len(row) <= 1 for row in rows[:50]):
        add_plain_text(builder, text)  # called CSV but has no columns
    else:
        builder.table(rows)
    tabs = source.name.lower().endswith((".tsv", ".tab"))
    return builder.build(title=source.name, media_type="text/tab-separated-values" if tabs else "text/csv")


def parse_rows(text: str) -> list[list[str]]:
    """Return the rows of delimited text; ragged rows stay ragged, quotes may hold line breaks."""
    text = text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")
    declared = re.match(r"\s*\"?sep=([^\n])\"?[ \t]*\n", text, re.IGNORECASE)  # Excel's own first line
    if declared:
        text = text[declared.end() :]
    csv.field_size_limit(50_000_000)
    delimiter = declared[1] if declared else sniff(text)
    return list(csv.reader(text.split("\n") if '"' not in text else _lines(text), delimiter=delimiter))


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True) if "\x1c" not in text else [line + "\n" for line in text.split("\n")]


def sniff(text: str) -> str:
    """Return the delimiter under which most rows have the same number of columns, more columns being better."""
    lines = text[:_SAMPLE].split("\n")
    lines = lines[:-1] if len(text) > _SAMPLE else lines
    best, best_score = ",", 0.0
    for delimiter in _DELIMITERS:
        widths = Counter(len(row) for row in csv.reader(lines[:500], delimiter=delimiter) if row)
        if not widths:
            continue
        width, count = max(widths.items(), key=lambda item: (item[1], item[0]))
        score = count / widths.total() * min(width, 10) ** 0.5 if width > 1 else 0.0
        if score > best_score * 1.05:
            best, best_score = delimiter, score
    return best
