"""``sbf serve``: starts the service."""

from __future__ import annotations

import os
from contextlib import ExitStack
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from sbf_kernel.cli.console import command, say
from sbf_kernel.errors import MissingExtra

if TYPE_CHECKING:
    import argparse

PORT = 8730
DRAIN_SECONDS = 20
"""What requests that are under way get when the service is told to stop; the database closes after it, all within 30 s."""
FILES = 65_536
"""Open files a process asks for: some systems grant 1,024, which silent connections alone could use up."""


def register(commands: Any) -> None:
    """Add the command."""
    parser = command(
        commands, "serve", serve, "serve notebooks, search and answers over HTTP to many users", json_too=False
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=PORT, help=f"port to listen on (default: {PORT})")
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes that answer requests (default: 1)"
    )
    parser.add_argument(
        "--root-path", default="", help="prefix under which a proxy shows the service, for example /sbf"
    )


def serve(options: argparse.Namespace) -> int:
    """Serve until told to stop."""
    import uvicorn

    from sbf_api.connections import Protocol
    from sbf_api.settings import ServiceSettings

    _take_files()
    for name in ("home", "database_url"):  # the processes that serve read the environment
        if getattr(options, name) is not None:
            os.environ[f"SBF_{name.upper()}"] = getattr(options, name)
    settings = ServiceSettings()
    with ExitStack() as stack:
        if options.workers > 1:
            _share(stack, options.workers, settings.redis_url is None)
        say(f"serving on http://{options.host}:{options.port}{options.root_path} → /docs shows what it takes")
        uvicorn.run(
            "sbf_api.app:application",
            factory=True,
            host=options.host,
            port=options.port,
            workers=options.workers,
            root_path=options.root_path,
            log_config=None,
            access_log=False,
            server_header=False,
            forwarded_allow_ips=settings.forwarded_allow_ips,
            http=Protocol,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
    return 0


def _take_files() -> None:
    """Raise the number of files this process may have open, as far as it may without asking."""
    try:
        import resource
    except ImportError:  # Windows knows no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _share(stack: ExitStack, workers: int, without_redis: bool) -> None:
    """Give several processes what they share: a place for their figures, and a Redis when none is configured."""
    os.environ.setdefault("SBF_PROCESSES", str(workers))
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = stack.enter_context(TemporaryDirectory(prefix="sbf-metrics-"))
    if without_redis:
        from sbf_api.valkey import ValkeyServer

        try:
            os.environ["SBF_REDIS_URL"] = stack.enter_context(ValkeyServer()).url
        except MissingExtra as error:
            say(f"{error.message}: each process counts calls and caches for itself → {error.hint}")
