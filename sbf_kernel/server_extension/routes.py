"""The routes under ``{base_url}sbf/api/``: status, call, stream, page, files, upload."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import tornado.web
from jupyter_server.auth.decorator import authorized
from jupyter_server.utils import url_path_join

from sbf_kernel.errors import BadRequest, SbfError, SourceTooLarge
from sbf_kernel.server_extension.allowed import operation
from sbf_kernel.server_extension.files import gather_files, read_file
from sbf_kernel.server_extension.handlers import SERVICE_HEADER, Handler, error_line, record_line
from sbf_kernel.server_extension.outlasting import outlasting
from sbf_kernel.server_extension.workspaces import Workspaces

if TYPE_CHECKING:
    from sbf_kernel.inputs import Input
    from sbf_kernel.records import SourcePage
    from sbf_kernel.workspace import Workspace

FOR_EVER = "private, max-age=31536000, immutable"
"""For what never changes: a year, the longest there is."""


def routes(base_url: str) -> list[tuple[str, type[Handler], dict[str, Any]]]:
    """Return path pattern, handler and its arguments of every route."""
    shared = {"workspaces": Workspaces()}
    under = {
        "status": Status,
        r"call/(\w{1,60})": Call,
        r"stream/(\w{1,60})": Stream,
        "page": Page,
        "files": Files,
        "upload": Upload,
    }
    return [(url_path_join(base_url, "sbf/api", path), handler, shared) for path, handler in under.items()]


class Status(Handler):
    """Tells which version answers, and opens nothing: how a page finds out that its server half is there."""

    @tornado.web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer with the version of this package."""
        import sbf_kernel

        self.finish({"version": sbf_kernel.__version__})


class Call(Handler):
    """Carries out an operation that gives one record."""

    @tornado.web.authenticated
    @authorized
    async def post(self, name: str) -> None:
        """Answer with the record, or ``null``."""
        try:
            wanted = operation(name, self.request.body, streams=False)
            record = await (await self.workspace()).call_async(wanted)
        except SbfError as error:
            self.tell(error)
        else:
            self.finish("null" if record is None else record.model_dump_json())


class Stream(Handler):
    """Carries out an operation that gives several records, each told as soon as it is there."""

    @tornado.web.authenticated
    @authorized
    async def post(self, name: str) -> None:
        """Answer with a line per record: ``{"record": kind, "value": {…}}``, and at last ``{"end": true}``."""
        from sbf_kernel import operations as op

        try:
            wanted = operation(name, self.request.body, streams=True)
            records = (await self.workspace()).stream_async(wanted)
            if isinstance(wanted, op.SendMessage):  # others only look, or give what is of use to nobody else
                records = outlasting(records)
        except SbfError as error:
            self.tell(error)
        else:
            await self.send(_lines(records))


async def _lines(records: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    try:
        async for record in records:
            yield record_line(record)
    finally:
        await records.aclose()  # type: ignore[attr-defined]


class Page(Handler):
    """Gives the picture of a page as a picture, not as JSON: a third smaller, and the browser keeps it."""

    @tornado.web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer with the bytes; the query has the fields of GetSourcePage, ``X-SBF-Pages`` says how many there are."""
        from sbf_kernel import operations as op

        given = {name: self.get_query_argument(name) for name in self.request.query_arguments}
        try:
            wanted = op.build(op.GetSourcePage, **given)
            found: SourcePage = await (await self.workspace()).call_async(wanted)
        except SbfError as error:
            self.tell(error)
        else:
            self.set_header("Cache-Control", FOR_EVER if wanted.version_id else "private, no-cache")
            self.set_header("Vary", f"Cookie, Authorization, {SERVICE_HEADER}")
            self.set_header("X-SBF-Pages", str(found.pages))
            self.finish(b64decode(found.image), set_content_type=found.media_type)


class Files(Handler):
    """Adds files and folders of the file browser. The server reads them: their bytes never travel to the browser."""

    @tornado.web.authenticated
    @authorized
    async def post(self) -> None:
        """Answer with a line per file: the ``path`` asked for, and the Source or the error that became of it."""
        try:
            notebook_id, paths = _wanted(self.request.body)
            workspace = await self.workspace()
        except SbfError as error:
            self.tell(error)
        else:
            await self.send(self._added(workspace, notebook_id, paths))

    async def _added(self, workspace: Workspace, notebook_id: str, paths: list[str]) -> AsyncIterator[bytes]:
        for path in paths:
            try:
                inputs = await asyncio.to_thread(gather_files, self.contents_manager, path)
            except SbfError as error:
                yield error_line(error, path=path)
                continue
            for item in inputs:
                yield await _add(workspace, notebook_id, path, item)


async def _add(workspace: Workspace, notebook_id: str, path: str, item: Input) -> bytes:
    """Add one file and return its line. What is wrong with the file itself does not stop the others."""
    from sbf_kernel import operations as op

    try:
        content = await asyncio.to_thread(read_file, item, workspace.settings.max_source_mb)
        adding = op.build(
            op.AddSource, notebook_id=notebook_id, name=item.name[:300], origin=item.origin, content=content
        )
        return record_line(await workspace.call_async(adding), path=path)
    except SbfError as error:
        if error.status >= 500 or error.code in ("not_found", "forbidden"):
            raise
        return error_line(error, path=path, name=item.name)


def _wanted(body: bytes) -> tuple[str, list[str]]:
    try:
        wanted = json.loads(body)
        notebook_id, paths = wanted["notebook_id"], wanted["paths"]
    except (ValueError, KeyError, TypeError):
        notebook_id = paths = None
    if not (isinstance(notebook_id, str) and isinstance(paths, list) and all(isinstance(it, str) for it in paths)):
        raise BadRequest("no files are named", hint='send {"notebook_id": …, "paths": […]}')
    return notebook_id, paths


class Upload(Handler):
    """Adds a file from the computer the browser runs on: the body is the file."""

    @tornado.web.authenticated
    @authorized
    async def post(self) -> None:
        """Answer with the Source. ``notebook_id`` and ``name`` stand in the query."""
        from sbf_kernel import operations as op

        notebook_id, name = self.get_query_argument("notebook_id", ""), self.get_query_argument("name", "")
        try:
            workspace = await self.workspace()
            limit_mb = workspace.settings.max_source_mb
            if len(self.request.body) > limit_mb << 20:
                raise SourceTooLarge(f"{name} has more than {limit_mb} MB", hint="split it, or set SBF_MAX_SOURCE_MB")
            adding = op.build(
                op.AddSource,
                notebook_id=notebook_id,
                name=name,
                origin=f"upload:{notebook_id}/{name}",
                content=self.request.body,
            )
            source = await workspace.call_async(adding)
        except SbfError as error:
            self.tell(error)
        else:
            self.finish(source.model_dump_json())
