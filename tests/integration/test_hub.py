"""Tokens of a JupyterHub, which a small server here speaks for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from aiohttp import web

from sbf_kernel.accounts import authenticate, tokens, users
from sbf_kernel.accounts.gate import gate_of
from sbf_kernel.errors import NotSignedIn, RemoteError
from sbf_kernel.runtime import Runtime
from sbf_kernel.settings import Settings
from sbf_kernel.storage.database import Database

if TYPE_CHECKING:
    from pathlib import Path

SCOPES = ("access:services!service=sbf",)


class Hub:
    """What it says of each token, and what it was asked."""

    def __init__(self) -> None:
        self.says: dict[str, tuple[int, Any]] = {}
        self.asked: list[str] = []
        self.url = ""

    async def user(self, request: web.Request) -> web.Response:
        scheme, _, token = request.headers["Authorization"].partition(" ")
        assert scheme == "token"
        self.asked.append(token)
        status, body = self.says.get(token, (403, {"status": 403, "message": "Forbidden"}))
        if isinstance(body, str):
            return web.Response(status=status, text=body, headers={"Location": "/elsewhere"})
        return web.json_response(body, status=status)

    def knows(self, token: str, **changes: Any) -> str:
        name = f"Ann-{uuid4().hex}"
        said = {"kind": "user", "name": name, "admin": True, "groups": [], "scopes": [*SCOPES, "self"]}
        self.says[token] = (200, said | changes)
        return name


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    made = Hub()
    app = web.Application()
    app.router.add_get("/hub/api/user", made.user)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hub/api/"
    yield made
    await runner.cleanup()


@pytest.fixture
async def service(runtime: Runtime, hub: Hub) -> AsyncIterator[Runtime]:
    """A runtime on the same database, of a deployment with a hub."""
    settings = runtime.settings.model_copy(update={"jupyterhub_api_url": hub.url, "jupyterhub_access_scopes": SCOPES})
    made = replace(runtime, settings=settings, db=Database(runtime.db.conninfo, None, settings))
    yield made
    await made.db.close()


async def test_a_token_of_the_hub_makes_a_member_once_and_is_asked_for_once_a_minute(
    service: Runtime, hub: Hub
) -> None:
    name = hub.knows("t1")
    first = await authenticate(service, "t1")
    assert (first.roles, hub.asked) == (("member",), ["t1"])
    assert await authenticate(service, "t1") == first
    assert hub.asked == ["t1"]
    me = await users.me(service, first)
    assert (me.name, me.role) == (f"hub:{name}", "member")
    hub.knows("t2", name=name)
    assert await authenticate(service, "t2") == first  # another token of the same user


async def test_a_user_who_is_suspended_here_is_out_whatever_the_hub_says(service: Runtime, hub: Hub) -> None:
    hub.knows("t")
    principal = await authenticate(service, "t")
    me = await users.me(service, principal)
    other = replace(service, db=Database(service.db.conninfo, None, service.settings))  # another process
    assert await authenticate(other, "t") == principal
    await users.update(service, me.id, status="suspended")
    began = time.monotonic()
    with pytest.raises(NotSignedIn):
        await authenticate(service, "t")
    while await _is_taken(other, "t"):
        assert time.monotonic() - began < 5
        await asyncio.sleep(0.05)
    await other.db.close()
    await users.update(service, me.id, status="active", role="admin")
    assert (await authenticate(service, "t")).roles == ("admin",)


async def _is_taken(runtime: Runtime, bearer: str) -> bool:
    try:
        await authenticate(runtime, bearer)
    except NotSignedIn:
        return False
    return True


@pytest.mark.parametrize(
    "said",
    [{"scopes": []}, {"scopes": ["self"]}, {"scopes": ["access:services!service=other"]}, {"scopes": None},
     {"kind": "service"}, {"name": ""}, {"name": "x" * 301}, {"name": "a\nb"}, {"name": "nul\0"}],
    ids=str,
)  # fmt: skip
async def test_a_token_that_is_not_for_us_is_refused(service: Runtime, hub: Hub, said: dict[str, Any]) -> None:
    hub.knows("t", **said)
    with pytest.raises(NotSignedIn) as caught:
        await authenticate(service, "t")
    assert caught.value.as_dict() == tokens.refused().as_dict()
    assert hub.asked == ["t"]


async def test_a_wider_scope_is_enough(service: Runtime, hub: Hub) -> None:
    hub.knows("t", scopes=["access:services"])
    assert await authenticate(service, "t")


async def test_what_the_hub_does_not_know_is_refused_in_the_same_words(service: Runtime, hub: Hub) -> None:
    with pytest.raises(NotSignedIn) as caught:
        await authenticate(service, "unknown")
    assert caught.value.as_dict() == tokens.refused().as_dict()


@pytest.mark.parametrize(
    "answer",
    [(500, {}), (200, "<html>"), (200, []), (200, {"name": 5}), (302, "elsewhere"), (200, "[" * 100_000),
     (200, " " * 1_100_000), (200, {"name": "x", "scopes": [{}]})],
    ids=["500", "html", "list", "number", "redirect", "deep", "endless", "scopes"],
)  # fmt: skip
async def test_nonsense_from_the_hub_is_its_fault_and_lets_nobody_in(service: Runtime, hub: Hub, answer: Any) -> None:
    hub.says["t"] = answer
    with pytest.raises(RemoteError, match="JupyterHub"):
        await authenticate(service, "t")
    assert hub.asked == ["t"]  # a redirect is not followed, least of all with the token


async def test_our_own_tokens_are_never_shown_to_the_hub(service: Runtime, hub: Hub) -> None:
    claims = tokens.Claims(uuid4(), uuid4(), 0)
    ours = (
        tokens.issue(gate_of(service).keys, claims),
        tokens.issue({"other": b"k" * 32}, claims),
        *(tokens.new_secret(prefix) for prefix in (tokens.API, tokens.REFRESH, tokens.INVITATION)),
    )
    for token in (*ours, "with space", "line\r\nbreak", "é", "", "x" * 5_000):
        with pytest.raises(NotSignedIn):
            await authenticate(service, token)
    assert hub.asked == []


async def test_a_hub_that_is_away_is_told(service: Runtime, runtime: Runtime) -> None:
    settings = service.settings.model_copy(update={"jupyterhub_api_url": "http://127.0.0.1:1/hub/api"})
    with pytest.raises(RemoteError, match="JupyterHub"):
        await authenticate(replace(service, settings=settings, db=service.db), "t")


async def test_without_a_hub_nothing_is_asked(service: Runtime, hub: Hub) -> None:
    hub.knows("t")
    settings = service.settings.model_copy(update={"jupyterhub_api_url": ""})
    with pytest.raises(NotSignedIn):
        await authenticate(replace(service, settings=settings), "t")
    assert hub.asked == []


def test_the_scopes_are_those_the_hub_tells_its_services(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JUPYTERHUB_OAUTH_ACCESS_SCOPES", '["access:services!service=sbf"]')
    assert Settings(home=tmp_path).jupyterhub_access_scopes == SCOPES
    monkeypatch.setenv("SBF_JUPYTERHUB_ACCESS_SCOPES", '["a", "b"]')
    assert Settings(home=tmp_path).jupyterhub_access_scopes == ("a", "b")
    assert Settings(home=tmp_path, jupyterhub_access_scopes=("c",)).jupyterhub_access_scopes == ("c",)
