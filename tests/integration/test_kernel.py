"""The kernel “Second Brain (Python 3)”: in a real Jupyter, with the magics loaded and nothing else."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import sbf_kernel
from sbf_kernel.cli import main

pytest.importorskip("ipykernel")
os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import start_new_kernel

if TYPE_CHECKING:
    from collections.abc import Iterator

SPEC = Path(sbf_kernel.__file__).parent / "kernel"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A prefix into which the command has written the kernel."""
    assert main(["kernel", "install", "--prefix", str(tmp_path), "--json"]) == 0
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share" / "jupyter"))
    monkeypatch.setenv("SBF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("SBF_STATIC", "1")
    return tmp_path


@pytest.fixture
def kernel(installed: Path) -> Iterator[Any]:
    manager, client = start_new_kernel(kernel_name="sbf", startup_timeout=60)
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def outputs(client: Any, code: str) -> list[dict[str, Any]]:
    """Run a cell and return what it shows."""
    asked = client.execute(code)
    found = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            message = client.get_iopub_msg(timeout=1)
        except queue.Empty:
            continue
        if message["parent_header"].get("msg_id") != asked:
            continue
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            return found
        found.append({"kind": message["msg_type"], **message["content"]})
    raise AssertionError(f"no end of {code!r}: {found}")


def test_the_kernel_starts_nothing_until_something_is_wanted(kernel: Any, installed: Path) -> None:
    shown = outputs(kernel, "import sys; print('sqlalchemy' in sys.modules, 'ws' in dir(), 'nb' in dir())")
    assert [one["text"] for one in shown if one["kind"] == "stream"] == ["False True True\n"]
    assert not (installed / "home").exists()
    outputs(kernel, "%sbf use Tides\nnb.add_text('The moon pulls the sea.', 'tides')")
    shown = outputs(kernel, "%%ask\nWhat pulls the sea?")
    assert "The moon pulls the sea." in shown[-1]["data"]["text/plain"]
    assert type(shown[-1]["data"]["text/html"]) is str
    reply = kernel.complete("%sbf use T", reply=True, timeout=30)["content"]
    assert reply["matches"] == ["Tides"]
    shown = outputs(kernel, "%search -N Nowhere tides")
    assert [(one["ename"], len(one["traceback"])) for one in shown if one["kind"] == "error"] == [("NotFound", 1)]
    assert outputs(kernel, "type(ws).__name__")[-1]["data"]["text/plain"] == "'Workspace'"


def test_the_command_writes_this_python_and_a_name_of_choice(tmp_path: Path) -> None:
    arguments = ["--name", "mine", "--display-name", "Mine"]
    assert main(["kernel", "install", "--prefix", str(tmp_path), *arguments]) == 0
    folder = tmp_path / "share" / "jupyter" / "kernels" / "mine"
    spec = json.loads((folder / "kernel.json").read_text())
    assert spec["argv"][0] == sys.executable
    assert spec["argv"][-1] == "--ext=sbf_kernel"
    assert spec["display_name"] == "Mine"
    assert {path.name for path in folder.iterdir()} == {path.name for path in SPEC.iterdir()}
    assert "mine" in KernelSpecManager(kernel_dirs=[str(folder.parent)]).find_kernel_specs()


def test_a_name_that_is_none_or_a_place_that_is_none_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["kernel", "install", "--prefix", str(tmp_path), "--name", "a b/c"]) == 2
    (tmp_path / "file").touch()
    assert main(["kernel", "install", "--prefix", str(tmp_path / "file")]) == 2
    assert capsys.readouterr().err.count("the kernel cannot be written") == 2


def test_the_kernel_of_the_wheel_is_for_whichever_python_it_is_installed_with() -> None:
    spec = json.loads((SPEC / "kernel.json").read_text())
    assert spec["argv"][0] == "python"
    assert spec["display_name"] == "Second Brain (Python 3)"


def test_an_extension_that_fails_leaves_a_kernel_that_works(installed: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken" / "sbf_kernel"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise RuntimeError('half installed')")
    environment = {**os.environ, "PYTHONPATH": str(broken.parent)}
    code = (
        "from jupyter_client.manager import start_new_kernel\n"
        "manager, client = start_new_kernel(kernel_name='sbf')\n"
        "print(client.execute('1 + 1', reply=True, timeout=30)['content']['status'])\n"
        "client.stop_channels(); manager.shutdown_kernel(now=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=100)
    assert done.stdout.strip().endswith("ok"), done.stdout + done.stderr
