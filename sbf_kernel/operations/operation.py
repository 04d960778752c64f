"""What an operation is: a value with an HTTP method, a path and a result type."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from sbf_kernel.errors import InvalidInput

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]
Text = Annotated[str, StringConstraints(max_length=20_000)]
LongText = Annotated[str, StringConstraints(max_length=500_000)]
Question = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=10_000)]
ModelId = Annotated[str, StringConstraints(max_length=200)]
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


def build(kind: type[Operation], **fields: Any) -> Any:
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
