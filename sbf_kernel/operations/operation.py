"""What an operation is: a value with an HTTP method, a path and a result type."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from sbf_kernel.errors import InvalidInput
from sbf_kernel.operations.refusals import where, why

_BREAKS = re.compile("[\t\n\v\f\r\x85\u2028\u2029]+")
_JOINERS = "\u200c\u200d"
"""They shape the signs beside them: emoji are put together with one, Persian words kept apart by the other."""
_KEPT = "\0" + _JOINERS
_IDLE_JOINER = re.compile(rf"(?<![^\x00-\x7f\s{_JOINERS}])[{_JOINERS}]|[{_JOINERS}](?![^\x00-\x7f\s{_JOINERS}])")
"""One that joins nothing: at an end, or beside a space, a sign of ASCII or another one."""


def composed(text: Any) -> Any:
    """Return a text in NFC, the form in which the same characters are the same bytes; anything else as it is."""
    return unicodedata.normalize("NFC", text) if isinstance(text, str) else text


def one_form(text: Any) -> Any:
    """Bring a name to one line in NFC, without what cannot be seen: control characters, and signs that turn the text.

    So that two names that look the same are the same, and none can pose as
    another. Line breaks and tabs become a space; NUL stays, to be refused.

    Parameters
    ----------
    text
        A name; anything that is no text is returned as it is.
    """
    if not isinstance(text, str):
        return text
    line = _BREAKS.sub(" ", text)
    seen = "".join(c for c in line if c in _KEPT or unicodedata.category(c) not in ("Cc", "Cf"))
    return composed(_IDLE_JOINER.sub("", seen))


def _iso(value: Any) -> Any:
    """Refuse numbers, which would be taken for seconds, and bring a time to UTC, which it has when it names no zone."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError("must look like 2026-11-27T09:30:00Z") from None
    if not isinstance(value, datetime):
        raise ValueError("must look like 2026-11-27T09:30:00Z")
    try:
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError("must be in the years 1 to 9999 of UTC") from None


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300), BeforeValidator(one_form)]
Text = Annotated[str, StringConstraints(max_length=20_000), BeforeValidator(composed)]


def _number(value: Any) -> Any:
    """Refuse texts and truth values, which would be taken for numbers."""
    if isinstance(value, str | bool):
        raise ValueError("must be a number")
    return value


IN_BODY = BeforeValidator(_number)
"""Of a number in a body; in a query every number is text."""
Words = Annotated[str, StringConstraints(max_length=500), BeforeValidator(composed)]
"""What a list is searched for; it stands in the query of a URL."""
LongText = Annotated[str, StringConstraints(max_length=500_000), BeforeValidator(composed)]
Question = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=10_000), BeforeValidator(composed)
]
ModelId = Annotated[str, StringConstraints(max_length=200, pattern=r"^(extractive|[a-z0-9_-]+:\S+|)$")]
"""``provider:name`` or ``extractive``; empty means the default."""
Flag = Annotated[bool, Field(strict=True)]
Moment = Annotated[datetime, BeforeValidator(_iso), Field(json_schema_extra={"format": "date-time"})]
"""A point in time as ISO 8601 writes it; without a zone, UTC."""
Limit = Annotated[int, Field(ge=1, le=100)]
Offset = Annotated[int, Field(ge=0, le=1_000_000)]
Tag = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), BeforeValidator(composed)]
Tags = Annotated[tuple[Tag, ...], Field(max_length=100)]

Access = Literal["viewer", "editor", "owner"]
"""What one may do in a notebook; each includes those before it."""
Rate = Literal["default", "chat", "transformations", "search", "ingestion"]
"""Which allowance of calls per minute an operation counts against."""


class Operation(BaseModel):
    """A request value. ``streams`` operations yield several records, the others return one."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=(), ser_json_bytes="base64"
    )

    method: ClassVar[str]
    path: ClassVar[str]
    result: ClassVar[Any]
    streams: ClassVar[bool] = False
    creates: ClassVar[bool] = False
    """Makes something new: answered with 201; an ``Idempotency-Key`` makes it safe to repeat."""
    access: ClassVar[Access] = "owner"
    """The least role that may do it in a notebook somebody shared."""
    reads: ClassVar[bool] = False
    """Is no GET, yet changes nothing but one's own history: a token that may only read may do it."""
    admin: ClassVar[bool] = False
    """Only administrators may do it."""
    public: ClassVar[bool] = False
    """Needs no token: it is how one gets one."""
    secretive: ClassVar[bool] = False
    """Its answer holds a secret: it is shown once and kept nowhere, not under an ``Idempotency-Key`` either."""
    rate: ClassVar[Rate] = "default"
    cached: ClassVar[bool] = False
    """Its result changes only with the content of the tenant."""

    @field_validator("*")
    @classmethod
    def _storable(cls, value: Any) -> Any:
        """PostgreSQL's text holds any character but NUL."""
        if any(isinstance(part, str) and "\0" in part for part in (value if isinstance(value, tuple) else (value,))):
            raise ValueError("must not contain NUL characters")
        return value


def build(kind: type[Operation], /, **fields: Any) -> Any:
    """Build an operation, with a readable error for wrong values.

    Raises
    ------
    InvalidInput
        Which field is wrong, and why.
    """
    try:
        return kind(**fields)
    except ValidationError as error:
        problem = error.errors()[0]
        raise InvalidInput(
            f"{where(problem['loc'])}: {why(problem)}", hint=f"see help(sbf_kernel.operations.{kind.__name__})"
        ) from error
