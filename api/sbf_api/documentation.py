"""``/docs`` (Swagger UI) and ``/redoc`` (Redoc), with every file from our own origin.

The viewers come out of the package ``fastapi-offline``, located without
importing it. The pages have no inline scripts and all addresses in them are
relative, so they work behind any prefix a proxy puts in front.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from sbf_kernel.errors import MissingExtra

if TYPE_CHECKING:
    from fastapi import FastAPI

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'{styles}; img-src 'self' data:; connect-src 'self'; "
    "worker-src {workers}; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
REDOC_STYLES = (
    " 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' 'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='"
)
"""The two inline styles of Redoc: an empty one that its rules are put into, and one that shapes its scroll bar."""
KEEP = "public, max-age=3600"
"""The files are the same for everybody until the next release."""

_OWN = Path(__file__).parent / "assets"
_PACKAGE = "fastapi_offline"
_BORROWED = ("swagger-ui-bundle.js", "swagger-ui.css", "redoc.standalone.js")
_ASSETS = (*_BORROWED, "docs.js", "redoc.js", "pages.css", "icon.svg")
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_LOGO = b"https://cdn.redoc.ly/redoc/logo-mini.svg"
"""The one thing Redoc loads from elsewhere; it does without when there is none."""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The API of Second Brain Foundation</title>
<link rel="icon" href="assets/icon.svg">
{styles}
</head>
<body>
<div id="page"></div>
{scripts}
</body>
</html>
"""


@dataclass(frozen=True)
class Asset:
    """A file that a page loads."""

    body: bytes
    media_type: str
    etag: str


def install(app: FastAPI) -> None:
    """Serve both pages and what they load."""
    swagger = _page(("swagger-ui.css", "pages.css"), ("swagger-ui-bundle.js", "docs.js"))
    redoc = _page(("pages.css",), ("redoc.standalone.js", "redoc.js"))
    _serve(app, "/docs", swagger, POLICY.format(styles="", workers="'none'"))
    _serve(app, "/redoc", redoc, POLICY.format(styles=REDOC_STYLES, workers="blob:"))  # its search is a worker
    app.add_api_route("/assets/{name}", _send_asset, include_in_schema=False)


def _page(styles: tuple[str, ...], scripts: tuple[str, ...]) -> str:
    return _PAGE.format(
        styles="\n".join(f'<link rel="stylesheet" href="assets/{name}">' for name in styles),
        scripts="\n".join(f'<script src="assets/{name}"></script>' for name in scripts),
    )


def _serve(app: FastAPI, path: str, page: str, policy: str) -> None:
    async def show() -> Response:
        return Response(page, headers={"Content-Security-Policy": policy}, media_type="text/html")

    app.add_api_route(path, show, include_in_schema=False)


async def _send_asset(name: str, request: Request) -> Response:
    if name not in _ASSETS:
        raise HTTPException(404)
    asset = await run_in_threadpool(load, name)
    headers = {"ETag": asset.etag, "Cache-Control": KEEP}
    if request.headers.get("if-none-match") == asset.etag:
        return Response(status_code=304, headers=headers)
    return Response(asset.body, headers=headers, media_type=asset.media_type)


@cache
def load(name: str) -> Asset:
    """Return one of the files.

    Raises
    ------
    MissingExtra
        The package that carries the viewers is not installed.
    """
    folder = _borrowed_folder() if name in _BORROWED else _OWN
    body = (folder / name).read_bytes().replace(_LOGO, b"data:,")
    return Asset(body, _TYPES[Path(name).suffix], f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def _borrowed_folder() -> Path:
    found = find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise MissingExtra("fastapi-offline is not installed", hint="pip install 'sbf-kernel[server]'")
    return Path(found.submodule_search_locations[0]) / "static"
