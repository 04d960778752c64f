"""A fresh install: what the README promises, to somebody who has Python, a browser and nothing else.

The committed files go into an empty environment with ``pip install .``;
``PATH`` holds that environment alone, so there is no node, no compiler and no
git, and HOME is empty. Then a reader's first minutes in Chromium: "Second
Brain (Python 3)" runs a Jupyter notebook with ``ws`` and ``nb`` at hand, a
widget appears, the sidebar lists the source. After ``pip install notebook``
the widget appears in Notebook 7 too. The pictures in
``build/screenshots/fresh-*.png`` are to be looked at.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import Error, Page, expect, sync_playwright

from benchmarks import measuring
from tests.ui.conftest import CHROMIUM, FLAGS, READY, RUN, SCREENSHOTS, Lab, Observed, open_in_lab, start_lab, stop_lab
from tests.ui.sidebar import SIDEBAR, row, show_sidebar
from tests.ui.test_widgets import OWN_FAULTS

REPOSITORY = Path(__file__).parents[2]
KERNEL = "Second Brain (Python 3)"
CELLS = (
    "ws.notebooks.create('First steps')\n%sbf use First steps",
    "nb.add_text('Moss holds water like a sponge and needs no roots.', 'moss')",
    "nb.search('What holds water?')",
    "nb.widgets.sources()",
)
"""``ws``, ``nb`` and the magics are there without an import."""
PATIENCE_MS = 60_000
LEAVING_SECONDS = 30.0


@dataclass
class Installation:
    """An empty environment in ``folder`` and what somebody sees who has only that."""

    folder: Path
    kept: dict[str, str] = field(default_factory=dict)
    """What was promised: "kept", or what happened instead."""

    @property
    def bin(self) -> Path:
        """Where its commands are."""
        return self.folder / "env" / "bin"

    @property
    def variables(self) -> dict[str, str]:
        """HOME is empty, PATH has the environment's own commands only, and no code comes from elsewhere."""
        return {"HOME": str(self.folder / "home"), "PATH": str(self.bin), "PYTHONPATH": ""}

    def run(self, command: str, *arguments: str, cwd: Path | None = None) -> str:
        """Run a command of the environment and return what it says."""
        foreign = ("JUPYTER", "SBF_")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        done = subprocess.run(
            [str(self.bin / command), *arguments],
            env=environment | self.variables, cwd=cwd or self.folder / "home", capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command} {' '.join(arguments)}: {(done.stdout + done.stderr)[-2_000:]}"
        return done.stdout + done.stderr

    def promise(self, words: str, check: Callable[[], object]) -> None:
        """Note whether a promise was kept."""
        try:
            check()
            self.kept[words] = "kept"
        except (AssertionError, Error, OSError) as error:
            self.kept[words] = f"{type(error).__name__}: {str(error)[:1_500]}"
        print(f"{words}: {self.kept[words]}", flush=True)


def install(there: Installation) -> dict[str, Any]:
    """Unpack what is committed, make the environment, and let pip install into it; returns figures."""
    source = there.folder / "source"
    (there.folder / "home").mkdir()
    committed = subprocess.run(["git", "archive", "HEAD"], cwd=REPOSITORY, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(committed)) as archive:
        archive.extractall(source, filter="data")
    subprocess.run([sys.executable, "-m", "venv", str(there.folder / "env")], check=True)
    assert not any((there.bin / name).exists() for name in ("node", "npm", "yarn")), "the environment has node already"
    began = time.perf_counter()
    there.run("python", "-m", "pip", "install", "--no-input", "--no-cache-dir", ".", cwd=source)
    took = time.perf_counter() - began
    packages = _first_json(there.run("python", "-m", "pip", "list", "--format=json"), "[")
    size = sum(path.stat().st_size for path in (there.folder / "env").rglob("*") if path.is_file())
    return {"pip_install_s": round(took, 1), "packages": len(packages), "size_mb": size >> 20}


def _first_json(said: str, opening: str) -> Any:
    """Return the JSON in what a command said, beside its warnings."""
    return json.JSONDecoder().raw_decode(said, said.index(opening))[0]


def is_announced(there: Installation) -> None:
    """Jupyter's own commands know the kernel and both halves of the extension."""
    specs = _first_json(there.run("jupyter", "kernelspec", "list", "--json"), "{")
    assert specs["kernelspecs"]["sbf"]["spec"]["display_name"] == KERNEL
    half = there.run("jupyter", "labextension", "list")
    assert "sbf-lab" in half and "enabled" in half.split("sbf-lab")[1].splitlines()[0], half
    server = there.run("jupyter", "server", "extension", "list")
    assert "sbf_kernel.server_extension" in server and "disabled" not in server, server


@contextlib.contextmanager
def opened(there: Installation, name: str, figures: dict[str, Any]) -> Iterator[tuple[Lab, Page, Observed]]:
    """Start ``jupyter lab`` or ``jupyter notebook``, and a browser that watches what the page does."""
    folder = there.folder / name
    folder.mkdir()
    began = time.perf_counter()
    lab, process = start_lab(
        folder, there.folder / "sbf", command=(str(there.bin / "jupyter"), name), **there.variables
    )
    figures[f"jupyter_{name}_answers_after_s"] = round(time.perf_counter() - began, 1)
    observed = Observed()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            page = browser.new_page(viewport={"width": 1280, "height": 900}, locale="en-GB")
            observed.watch(page)
            yield lab, page, observed
            browser.close()
    finally:
        stop_lab(lab, process)


def shot(page: Page, name: str) -> None:
    """Keep a picture to be looked at."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"fresh-{name}.png")


def run_cells(page: Page) -> None:
    """Run the notebook that is open; its widget shows the source."""
    page.evaluate(RUN)
    page.wait_for_function("() => window.sbfRun !== 'runs'", timeout=2 * PATIENCE_MS)
    assert page.evaluate("() => window.sbfRun") == "done"
    errors = page.locator("[data-mime-type='application/vnd.jupyter.error'], .jp-RenderedText[data-mime-type*=stderr]")
    assert errors.count() == 0, errors.first.inner_text()
    box = page.get_by_role("region", name="Sources", exact=True)
    expect(box.get_by_role("row").filter(has_text="moss")).to_contain_text("Ready", timeout=PATIENCE_MS)
    box.scroll_into_view_if_needed()


def in_lab(there: Installation, figures: dict[str, Any]) -> None:
    """In JupyterLab: kernel, widget, sidebar."""
    with opened(there, "lab", figures) as (lab, page, observed):
        lab.write("first.ipynb", *CELLS, kernel="sbf")

        def kernel() -> None:
            open_in_lab(page, lab, "first.ipynb")
            expect(page.locator(".jp-KernelName")).to_contain_text(KERNEL)
            run_cells(page)
            shot(page, "lab-widget")

        def sidebar() -> None:
            library = show_sidebar(page)
            expect(library.locator(".sbf-Notebook.sbf-mod-current")).to_contain_text("First steps")
            expect(row(library, "moss")).to_be_visible(timeout=PATIENCE_MS)
            shot(page, "lab-sidebar")
            expect(page.locator(SIDEBAR)).to_be_visible()

        there.promise(f"a Jupyter notebook runs with {KERNEL} and shows a widget", kernel)
        there.promise("the sidebar is there and lists the source", sidebar)
        there.promise("JupyterLab: no error, no dialog, nothing asked of another machine", lambda: _quiet(observed))


def in_notebook_7(there: Installation, figures: dict[str, Any]) -> None:
    """In Notebook 7, installed afterwards: the widget once more, with the source of before."""
    began = time.perf_counter()
    there.run("python", "-m", "pip", "install", "--no-input", "--no-cache-dir", "notebook>=7")
    figures["pip_install_notebook_s"] = round(time.perf_counter() - began, 1)
    with opened(there, "notebook", figures) as (lab, page, observed):
        lab.write("second.ipynb", "%sbf use First steps", "nb.widgets.sources()", kernel="sbf")

        def widget() -> None:
            page.goto(f"{lab.url}notebooks/second.ipynb?token={lab.token}")
            page.wait_for_function(READY, timeout=PATIENCE_MS)
            run_cells(page)
            shot(page, "notebook-7-widget")

        there.promise("Notebook 7 shows a widget", widget)
        observed.errors[:] = [error for error in observed.errors if error not in OWN_FAULTS]
        there.promise("Notebook 7: no error, no dialog, nothing asked of another machine", lambda: _quiet(observed))


def _quiet(observed: Observed) -> None:
    assert observed == Observed(), observed


def _all_gone(folder: Path) -> None:
    """Wait until no process works in the folder any more."""
    deadline = time.monotonic() + LEAVING_SECONDS
    while left := [
        p.info for p in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(p.info["cmdline"] or ())
    ]:
        assert time.monotonic() < deadline, left
        time.sleep(0.3)


def drill(folder: Path) -> dict[str, Any]:
    """Run all of it in a folder that is empty; returns the figures."""
    there = Installation(folder)
    figures: dict[str, Any] = {}
    there.promise("pip installs it without node", lambda: figures.update(install(there)))
    there.promise("Jupyter knows the kernel and both halves of the extension", lambda: is_announced(there))
    there.promise("JupyterLab runs", lambda: in_lab(there, figures))
    there.promise("Notebook 7 runs", lambda: in_notebook_7(there, figures))
    there.promise("no process is left", lambda: _all_gone(folder))
    return figures | {"promises": there.kept}


def main() -> int:
    """Run from the command line; 1 when a promise was broken."""
    options: argparse.Namespace = measuring.parser(__doc__).parse_args()
    if CHROMIUM is None:
        print("Chromium is not installed: apt install chromium")
        return 1
    load = measuring.load_average()
    with measuring.home() as folder:
        folder.chmod(0o755)
        figures = drill(folder)
    broken = [words for words, outcome in figures["promises"].items() if outcome != "kept"]
    print("saved", measuring.save(options.output, "fresh_install", figures, load).name)
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
