"""``sbf kernel install``: the Jupyter kernel “Second Brain (Python 3)” for a Jupyter that lives elsewhere.

`pip install` puts the kernel into its own environment already; a Jupyter in
another one sees it only after this.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from sbf_kernel.cli.console import command, group, write

if TYPE_CHECKING:
    import argparse

NAME = "sbf"


def register(commands: Any) -> None:
    """Add the commands of this module."""
    family = group(commands, "kernel", "the Jupyter kernel with SBF at hand")
    parser = command(family, "install", install, "make the kernel known to a Jupyter in another environment")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--user", action="store_true", help="for all Jupyters of this user (default)")
    place.add_argument("--sys-prefix", action="store_true", help="for the Jupyter of this environment")
    place.add_argument("--prefix", metavar="DIR", help="for the Jupyter of that environment, such as /opt/jupyter")
    parser.add_argument("--name", default=NAME, help=f"what notebooks call it (default: {NAME})")
    parser.add_argument("--display-name", metavar="TEXT", help="what people see (default: Second Brain (Python 3))")


def install(options: argparse.Namespace) -> None:
    """Write the kernel with the path of this very Python."""
    import json
    import os
    import shutil
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from sbf_kernel.errors import InvalidInput, MissingExtra

    os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")
    try:
        from jupyter_client.kernelspec import KernelSpecManager
    except ImportError as error:
        raise MissingExtra("jupyter_client is not installed", hint="pip install -U sbf-kernel") from error
    with TemporaryDirectory() as folder:
        source = Path(folder, NAME)
        shutil.copytree(Path(__file__).parent.parent / "kernel", source)
        spec = json.loads((source / "kernel.json").read_text(encoding="utf-8"))
        spec["argv"][0] = sys.executable
        spec["display_name"] = options.display_name or spec["display_name"]
        (source / "kernel.json").write_text(json.dumps(spec, indent=1), encoding="utf-8")
        prefix = sys.prefix if options.sys_prefix else options.prefix
        try:
            path = KernelSpecManager().install_kernel_spec(
                str(source), options.name, user=prefix is None, prefix=prefix
            )
        except (OSError, ValueError) as error:
            raise InvalidInput(f"the kernel cannot be written: {error}", hint="sbf kernel install --help") from error
    write(options, f"wrote {path}", {"kernel": str(path)})
