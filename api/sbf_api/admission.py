"""Who sends a request, whether they may, and how often: asked before any of its body is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sbf_api.service import within
from sbf_kernel.accounts import permissions, principals
from sbf_kernel.errors import NotSignedIn, TooManyRequests

if TYPE_CHECKING:
    from starlette.requests import Request

    from sbf_api.limits import Allowance, Kind
    from sbf_api.service import Service
    from sbf_kernel.operations import Operation
    from sbf_kernel.records import Principal


async def admit(service: Service, request: Request, kind: type[Operation]) -> Principal:
    """Return who asks; counts the call.

    Raises
    ------
    NotSignedIn
        No token, or one that is not good.
    Forbidden
        The user or token may not do this at all.
    TooManyRequests
        Over the allowance.
    """
    known = not kind.public or (kind.method == "GET" and "authorization" in request.headers)
    principal = await _counted(service, request) if known else permissions.ANONYMOUS
    permissions.require(principal, kind)
    # Without a token each operation counts for itself: who looks at the health may still sign in.
    key = principal.user_id if principal is not permissions.ANONYMOUS else f"{kind.__name__}:{_address(request)}"
    allowance = await service.limiter.take(kind.rate, key)
    request.scope["sbf.allowance"] = allowance
    request.scope["sbf.user"] = principal.user_id
    refuse(allowance, f"{kind.rate} calls")
    return principal


async def _counted(service: Service, request: Request) -> Principal:
    """Return whose token the request carries; one that is not good counts against its address.

    Good ones are neither counted nor refused: many may come from one address.
    """
    try:
        return await identify(service, request)
    except NotSignedIn:
        if "authorization" in request.headers:
            await _count(service, request, "bad_tokens", _address(request), "tokens that are not good")
        raise


async def identify(service: Service, request: Request) -> Principal:
    """Return whose token the request carries.

    Raises
    ------
    NotSignedIn
        No token, or one that is not good any more.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotSignedIn("there is no token")
    found: Principal = await within(
        service.settings.request_seconds, principals.authenticate(service.runtime, token.strip())
    )
    return found


async def count_password(service: Service, request: Request, whose: str) -> None:
    """Count a password against its account and against its address, before it is looked at.

    Parameters
    ----------
    whose
        The account: by its name for who signs in, by its id for who has done so.

    Raises
    ------
    TooManyRequests
        Over either allowance.
    """
    for key in (whose, f"address:{_address(request)}"):
        await _count(service, request, "sign_in", key, "passwords")


async def _count(service: Service, request: Request, kind: Kind, key: str, what: str) -> None:
    """Count an attempt; the answer to a refused one tells the allowance that refused it."""
    allowance = await service.limiter.take(kind, key)
    if allowance.retry_after is not None:
        request.scope["sbf.allowance"] = allowance
    refuse(allowance, what)


def refuse(allowance: Allowance, what: str) -> None:
    """Raise :class:`TooManyRequests` when the allowance is used up."""
    if allowance.retry_after is not None:
        raise TooManyRequests(
            f"more than {allowance.limit} {what} in a minute",
            hint=f"wait {allowance.retry_after} seconds",
            retry_after=allowance.retry_after,
        )


def headers(allowance: Allowance | None) -> dict[str, str]:
    """Return what tells a client how much is left."""
    if allowance is None:
        return {}
    return {
        "X-RateLimit-Limit": str(allowance.limit),
        "X-RateLimit-Remaining": str(allowance.remaining),
        "X-RateLimit-Reset": str(allowance.reset_seconds),
    }


def _address(request: Request) -> str:
    return request.client.host if request.client else "unknown"
