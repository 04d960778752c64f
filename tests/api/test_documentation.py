"""``/docs`` and ``/redoc``: no file from elsewhere, no inline script, and a real browser shows them without a complaint."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.testclient import TestClient

from sbf_api import documentation, problems
from sbf_api.headers import SecurityHeaders
from sbf_api.settings import ServiceSettings
from sbf_kernel.errors import MissingExtra

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--window-size=1280,1000",
    "--remote-debugging-port=0",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
PREFIX = "/research/sbf"
PAGES = ("/docs", "/redoc")


class Note(BaseModel):
    title: str
    tags: list[str] = []


def make_app() -> FastAPI:
    app = FastAPI(title="A small API", docs_url=None, redoc_url=None)

    @app.post("/notes", tags=["notes"], description="Make a **note**.\n\n```python\nnote = 1\n```")
    async def create(note: Note) -> Note:
        return note

    problems.install(app)
    documentation.install(app)
    app.add_middleware(SecurityHeaders, settings=ServiceSettings())
    return app


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(make_app()) as client:
        yield client


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_no_inline_script_and_loads_only_what_we_serve(client: TestClient, path: str) -> None:
    page = client.get(path)
    assert page.status_code == 200
    assert "script-src 'self';" in page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert re.findall(r"<script(?! src=\"assets/[\w.-]+\"></script>)", page.text) == []
    assert not re.search(r"\son\w+=|<style|style=|//", page.text)
    named = re.findall(r"(?:src|href)=\"([^\"]+)\"", page.text)
    assert len(named) >= 4
    for name in named:
        asset = client.get(f"/{name}")
        assert asset.status_code == 200
        assert len(asset.content) > 20
        assert asset.headers["cache-control"] == documentation.KEEP
        assert asset.headers["x-content-type-options"] == "nosniff"


def test_an_asset_is_sent_once_and_then_found_unchanged(client: TestClient) -> None:
    first = client.get("/assets/redoc.standalone.js")
    again = client.get("/assets/redoc.standalone.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert b"cdn.redoc.ly" not in first.content


@pytest.mark.parametrize("name", ["nothing.js", "..%2fsettings.py", "%2e%2e/settings.py", "favicon.png", "docs.js%00"])
def test_nothing_but_the_files_of_the_pages_is_served(client: TestClient, name: str) -> None:
    assert client.get(f"/assets/{name}").status_code == 404


def test_a_missing_package_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documentation, "_PACKAGE", "a_package_that_is_not_there")
    documentation.load.cache_clear()
    with pytest.raises(MissingExtra, match="pip install 'sbf-kernel\\[server\\]'"):
        documentation.load("swagger-ui.css")
    with TestClient(make_app()) as client:
        assert client.get("/docs").status_code == 200
        assert client.get("/assets/swagger-ui.css").json()["code"] == "missing_extra"
    documentation.load.cache_clear()


class Prefixed:
    """What a proxy does that shows a service under a prefix and takes it off again."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            if not scope["path"].startswith(PREFIX + "/"):
                await send({"type": "http.response.start", "status": 404, "headers": []})
                await send({"type": "http.response.body", "body": b"not under the prefix"})
                return
            path = scope["path"].removeprefix(PREFIX)
            scope = {**scope, "path": path, "raw_path": path.encode()}
        await self.app(scope, receive, send)


@pytest.fixture(scope="module", params=["", PREFIX], ids=["at the root", "behind a prefix"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    app: Any = make_app()
    if request.param:
        app = Prefixed(app)
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}{request.param}"
    server.should_exit = True
    thread.join()
    listening.close()


class Browser:
    """What a page does in Chromium, seen over its debugging protocol."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._sent = 0
        self.requests: list[str] = []
        self.complaints: list[str] = []

    async def ask(self, method: str, **parameters: Any) -> Any:
        self._sent += 1
        await self._socket.send_json({"id": self._sent, "method": method, "params": parameters})
        while True:
            message = await self._socket.receive_json(timeout=60)
            if message.get("id") == self._sent:
                assert "error" not in message, message
                return message["result"]
            self._note(message.get("method"), message.get("params", {}))

    def _note(self, event: str | None, told: dict[str, Any]) -> None:
        if event == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif event == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
        elif event == "Runtime.consoleAPICalled" and told["type"] in ("error", "assert"):
            self.complaints.append(str(told["args"]))
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(str(told["exceptionDetails"]))

    async def text(self) -> str:
        shown = await self.ask("Runtime.evaluate", expression="document.body.innerText", returnByValue=True)
        return str(shown["result"].get("value", ""))


@contextlib.asynccontextmanager
async def browser(profile: Path) -> Any:
    assert CHROMIUM is not None
    process = subprocess.Popen(
        [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        ready = profile / "DevToolsActivePort"
        for _ in range(600):
            if ready.exists() and "\n" in ready.read_text():
                break
            await asyncio.sleep(0.1)
        port = ready.read_text().split("\n")[0]
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                page = next(target for target in await answer.json() if target["type"] == "page")
            async with session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as connected:
                yield Browser(connected)
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("path", PAGES)
async def test_a_browser_shows_the_page_without_a_complaint_and_asks_nobody_else(
    address: str, path: str, tmp_path: Path
) -> None:
    async with browser(tmp_path / "profile") as page:
        for domain in ("Page", "Network", "Log", "Runtime"):
            await page.ask(f"{domain}.enable")
        await page.ask("Page.navigate", url=address + path)
        async with asyncio.timeout(60):
            while "/notes" not in await page.text():
                await asyncio.sleep(0.1)
        if path == "/docs":  # open the operation and try it, as a reader would
            for selector in (".opblock-summary-control", ".try-out__btn", "button.execute"):
                click = f"document.querySelector({selector!r})?.click() ?? !!document.querySelector({selector!r})"
                async with asyncio.timeout(30):
                    while not (await page.ask("Runtime.evaluate", expression=click))["result"].get("value"):
                        await asyncio.sleep(0.1)
            async with asyncio.timeout(30):
                while "Response headers" not in await page.text() and "Server response" not in await page.text():
                    await asyncio.sleep(0.1)
        await asyncio.sleep(1)
        picture = await page.ask("Page.captureScreenshot", format="png")
        (tmp_path / "page.png").write_bytes(base64.b64decode(picture["data"]))
        assert page.complaints == []
        assert len(page.requests) >= 5
        assert [url for url in page.requests if not url.startswith((address, "data:", f"blob:{address[:20]}"))] == []
