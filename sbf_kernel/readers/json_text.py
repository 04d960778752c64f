"""JSON and JSON Lines: records as table rows, anything else as readable text."""

from __future__ import annotations

import json
from typing import Any, Final

from sbf_kernel.readers.reading import RawSource, Reading, ReadingBuilder
from sbf_kernel.readers.text import add_plain_text, decode

_MAX_COLUMNS: Final = 60
_LONG: Final = 300
"""Characters. Records with texts this long are documents, not table rows."""


def read_json(source: RawSource) -> Reading:
    """Read a JSON document; text that is no JSON is read as text."""
    builder = ReadingBuilder()
    text = decode(source.content)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        add_plain_text(builder, text)
    else:
        _add_value(builder, value)
    return builder.build(title=source.name, media_type="application/json")


def read_jsonl(source: RawSource) -> Reading:
    """Read JSON Lines; a damaged line is kept as text, so that row numbers stay right."""
    builder = ReadingBuilder()
    records: list[Any] = []
    for line in decode(source.content).splitlines():
        try:
            records.append(json.loads(line) if line.strip() else None)
        except (ValueError, RecursionError):
            records.append(line)
    add_records(builder, records)
    return builder.build(title=source.name, media_type="application/x-ndjson")


def _add_value(builder: ReadingBuilder, value: Any) -> None:
    if isinstance(value, list):
        add_records(builder, value)
    elif isinstance(value, dict):
        for key, part in value.items():
            if isinstance(part, list) and part and all(isinstance(item, dict) for item in part):
                builder.heading(str(key), 2)
                add_records(builder, part)
                builder.close(2)
            else:
                builder.add(f"{key}: {plain(part)}", "paragraph" if isinstance(part, str) else "code")
    else:
        builder.add(plain(value))


def add_records(builder: ReadingBuilder, records: list[Any]) -> None:
    """Append records: short flat ones as rows of one table, others one block each, ``key: value`` per line."""
    columns = list(dict.fromkeys(str(key) for record in records[:1000] if isinstance(record, dict) for key in record))
    sample = [plain(value) for record in records[:200] if isinstance(record, dict) for value in record.values()]
    table = 1 < len(columns) <= _MAX_COLUMNS and all(isinstance(record, dict) for record in records if record)
    if table and max((len(text) for text in sample), default=0) <= _LONG:
        rows = [[_cell(record.get(column)) for column in columns] if record else [] for record in records]
        builder.table([columns, *rows])
        return
    for number, record in enumerate(records, 1):
        if isinstance(record, dict):
            text = "\n".join(f"{key}: {plain(value)}" for key, value in record.items())
        else:
            text = plain(record) if record is not None else ""
        builder.add(text, row=number)


def _cell(value: Any) -> str:
    return "" if value is None else plain(value)


def plain(value: Any) -> str:
    """Return a JSON value as text: strings as they are, the rest as JSON with real characters."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, indent=1 if isinstance(value, dict) and len(value) > 3 else None)
    except (ValueError, RecursionError):
        return str(value)[:1000]
