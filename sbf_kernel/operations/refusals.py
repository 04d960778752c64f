"""Why a value is refused, in words for whoever sent it: no names of Python or of the library that looked."""

from __future__ import annotations

import re
from typing import Any

WORDS = {
    "missing": "is missing",
    "extra_forbidden": "there is no such field",
    "string_type": "must be text",
    "string_unicode": "must be text",
    "string_sub_type": "must be text",
    "string_pattern_mismatch": "must match {pattern}",
    "string_too_long": "must have at most {max_length} characters",
    "too_long": "must have at most {max_length} entries",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number of fewer digits",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "literal_error": "must be {expected}",
    "uuid_type": "must be an id (a UUID)",
    "uuid_parsing": "must be an id (a UUID)",
    "uuid_version": "must be an id (a UUID)",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be a JSON object",
    "model_type": "must be a JSON object",
    "model_attributes_type": "must be a JSON object",
    "bytes_type": "must be base64",
}
"""By pydantic's name of the error; what stands in braces is in the error's context."""
_INNER = re.compile(r"\[key\]|constrained-\w+|(function|tuple|list|nullable|lax-or-strict)\b.*\[.*")
"""Parts of a place that name a step of the check instead of a field."""
_LONGEST = 100
"""Characters of a name that somebody sent."""


def why(error: Any) -> str:
    """Return why one value is refused.

    Parameters
    ----------
    error
        One of :meth:`pydantic.ValidationError.errors`.
    """
    kind, facts, said = error["type"], error.get("ctx", {}), error["msg"]
    if kind in ("string_too_short", "too_short"):
        least = facts["min_length"]
        what = "characters" if kind == "string_too_short" or facts["field_type"] == "Value" else "entries"
        return "must not be empty" if least == 1 else f"must have at least {least} {what}"
    if kind == "too_long" and facts["field_type"] == "Value":  # a secret: text that is not shown
        kind = "string_too_long"
    if kind in WORDS:
        return WORDS[kind].format_map(facts)
    if "UploadFile" in said:
        return "must be a file"
    return str(said).removeprefix("Value error, ").replace("Input should", "must")


def where(place: tuple[Any, ...]) -> str:
    """Return which field it is about, as ``outer.inner``; empty for the whole."""
    parts = (str(part)[:_LONGEST] for part in place if not _INNER.fullmatch(str(part)))
    return ".".join(parts)
