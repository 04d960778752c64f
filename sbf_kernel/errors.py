"""Every error SBF raises on purpose, in one tree.

::

    SbfError
    ├── InvalidInput              422  the request itself is wrong
    │   ├── BadRequest            400  it cannot be read at all: no JSON, no such length
    │   └── RequestTooLarge       413  more bytes than are taken
    ├── NotSignedIn               401  no token, or one that is not good (any more)
    ├── Forbidden                 403  known, but not allowed to do this
    ├── NotFound                  404  notebook, source, answer … unknown (or another tenant's)
    ├── Conflict                  409  the state of the object forbids it
    ├── TooManyRequests           429  over the allowance; details["retry_after"] says when again
    ├── Cancelled                 409  somebody asked to stop
    ├── MissingExtra              501  an optional package is not installed; names the cure
    ├── SourceError               422  a source could not be brought in
    │   ├── SourceEncrypted            needs password=, or it was wrong
    │   ├── SourceHasNoText            scan or blank: nothing to index without OCR
    │   ├── SourceEmpty                zero bytes or white space only
    │   ├── SourceBroken               damaged, or not what its name claims
    │   ├── SourceUnsupported          no reader for this kind of content
    │   ├── SourceTooLarge        413  over a size, count or nesting limit (bombs end here)
    │   ├── SourceTimeout              the reader ran out of time
    │   └── SourceCrashed              the reader process died
    ├── FetchError                502  a URL could not be fetched
    │   └── FetchRefused          422  the URL points where SBF does not go
    ├── StoreError                503  the database or blob store failed
    │   ├── StoreUnavailable           cannot connect or start
    │   ├── StoreBusy                  no answer in time
    │   ├── StoreTooOld                PostgreSQL or pgvector below the floor
    │   └── StoreUnsupportedCpu        the bundled pgvector needs another CPU
    ├── ModelError                502  a model failed
    │   ├── ModelUnavailable      503  not installed, not configured, unreachable
    │   └── ModelCorrupt          503  weights do not have the expected hash
    └── RemoteError               502  the service answered something unexpected

Each class owns its wire name (``code``) and HTTP status, so local calls and
the HTTP service report the same error in the same words.
"""

from __future__ import annotations

from typing import Any, ClassVar


class SbfError(Exception):
    """Something SBF was asked to do could not be done.

    Parameters
    ----------
    message
        What happened and to which object.
    hint
        What to do next. Shown after the message.
    details
        JSON-able facts for programs, for example ``source="a.pdf"``.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = self.default_hint if hint is None else hint
        self.details = details

    def __str__(self) -> str:
        return f"{self.message} → {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep hint and details when the error crosses a process border."""
        return _rebuild, (type(self), self.message, self.hint, self.details)

    def as_dict(self) -> dict[str, Any]:
        """Return the wire form: ``code``, ``message``, ``hint``, ``details``."""
        return {"code": self.code, "message": self.message, "hint": self.hint, "details": self.details}


def _rebuild(kind: type[SbfError], message: str, hint: str, details: dict[str, Any]) -> SbfError:
    return kind(message, hint=hint, **details)


class InvalidInput(SbfError):
    """The request itself is wrong."""

    code = "invalid_input"
    status = 422


class BadRequest(InvalidInput):
    """The request cannot be read at all."""

    code = "bad_request"
    status = 400


class RequestTooLarge(InvalidInput):
    """The request has more bytes than are taken."""

    code = "request_too_large"
    status = 413
    default_hint = "send less at once"


class NotSignedIn(SbfError):
    """There is no token, or it is not good (any more)."""

    code = "not_signed_in"
    status = 401
    default_hint = "send Authorization: Bearer with a token that is good"


class Forbidden(SbfError):
    """The user is known, but may not do this."""

    code = "forbidden"
    status = 403


class NotFound(SbfError):
    """The object does not exist, or belongs to somebody else."""

    code = "not_found"
    status = 404


class Conflict(SbfError):
    """The state of the object forbids what was asked."""

    code = "conflict"
    status = 409


class TooManyRequests(SbfError):
    """The allowance of calls per minute is used up; ``details["retry_after"]`` tells the seconds to wait."""

    code = "too_many_requests"
    status = 429
    default_hint = "wait a moment"


class Cancelled(SbfError):
    """The work was stopped on request."""

    code = "cancelled"
    status = 409
    default_hint = "add it again to go on where it stopped"


class MissingExtra(SbfError):
    """An optional package is not installed."""

    code = "missing_extra"
    status = 501


class SourceError(SbfError):
    """A source could not be brought in."""

    code = "source_error"
    status = 422


class SourceEncrypted(SourceError):
    """The source is protected by a password that was missing or wrong."""

    code = "source_encrypted"
    default_hint = "add it again with password="


class SourceHasNoText(SourceError):
    """The source holds pictures only (a scan) or blank pages."""

    code = "source_has_no_text"
    default_hint = "it may be a scan: OCR it first (OCR is an extra that SBF does not bundle)"


class SourceEmpty(SourceError):
    """The source has no content at all."""

    code = "source_empty"
    default_hint = "check that the right file was chosen"


class SourceBroken(SourceError):
    """The source is damaged or not what its name claims."""

    code = "source_broken"
    default_hint = "open it in its own program and save it again"


class SourceUnsupported(SourceError):
    """No reader knows this kind of content."""

    code = "source_unsupported"
    default_hint = "convert it to PDF, DOCX, HTML, Markdown or plain text"


class SourceTooLarge(SourceError):
    """The source exceeds a limit on size, count or nesting."""

    code = "source_too_large"
    status = 413
    default_hint = "split it into smaller sources"


class SourceTimeout(SourceError):
    """Reading took longer than the limit."""

    code = "source_timeout"
    default_hint = "split it into smaller sources"


class SourceCrashed(SourceError):
    """The reader process died while reading this source."""

    code = "source_crashed"
    default_hint = "the file may be malformed; other sources are not affected"


class FetchError(SbfError):
    """A URL could not be fetched."""

    code = "fetch_error"
    status = 502
    default_hint = "check the address and try again"


class FetchRefused(FetchError):
    """The URL points to a place SBF does not go, such as a private network."""

    code = "fetch_refused"
    status = 422
    default_hint = "use a public http(s) address, or download the file and add it from disk"


class StoreError(SbfError):
    """The database or blob store failed."""

    code = "store_error"
    status = 503


class StoreUnavailable(StoreError):
    """The database cannot be reached or started."""

    code = "store_unavailable"


class StoreBusy(StoreError):
    """The database did not answer in time."""

    code = "store_busy"
    default_hint = "try again in a moment"


class StoreTooOld(StoreError):
    """PostgreSQL or pgvector is older than SBF needs."""

    code = "store_too_old"


class StoreUnsupportedCpu(StoreError):
    """The bundled pgvector uses instructions this CPU lacks."""

    code = "store_unsupported_cpu"
    default_hint = "set SBF_DATABASE_URL to a PostgreSQL 15+ server with pgvector 0.8.2+"


class ModelError(SbfError):
    """A model failed."""

    code = "model_error"
    status = 502


class ModelUnavailable(ModelError):
    """A model is not installed, not configured or not reachable."""

    code = "model_unavailable"
    status = 503


class ModelCorrupt(ModelError):
    """Model weights do not have the expected hash."""

    code = "model_corrupt"
    status = 503
    default_hint = "reinstall the package that carries the weights"


class RemoteError(SbfError):
    """The service answered something SBF does not understand."""

    code = "remote_error"
    status = 502


def _tree(kind: type[SbfError]) -> list[type[SbfError]]:
    return [kind, *(leaf for child in kind.__subclasses__() for leaf in _tree(child))]


BY_CODE: dict[str, type[SbfError]] = {kind.code: kind for kind in _tree(SbfError)}
"""Wire name → class; how a remote error becomes the same exception again."""
