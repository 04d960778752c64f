"""The process in which a service runs one template: ``python -m sbf_kernel.reports.child FOLDER``.

``FOLDER/job.json`` names the template and its parameters, ``FOLDER/socket`` is
the bridge to the service; ``page.html`` and ``outcome.json`` are left there.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from sbf_kernel.reports.page import external_references, to_html
from sbf_kernel.reports.running import execute
from sbf_kernel.reports.templates import own


def main(folder: Path, cell_seconds: int) -> None:
    """Run the template and write the page."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    executed = folder / f"{job['template']}.ipynb"
    environment = {"SBF_SOCKET": str(folder / "socket"), "SBF_STATIC": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    failed = execute(own(job["template"]), executed, job["parameters"], environment, cell_seconds)
    page = to_html(executed, brief_errors=True)
    if loads := external_references(page):
        failed, page = f"would load {loads[0]}", ""
    (folder / "page.html").write_text(page, encoding="utf-8")
    (folder / "outcome.json").write_text(json.dumps({"failed": failed}), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
