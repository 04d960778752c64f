"""Takes secrets out of what leaves the process for an operator: log lines, error reports, traces.

Two nets. By key: whatever stands under ``password``, ``authorization``,
``api_key`` … is hidden. By pattern: bearer tokens, API tokens, JSON Web Tokens
(RFC 7519), passwords in URLs and ``name=value`` pairs are hidden inside any
text, such as the message of an exception. It hides too much rather than too
little; the first line of defence stays not to write secrets down at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

HIDDEN = "[hidden]"
DEEPEST = 12
"""Levels of nesting that are looked into; what lies deeper is hidden."""

_NAMES = r"passw(?:or)?d|passphrase|token|secret|authorization|cookie|credential|api[_-]?key|[_-]key|dsn|conninfo"
_KEY = re.compile(rf"{_NAMES}|\bkeys?\b|database_url|redis_url", re.IGNORECASE)
_COUNT = re.compile(r"tokens$", re.IGNORECASE)
"""``input_tokens=12`` counts words; it is no secret as long as it is a number."""

# Repeats are bounded, so that a long hostile text costs no more than its length.
_VALUE = r"""\\?(?:"(?:[^"\\]|\\.){0,4096}"?|'(?:[^'\\]|\\.){0,4096}'?|[^\s"',;&)}\]]+)"""
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----)[^-]{0,16384}"), rf"\1{HIDDEN}"),
    (re.compile(r"(\bcookie:\s{0,4})[^\n\"']+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (
        re.compile(
            rf"((?:{_NAMES})(?:\\?[\"'])?\s{{0,4}}[=:]\s{{0,4}})(?:(?:basic|bearer)\s+)?(?!{re.escape(HIDDEN)}){_VALUE}",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(\bbearer\s+)(?!\[)[^\s'\",;]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"(://[^\s/@:'\"]{0,128}):[^\s'\"]{1,256}@"), rf"\1:{HIDDEN}@"),
    (re.compile(r"\beyJ[\w-]{4,}\.[\w-]+(?:\.[\w-]*)?", re.ASCII), HIDDEN),
    (re.compile(r"\bsb[fri]_[A-Za-z0-9_-]{32,}"), HIDDEN),
    (re.compile(r"\bsk-[A-Za-z0-9_-]{12,}"), HIDDEN),
    (re.compile(r"(\[parameters: |Failing row contains )[^\n]*"), rf"\1{HIDDEN}"),
)
_SUSPECT = re.compile(
    rf"://|bearer|eyJ|sb[fri]_|sk-|PRIVATE KEY|\[parameters|Failing row|{_NAMES}",
    re.IGNORECASE,
)
"""One cheap look that lets most texts pass."""


def redact_text(text: str) -> str:
    """Return ``text`` with every secret in it that has a known shape replaced by ``[hidden]``."""
    if _SUSPECT.search(text):
        for pattern, instead in _PATTERNS:
            text = pattern.sub(instead, text)
    return text


def redact(value: Any, deep: int = 0) -> Any:
    """Return a copy of ``value`` without secrets.

    Parameters
    ----------
    value
        Anything that can become JSON; other objects are turned into text.
    deep
        Levels above; past :data:`DEEPEST` everything is hidden.
    """
    if isinstance(value, str):
        return redact_text(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if deep >= DEEPEST:
        return HIDDEN
    if isinstance(value, Mapping):
        return {redact_text(str(key)): redact_field(str(key), inner, deep + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(inner, deep + 1) for inner in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    return redact_text(str(value))


def redact_field(key: str, value: Any, deep: int = 0) -> Any:
    """Return what may be shown under ``key``."""
    if value is None or isinstance(value, bool) or not _is_secret(key):
        return redact(value, deep)
    if isinstance(value, int | float) and _COUNT.search(key):
        return value
    return HIDDEN


@lru_cache(maxsize=1_000)
def _is_secret(key: str) -> bool:
    """Keys are few and come again with every record."""
    return _KEY.search(key) is not None
