"""How values cross between SBF and its reader processes: data only, never code.

Not pickle: the child parses hostile files, so its answer is as hostile as the
file once a parser bug is exploited, and unpickling calls whatever the bytes
name. A *restricted* unpickler still runs ``__setstate__`` and attribute
assignment on the classes it allows and lets a few bytes reserve gigabytes.
MessagePack knows numbers, text, bytes, lists and maps. A dataclass crosses as
its name and its fields; the receiver looks the name up in its own list and
builds the object with pydantic, so even the types of the fields are right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import msgpack  # type: ignore[import-untyped, unused-ignore]

from sbf_kernel.errors import BY_CODE, SbfError

RECORD = 1
"""Extension code of a dataclass or pydantic model: ``[name, fields]``."""
SPILLED = 2
"""Extension code of large bytes left in a file of the child's directory: the file's name. Requests only."""

MAX_ITEMS = 10_000_000
"""Longest list or map accepted: msgpack reserves eight bytes per *announced* item, present or not."""

Names = Callable[[str], type[Any]]


def name_of(kind: type[Any]) -> str:
    """Return the name under which a record class crosses."""
    return f"{kind.__module__}:{kind.__qualname__}"


def pack(value: Any) -> bytes:
    """Encode None, bool, int (64 bit), float, str, bytes, list, tuple, dict, dataclasses and pydantic models.

    Tuples arrive as lists, except inside a record, whose fields have types.

    Raises
    ------
    TypeError, OverflowError
        For anything else; the message names the type.
    """
    packed: bytes = msgpack.packb(value, default=_record, unicode_errors="surrogatepass")
    return packed


def _record(value: Any) -> msgpack.ExtType:
    body = [name_of(type(value)), _fields(value)]
    return msgpack.ExtType(RECORD, msgpack.packb(body, default=_fields, unicode_errors="surrogatepass"))


def _fields(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"a {type(value).__qualname__} cannot cross the border of a reader process")


def unpack(data: bytes, names: Names, read_spilled: Callable[[str], bytes] | None = None) -> Any:
    """Decode what :func:`pack` made.

    Parameters
    ----------
    data
        The bytes, trusted or not.
    names
        Record name → class; raises ``KeyError`` for one that is not allowed.
    read_spilled
        Reads a spilled payload by its name. None refuses them.

    Raises
    ------
    ValueError
        If the bytes are not an encoding, or name a record that is not allowed
        or whose fields have wrong types.
    """

    def extension(code: int, body: bytes) -> Any:
        if code == SPILLED and read_spilled is not None:
            return read_spilled(body.decode())
        if code != RECORD:
            raise ValueError(f"unknown extension {code}")
        name, values = _plain(body)
        return _adapter(names(name)).validate_python(values)

    try:
        return _plain(data, extension)
    except (ValueError, KeyError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise ValueError(f"not an acceptable message: {type(error).__name__}: {str(error)[:200]}") from error


def _plain(data: bytes, extension: Callable[[int, bytes], Any] = msgpack.ExtType) -> Any:
    return msgpack.unpackb(
        data,
        ext_hook=extension,
        strict_map_key=False,
        unicode_errors="surrogatepass",
        max_array_len=MAX_ITEMS,
        max_map_len=MAX_ITEMS,
    )


_ADAPTERS: dict[type[Any], Any] = {}


def _adapter(kind: type[Any]) -> Any:
    from pydantic import TypeAdapter

    if kind not in _ADAPTERS:  # building one takes milliseconds, using it microseconds
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def spilled(name: str) -> msgpack.ExtType:
    """Return what to put in the place of bytes that were written to the file ``name``."""
    return msgpack.ExtType(SPILLED, name.encode())


def allow(kinds: tuple[type[Any], ...]) -> Names:
    """Return a lookup that knows exactly these classes."""
    known = {name_of(kind): kind for kind in kinds}
    return known.__getitem__


def error_from(wire: Mapping[str, Any]) -> SbfError:
    """Build the SBF error that ``as_dict()`` described; an unknown code becomes a plain :class:`SbfError`."""
    kind = BY_CODE.get(str(wire.get("code")), SbfError)
    error = kind(str(wire.get("message", "")), hint=str(wire.get("hint", "")))
    details = wire.get("details")
    error.details = {str(key): value for key, value in details.items()} if isinstance(details, dict) else {}
    return error
