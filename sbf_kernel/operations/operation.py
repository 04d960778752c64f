"""What an operation is: a value with an HTTP method, a path and a result type."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from sbf_kernel.errors import InvalidInput


def _one_form(text: Any) -> Any:
    """Bring a name to NFC and leave out what cannot be seen: control characters, and signs that turn the text.

    So that two names that look the same are the same, and none can pose as another.
    """
    if not isinstance(text, str):
        return text
    return "".join(
        c for c in unicodedata.normalize("NFC", text) if c == "\0" or unicodedata.category(c) not in ("Cc", "Cf")
    )


def _iso(value: Any) -> Any:
    """Refuse numbers, which would be taken for seconds, and give a time without a zone one."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError("must look like 2026-11-27T09:30:00Z") from None
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    raise ValueError("must look like 2026-11-27T09:30:00Z")


Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300), BeforeValidator(_one_form)
]
Text = Annotated[str, StringConstraints(max_length=20_000)]


def _number(value: Any) -> Any:
    """Refuse texts and truth values, which would be taken for numbers."""
    if isinstance(value, str | bool):
        raise ValueError("must be a number")
    return value


IN_BODY = BeforeValidator(_number)
"""Of a number in a body; in a query every number is text."""
Words = Annotated[str, StringConstraints(max_length=500)]
"""What a list is searched for; it stands in the query of a URL."""
LongText = Annotated[str, StringConstraints(max_length=500_000)]
Question = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=10_000)]
ModelId = Annotated[str, StringConstraints(max_length=200, pattern=r"^(extractive|[a-z0-9_-]+:\S+|)$")]
"""``provider:name`` or ``extractive``; empty means the default."""
Flag = Annotated[bool, Field(strict=True)]
Moment = Annotated[datetime, BeforeValidator(_iso), Field(json_schema_extra={"format": "date-time"})]
"""A point in time as ISO 8601 writes it; without a zone, UTC."""
Limit = Annotated[int, Field(ge=1, le=100)]
Offset = Annotated[int, Field(ge=0, le=1_000_000)]
Tags = Annotated[
    tuple[Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)], ...],
    Field(max_length=100),
]

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
        where = ".".join(map(str, problem["loc"]))
        raise InvalidInput(
            f"{where}: {problem['msg']}", hint=f"see help(sbf_kernel.operations.{kind.__name__})"
        ) from error
