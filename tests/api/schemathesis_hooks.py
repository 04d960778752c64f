"""What schemathesis must not take for a valid request, though the description cannot say so."""

from __future__ import annotations

import unicodedata
from typing import Any
from urllib.parse import unquote

import schemathesis

_INVISIBLE = {"Cc", "Cf", "Zs", "Zl", "Zp"}


def _seen(value: Any) -> bool:
    """Tell whether no text in it consists of invisible characters only: a name or question like that is empty."""
    if isinstance(value, dict):
        return all(_seen(part) for part in value.values())
    if isinstance(value, list):
        return all(_seen(part) for part in value)
    return not isinstance(value, str) or not value or any(unicodedata.category(c) not in _INVISIBLE for c in value)


@schemathesis.hook
def filter_body(context: Any, body: Any) -> bool:
    """Leave out bodies with such texts; tests/api/test_gate.py sends them."""
    return _seen(body)


@schemathesis.hook
def filter_path_parameters(context: Any, path_parameters: Any) -> bool:
    """Likewise for paths, where values may have been quoted already."""
    return _seen({name: unquote(str(value)) for name, value in (path_parameters or {}).items()})
