"""The least a FastAPI service does: one route with one small answer. What the real one costs is compared with it."""

from __future__ import annotations

from fastapi import FastAPI
from pydantic import BaseModel


class Bare(BaseModel):
    """That it is so."""

    status: str


app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)


@app.get("/bare")
async def bare() -> Bare:
    """Tell that the process runs."""
    return Bare(status="alive")
