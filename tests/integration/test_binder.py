"""Binder: what repo2docker would build, and what its scripts do in an empty environment."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(
    ".venv", ".git", "node_modules", "__pycache__", ".*_cache", "build", "dist", ".hypothesis"
)
OFFLINE = ("dns error", "failed to lookup", "Connection refused", "Network is unreachable", "Temporary failure in name")
QUICKSTART = "/lab/tree/notebooks/00_quickstart.ipynb"


def test_repo2docker_takes_our_python_our_script_and_our_start() -> None:
    pytest.importorskip("repo2docker")
    command = [sys.executable, "-m", "repo2docker", "--no-build", "--no-run", "--debug", str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    told = done.stdout + done.stderr
    assert done.returncode == 0, told[-2000:]
    for wanted in ("./binder/postBuild", "python=3.12", "R2D_ENTRYPOINT", "binder/start", "binder/requirements.txt"):
        assert wanted in told, wanted


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A copy of the checkout, and an empty environment in which its postBuild ran."""
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        pytest.skip("needs uv")
    place = tmp_path_factory.mktemp("binder")
    checkout, venv, tools = place / "checkout", place / "venv", place / "tools"
    shutil.copytree(ROOT, checkout, ignore=LEFT_OUT)
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(venv)], check=True, timeout=100)
    tools.mkdir()
    (tools / "uv").symlink_to(uv)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SBF_", "JUPYTER", "PYTHON", "VIRTUAL"))
    }
    environment = {
        **kept, "PATH": f"{venv}/bin:{tools}:/usr/bin:/bin", "HOME": str(place), "UV_NATIVE_TLS": "1",
        "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache" / "uv")),
    }  # fmt: skip
    done = subprocess.run(
        ["binder/postBuild"], cwd=checkout, env=environment, capture_output=True, text=True, timeout=590
    )
    if done.returncode and any(words in done.stderr for words in OFFLINE):
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, done.stderr[-3000:]
    return checkout, environment


@pytest.mark.timeout(900)
def test_an_empty_environment_gets_everything_and_opens_the_quickstart(built: tuple[Path, dict[str, str]]) -> None:
    checkout, environment = built

    def output(*command: str) -> str:
        done = subprocess.run(
            ["binder/start", *command], cwd=checkout, env=environment, capture_output=True, text=True, timeout=200
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    kernels = json.loads(output("jupyter", "kernelspec", "list", "--json").partition("{")[2].join(["{", ""]))[
        "kernelspecs"
    ]
    assert kernels["sbf"]["spec"]["display_name"] == "Second Brain (Python 3)"
    assert "sbf-lab" in output("jupyter", "labextension", "list")
    templates = output("sbf", "report", "list")
    assert {"brief", "literature_review", "reading_list", "what_changed"} <= set(templates.split())
    script = "import anywidget, papermill, fastapi; from sbf_kernel import widgets; print(widgets.ChatBox.__name__)"
    assert "ChatBox" in output("python", "-c", script)
    prefix = Path(environment["PATH"].partition(":")[0]).parent
    override = prefix / "share" / "jupyter" / "lab" / "settings" / "overrides.d" / "sbf.json"
    assert json.loads(override.read_text())["@jupyter-widgets/jupyterlab-manager:plugin"] == {"saveState": True}
    assert _first_page(checkout, environment) == QUICKSTART


def _first_page(checkout: Path, environment: dict[str, str]) -> str:
    """Start JupyterLab and return where ``/`` leads."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        "binder/start", "jupyter", "lab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
        "--IdentityProvider.token=", f"--ServerApp.root_dir={checkout}",
    ]  # fmt: skip
    with subprocess.Popen(
        command, cwd=checkout, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            deadline = time.monotonic() + 100
            while time.monotonic() < deadline:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as response:
                        return response.url.partition(str(port))[2].partition("?")[0]
                except (urllib.error.URLError, ConnectionError):
                    time.sleep(0.5)
            raise AssertionError("JupyterLab did not start")
        finally:
            server.terminate()
