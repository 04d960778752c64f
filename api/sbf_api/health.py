"""Probes for whoever starts and stops the service: is it alive, is it ready."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from sbf_api import problems
from sbf_api.service import within
from sbf_kernel.errors import SbfError

READY_SECONDS = 1.0
"""A database that takes longer is not ready."""


class Probe(BaseModel):
    """That it is so."""

    status: str


def probes() -> APIRouter:
    """Return ``/health/live`` and ``/health/ready``, for GET and HEAD; neither needs a token."""
    made = APIRouter(tags=["service"])
    made.add_api_route(
        "/health/live",
        live,
        response_model=Probe,
        operation_id="Live",
        summary="Tell that the process runs",
        description="Touches nothing else: an orchestrator restarts what does not answer here.",
    )
    made.add_api_route(
        "/health/ready",
        ready,
        response_model=Probe,
        responses={503: {"description": "not ready"}},
        operation_id="Ready",
        summary="Tell whether requests can be served",
        description="Asks the database. 503 while it is away: send traffic elsewhere meanwhile.",
    )
    for path, probe in (("/health/live", live), ("/health/ready", ready)):
        made.add_api_route(path, probe, methods=["HEAD"], response_model=None, include_in_schema=False)
    return made


async def live() -> Probe:
    """Tell that the process runs."""
    return Probe(status="alive")


async def ready(request: Request) -> Response:
    """Tell whether the database answers."""
    try:
        await within(READY_SECONDS, request.app.state.service.runtime.db.epoch(""))
    except SbfError as error:
        return problems.respond(problems.known(error))
    return Response(Probe(status="ready").model_dump_json(), media_type="application/json")
