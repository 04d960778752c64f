"""A JupyterLab server, Chromium, and a page whose every request, error and dialog is counted.

One server for all tests, one browser for those of a module, a page for each.
Chromium is the system's own (``apt install chromium``); nothing is downloaded.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import nbformat
import pytest

from sbf_kernel.records import LOCAL
from sbf_kernel.storage.tenants import purge
from tests.integration.model_server import Provider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from playwright.sync_api import Browser, Locator, Page

    from sbf_kernel.backends.loop import LoopThread
    from sbf_kernel.runtime import Runtime
    from sbf_kernel.workspace import Workspace

pytest.importorskip("playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
START_SECONDS = 90
LEFT_OUT = ("JUPYTER", "SBF_", "COVERAGE")
READY = """() => { const panel = window.jupyterapp?.shell?.currentWidget, context = panel?.sessionContext, kernel = context?.session?.kernel;
  return !!(panel?.context?.isReady && context?.isReady && kernel && kernel.connectionStatus === 'connected' && kernel.status === 'idle'); }"""
RUN = """() => { window.sbfRun = 'runs';
  jupyterapp.commands.execute('notebook:run-all-cells').then(() => window.sbfRun = 'done', error => window.sbfRun = 'failed: ' + error) }"""
QUIET = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a browser where there is none."""
    if CHROMIUM is None:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="Chromium is not installed"))


@dataclass
class Lab:
    """A running JupyterLab."""

    url: str
    token: str
    root: Path

    def write(self, name: str, *cells: str, kernel: str = "python3") -> None:
        """Write a Jupyter notebook with these code cells."""
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell, id=f"cell-{at}") for at, cell in enumerate(cells)],
            metadata={"kernelspec": {"name": kernel, "display_name": kernel, "language": "python"}},
        )
        nbformat.write(notebook, self.root / name)

    def address(self, name: str, *, kept: bool = False) -> str:
        """Return the address of a file in the Lab; ``kept`` leaves the layout of before."""
        return f"{self.url}lab/tree/{quote(name)}?{'' if kept else 'reset&'}token={self.token}"

    def request(self, method: str, path: str) -> Any:
        """Ask the server's own API."""
        asked = urllib.request.Request(self.url + path, method=method, headers={"Authorization": f"token {self.token}"})
        with urllib.request.urlopen(asked, timeout=30) as answer:
            body = answer.read()
        return json.loads(body) if body else None

    def end_kernels(self) -> None:
        """End all kernels."""
        for session in self.request("GET", "api/sessions"):
            self.request("DELETE", f"api/sessions/{session['id']}")


@dataclass
class Observed:
    """What a page did that it should not."""

    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Note errors, requests to other machines, and dialogs of the browser."""
        page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self._request(request.url))
        page.on("websocket", lambda opened: self._request(opened.url))
        page.on("dialog", self._dialog)

    def _request(self, url: str) -> None:
        place = urlsplit(url)
        if place.scheme in ("http", "https", "ws", "wss") and place.hostname != "127.0.0.1":
            self.foreign.append(url)

    def _dialog(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()


def start_lab(
    folder: Path,
    home: Path,
    *,
    base_url: str = "/",
    command: Sequence[str] = (sys.executable, "-m", "jupyterlab"),
    **more: str,
) -> tuple[Lab, subprocess.Popen[bytes]]:
    """Start a JupyterLab whose kernels work in ``home``, with no settings of the user's own; ``more`` is its environment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    root, settings = folder / "root", folder / "settings"
    root.mkdir(parents=True)
    quiet = settings / "@jupyterlab" / "apputils-extension"
    quiet.mkdir(parents=True)
    (quiet / "notification.jupyterlab-settings").write_text(json.dumps(QUIET))
    token = secrets.token_hex(16)
    # Nor does coverage look at what a browser waits for.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)} | {
        "SBF_HOME": str(home),
        "JUPYTER_TOKEN": token,
        "JUPYTERLAB_SETTINGS_DIR": str(settings),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        **{
            name: str(folder / name.lower())
            for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
        },
        "IPYTHONDIR": str(folder / "ipython"),
        **more,
    }
    options = [
        "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={root}", f"--ServerApp.base_url={base_url}", "--ServerApp.terminals_enabled=False",
        "--LabApp.expose_app_in_browser=True", "--LabApp.news_url=", "--LabApp.extension_manager=readonly",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--JupyterNotebookApp.expose_app_in_browser=True",
    ]  # fmt: skip
    with open(folder / "lab.log", "wb") as log:
        process = subprocess.Popen([*command, *options], env=environment, stdout=log, stderr=log, cwd=folder)
    lab = Lab(f"http://127.0.0.1:{port}{base_url}", token, root)
    _await(lab, process, folder / "lab.log")
    return lab, process


def _await(lab: Lab, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with suppress(OSError):
            lab.request("GET", "api/status")
            return
        assert process.poll() is None and time.monotonic() < deadline, log.read_text(errors="replace")[-4_000:]
        time.sleep(0.2)


def stop_lab(lab: Lab, process: subprocess.Popen[bytes]) -> None:
    """End a JupyterLab with its kernels."""
    with suppress(OSError):
        lab.end_kernels()
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory, home: Path, runtime: Runtime) -> Iterator[Lab]:
    """A JupyterLab at ``/``; its kernels share the tests' database."""
    opened, process = start_lab(tmp_path_factory.mktemp("lab"), home)
    yield opened
    stop_lab(opened, process)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser. Not pytest-playwright's, which would keep its event loop until the last test of the session."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def observed() -> Observed:
    return Observed()


@pytest.fixture
def tab(chromium: Browser, observed: Observed) -> Iterator[Page]:
    """A page; at the end there must have been no error, no foreign request and no dialog."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    observed.watch(page)
    yield page
    context.close()
    assert observed == Observed()


@pytest.fixture
def mine(open_workspace: Callable[..., Workspace], runtime: Runtime, loop: LoopThread) -> Workspace:
    """The workspace that the kernels get from ``sbf.connect()``, with nothing in it that other tests left."""
    loop.run(purge(runtime.db, LOCAL))
    return open_workspace("local", LOCAL)


@pytest.fixture
def run(lab: Lab, tab: Page) -> Iterator[Callable[..., Locator]]:
    """Open a notebook with these cells in the Lab and run them; gives its panel."""

    def run(name: str, *cells: str) -> Locator:
        lab.write(name, *cells)
        open_in_lab(tab, lab, name)
        tab.evaluate(RUN)
        tab.wait_for_function("() => window.sbfRun !== 'runs'", timeout=90_000)
        assert tab.evaluate("() => window.sbfRun") == "done"
        return tab.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")

    yield run
    lab.end_kernels()


def open_in_lab(page: Page, lab: Lab, name: str, *, kept: bool = False) -> None:
    """Open a notebook and wait until its kernel is there."""
    page.goto(lab.address(name, kept=kept))
    page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=60_000)
    page.wait_for_function(READY, timeout=60_000)


def set_theme(page: Page, theme: str) -> None:
    """Switch the Lab to ``light`` or ``dark``."""
    page.evaluate(
        "name => jupyterapp.commands.execute('apputils:change-theme', { theme: name })", f"JupyterLab {theme.title()}"
    )
    page.wait_for_function(
        "light => document.body.dataset.jpThemeLight === light", arg="true" if theme == "light" else "false"
    )


def picture(place: Locator, name: str) -> None:
    """Keep a picture of what is seen, to be looked at."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    place.screenshot(path=SCREENSHOTS / f"{name}.png")


def violations(page: Page, selector: str) -> list[str]:
    """Return what axe-core finds serious or critical inside ``selector``."""
    import axe_playwright_python

    page.evaluate(Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate(
        "selector => axe.run(document.querySelector(selector), { resultTypes: ['violations'] })", selector
    )
    return [
        f"{problem['id']}: {node['html'][:200]} {node.get('failureSummary', '')[:300]}"
        for problem in found["violations"]
        if problem["impact"] in ("serious", "critical")
        for node in problem["nodes"]
    ]


@pytest.fixture(scope="session")
def provider() -> Iterator[Provider]:
    running = Provider()
    yield running
    running.close()


@pytest.fixture(scope="session")
def hub_lab(
    tmp_path_factory: pytest.TempPathFactory, home: Path, runtime: Runtime, provider: Provider
) -> Iterator[Lab]:
    """A JupyterLab under the base URL that a hub gives, with a language model."""
    model = {"SBF_MODEL": "openai:fake-1", "SBF_MODEL_BASE_URL": provider.url, "SBF_MODEL_API_KEY": "key"}
    opened, process = start_lab(tmp_path_factory.mktemp("hub"), home, base_url="/user/ann/", **model)
    yield opened
    stop_lab(opened, process)
