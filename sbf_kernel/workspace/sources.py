"""``ws.sources``, and with a notebook ``nb.sources``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from sbf_kernel import operations as op
from sbf_kernel.adding import follow
from sbf_kernel.errors import InvalidInput, NotFound
from sbf_kernel.operations import build
from sbf_kernel.records import Notebook, Source, SourceList, SourcePage, SourceText
from sbf_kernel.workspace.references import Ref, all_pages, as_id

if TYPE_CHECKING:
    from sbf_kernel.workspace.workspace import Workspace


class Sources:
    """``ws.sources``, and with a notebook ``nb.sources``."""

    def __init__(self, workspace: Workspace, notebook: Notebook | None = None) -> None:
        self._ws, self._notebook = workspace, notebook

    def list(self, search: str = "", *, limit: int = 20, offset: int = 0, **filters: Any) -> SourceList:
        """Return a page of sources; ``filters``: ``status``, ``tag``, ``removed``, ``sort``."""
        notebook_id = self._notebook.id if self._notebook else None
        found: SourceList = self._ws.call(
            build(op.ListSources, notebook_id=notebook_id, search=search, limit=limit, offset=offset, **filters)
        )
        return found

    def get(self, ref: Source | Ref) -> Source:
        """Return a source by id or exact name.

        Raises
        ------
        NotFound
            There is none.
        InvalidInput
            Several have that name.
        """
        found: Source = self._ws.call(op.GetSource(source_id=self._id(ref)))
        return found

    def text(self, ref: Source | Ref, version_id: UUID | None = None) -> SourceText:
        """Return the stored text of a source, by default of its newest version."""
        found: SourceText = self._ws.call(build(op.GetSourceText, source_id=self._id(ref), version_id=version_id))
        return found

    def page(self, ref: Source | Ref, page: int, version_id: UUID | None = None, *, width: int = 900) -> SourcePage:
        """Return a picture of a page of a PDF, ``width`` pixels wide; pages count from 1.

        Raises
        ------
        SourceUnsupported
            It has no pages.
        """
        found: SourcePage = self._ws.call(
            build(op.GetSourcePage, source_id=self._id(ref), page=page, version_id=version_id, width=width)
        )
        return found

    def update(self, ref: Source | Ref, *, name: str | None = None, tags: tuple[str, ...] | None = None) -> Source:
        """Rename or tag a source."""
        found: Source = self._ws.call(build(op.UpdateSource, source_id=self._id(ref), name=name, tags=tags))
        return found

    def remove(self, ref: Source | Ref) -> None:
        """Take a source out of this notebook, restorably."""
        self._ws.call(op.RemoveSource(notebook_id=self._own().id, source_id=self._id(ref)))

    def restore(self, ref: Source | Ref) -> Source:
        """Put a removed source back into this notebook, or a source of another notebook into it."""
        found: Source = self._ws.call(op.LinkSource(notebook_id=self._own().id, source_id=self._id(ref, removed=True)))
        return found

    def delete(self, ref: Source | Ref) -> None:
        """Delete a source with all its versions, for good."""
        self._ws.call(op.DeleteSource(source_id=self._id(ref)))

    def retry(self, ref: Source | Ref, *, password: str | None = None, progress: bool = True) -> Source:
        """Process a source again, for example with its password, and wait for the outcome."""
        source: Source = self._ws.call(build(op.RetrySource, source_id=self._id(ref), password=password))
        return follow(self._ws, [source], progress)[0]

    def resume(self, *, progress: bool = True) -> SourceList:
        """Go on with everything that a crash or cancel interrupted, and wait for it."""
        return listing(follow(self._ws, list(self._ws.call(op.ResumeSources())), progress))

    def _own(self) -> Notebook:
        if self._notebook is None:
            raise InvalidInput("this needs a notebook", hint="use nb.sources")
        return self._notebook

    def _id(self, ref: Source | Ref, *, removed: bool = False) -> UUID:
        if isinstance(ref, Source):
            return ref.id
        if (source_id := as_id(ref)) is not None:
            return source_id
        named = [s for s in all_pages(self.list, search=str(ref), removed=removed) if s.name == str(ref)]
        if not named:
            raise NotFound(f"there is no source {str(ref)!r}", hint="sources.list() shows all")
        if len(named) > 1:
            raise InvalidInput(
                f"{len(named)} sources are called {str(ref)!r}",
                hint="use an id: " + ", ".join(str(s.id) for s in named),
            )
        found: UUID = named[0].id
        return found


def listing(found: list[Source]) -> SourceList:
    """Return these sources as one page."""
    return SourceList(items=tuple(found), total=len(found), limit=max(1, len(found)), offset=0)
