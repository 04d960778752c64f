"""Sources: bring in, follow, read, arrange."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator

from sbf_kernel import operations as op
from sbf_kernel.errors import SourceUnsupported
from sbf_kernel.ingest import sources as ingest
from sbf_kernel.ingest.pipeline import KIND
from sbf_kernel.records import Principal, Source, SourceList, SourcePage, SourceText
from sbf_kernel.runtime import Runtime
from sbf_kernel.storage import jobs, notebooks, sources


async def add_source(runtime: Runtime, principal: Principal, o: op.AddSource) -> Source:
    """Register a source and start its processing."""
    return await ingest.add(runtime, principal, o)


def watch_sources(runtime: Runtime, principal: Principal, o: op.WatchSources) -> AsyncIterator[Source]:
    """Follow sources until all are done."""
    return ingest.watch(runtime, principal, o.source_ids)


async def cancel_sources(runtime: Runtime, principal: Principal, o: op.CancelSources) -> None:
    """Stop the processing of the principal's own sources among these."""
    await ingest.cancel(runtime, principal, o.source_ids)


async def retry_source(runtime: Runtime, principal: Principal, o: op.RetrySource) -> Source:
    """Process a source again."""
    return await ingest.retry(runtime, principal, o.source_id, o.password)


async def resume_sources(runtime: Runtime, principal: Principal, o: op.ResumeSources) -> SourceList:
    """Go on with interrupted sources."""
    found = await ingest.resume(runtime, principal)
    return SourceList(items=tuple(found), total=len(found), limit=max(1, len(found)), offset=0)


async def list_sources(runtime: Runtime, principal: Principal, o: op.ListSources) -> SourceList:
    """List sources."""
    async with runtime.db.transaction(principal) as connection:
        await notebooks.require(connection, principal.user_id, (o.notebook_id,) if o.notebook_id else ())
        return await sources.find(
            connection,
            principal.user_id,
            notebook_id=o.notebook_id,
            status=o.status,
            tag=o.tag,
            search=o.search,
            removed=o.removed,
            sort=o.sort,
            limit=o.limit,
            offset=o.offset,
        )


async def get_source(runtime: Runtime, principal: Principal, o: op.GetSource) -> Source:
    """Return one source."""
    async with runtime.db.transaction(principal) as connection:
        return await sources.get(connection, principal.user_id, o.source_id)


async def update_source(runtime: Runtime, principal: Principal, o: op.UpdateSource) -> Source:
    """Rename or tag a source."""
    async with runtime.db.change(principal) as connection:
        return await sources.update(connection, principal.user_id, o.source_id, o.name, o.tags)


async def get_source_text(runtime: Runtime, principal: Principal, o: op.GetSourceText) -> SourceText:
    """Return the stored text of a version."""
    async with runtime.db.transaction(principal) as connection:
        return await sources.source_text(connection, principal.user_id, o.source_id, o.version_id)


async def get_source_page(runtime: Runtime, principal: Principal, o: op.GetSourcePage) -> SourcePage:
    """Return a picture of a page."""
    async with runtime.db.transaction(principal) as connection:
        source = await sources.get(connection, principal.user_id, o.source_id)
        version_id, sha256 = await sources.version_file(connection, principal.user_id, source, o.version_id)
    if source.media_type != "application/pdf":
        raise SourceUnsupported(f"{source.name} has no pages to look at", hint="only PDFs have; read its text instead")
    drawn = await runtime.pages.call(str(runtime.blobs.path(sha256)), o.page, o.width)
    return SourcePage(
        source_id=o.source_id,
        version_id=version_id,
        page=o.page,
        **{**drawn, "image": b64encode(drawn["image"]).decode()},
    )


async def link_source(runtime: Runtime, principal: Principal, o: op.LinkSource) -> Source:
    """Put a source into a notebook, or restore it there."""
    async with runtime.db.change(principal) as connection:
        await notebooks.touch(connection, principal.user_id, o.notebook_id)
        source = await sources.get(connection, principal.user_id, o.source_id)
        await sources.link(connection, principal.user_id, o.notebook_id, o.source_id)
        return source


async def remove_source(runtime: Runtime, principal: Principal, o: op.RemoveSource) -> None:
    """Take a source out of a notebook."""
    async with runtime.db.change(principal) as connection:
        await notebooks.touch(connection, principal.user_id, o.notebook_id)
        await sources.unlink(connection, principal.user_id, o.notebook_id, o.source_id)


async def delete_source(runtime: Runtime, principal: Principal, o: op.DeleteSource) -> None:
    """Delete a source for good."""
    await get_source(runtime, principal, op.GetSource(source_id=o.source_id))
    await runtime.tasks.cancel(o.source_id)
    async with runtime.db.change(principal) as connection:
        await sources.delete(connection, principal.user_id, o.source_id)
        await jobs.forget(connection, principal.user_id, KIND, o.source_id)
