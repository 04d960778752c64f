"""Sources: bring in, follow, look after, read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sbf_kernel import operations as op
from sbf_kernel.errors import InvalidInput
from sbf_kernel.inputs import Input, from_text, gather
from sbf_kernel.operations import build
from sbf_kernel.widgets.panel import problem, script, style
from sbf_kernel.widgets.reading import Reader
from sbf_kernel.widgets.rows import Row, source_row
from sbf_kernel.widgets.uploads import Uploads

if TYPE_CHECKING:
    from sbf_kernel.display import View
    from sbf_kernel.records import Notebook, Source, SourceList
    from sbf_kernel.workspace import Workspace

FIRST = 60
"""Rows that travel with the widget itself: two screens."""
STATUSES = ("pending", "processing", "ready", "failed")


class SourcesBox(Reader):
    """The sources of a notebook, or of all: drop files, paste links or text, follow each until it is ready."""

    _esm = script("viewer", "sources")
    _css = style("viewer", "sources")

    def __init__(self, workspace: Workspace, notebook: Notebook | None = None) -> None:
        self._uploads = Uploads(workspace.settings.max_source_mb)
        self._watched: set[UUID] = set()
        self._watching = False
        super().__init__(workspace, notebook)
        self.state = {"notebook": notebook.name if notebook else "", **self._first()}

    def _first(self) -> dict[str, Any]:
        return {**self._do_page(limit=FIRST), "counts": self._counts()}

    def _list(self, **filters: Any) -> SourceList:
        notebook_id = self._notebook.id if self._notebook else None
        found: SourceList = self._ws.call(build(op.ListSources, notebook_id=notebook_id, **filters))
        return found

    def _counts(self) -> dict[str, int]:
        return {status: self._list(status=status, limit=1).total for status in STATUSES}

    def _do_hello(self) -> dict[str, Any]:
        """Return how things are now, and go on following what is unfinished."""
        self._show(**self._first())
        self._follow(
            source.id for status in ("pending", "processing") for source in self._list(status=status, limit=100)
        )
        return {"state": self.state, "max_mb": self._ws.settings.max_source_mb, "can_add": self._notebook is not None}

    def _do_counts(self) -> dict[str, int]:
        """Return how many sources are in each status."""
        return self._counts()

    def _do_upload_begin(self, key: str, path: str, size: int, media_type: str = "") -> None:
        """Expect a file."""
        self._uploads.begin(key, path, size, media_type)

    def _do_upload_piece(self, key: str, at: int, buffers: list[bytes]) -> int:
        """Take the next piece of a file; return how many bytes are here."""
        return self._uploads.take(key, at, buffers[0])

    def _do_upload_drop(self, key: str) -> None:
        """Forget a file that is on its way."""
        self._uploads.drop(key)

    def _do_upload_end(self, key: str, password: str | None = None) -> Row:
        """Bring in a file that has arrived."""
        upload, content = self._uploads.finish(key)
        scope = self._scope()
        return self._add(
            Input(upload.name, f"upload:{scope}/{upload.path}", content=content, media_type=upload.media_type), password
        )

    def _do_add_url(self, url: str) -> Row:
        """Bring in what an address leads to."""
        if not url.lower().startswith(("http://", "https://")):
            raise InvalidInput(f"{url[:80]} is no web address", hint="it begins with https://")
        (item,) = gather((url,), self._scope())
        return self._add(item)

    def _do_add_text(self, text: str, name: str) -> Row:
        """Bring in a text."""
        return self._add(from_text(text, name, self._scope()))

    def _scope(self) -> str:
        if self._notebook is None:
            raise InvalidInput("a source needs a notebook", hint="use nb.widgets.sources()")
        return str(self._notebook.id)

    def _add(self, item: Input, password: str | None = None) -> Row:
        source: Source = self._ws.call(
            build(
                op.AddSource,
                notebook_id=self._notebook_id,
                name=item.name,
                origin=item.origin,
                content=item.content,
                url=item.url,
                media_type=item.media_type,
                password=password,
            )
        )
        self._follow([source.id] if not source.finished else [])
        return source_row(source)

    def _do_retry(self, source_id: str, password: str | None = None) -> Row:
        """Process a source again."""
        source: Source = self._ws.call(build(op.RetrySource, source_id=source_id, password=password or None))
        self._follow([source.id])
        return source_row(source)

    def _do_cancel(self, source_id: str) -> Row:
        """Stop the processing of a source."""
        self._ws.call(build(op.CancelSources, source_ids=(source_id,)))
        return source_row(self._ws.call(build(op.GetSource, source_id=source_id)))

    def _do_remove(self, source_id: str) -> None:
        """Take a source out of the notebook."""
        self._ws.call(build(op.RemoveSource, notebook_id=self._scope(), source_id=source_id))
        self._tell({"event": "moved"})

    def _do_restore(self, source_id: str) -> Row:
        """Put it back."""
        source: Source = self._ws.call(build(op.LinkSource, notebook_id=self._scope(), source_id=source_id))
        self._tell({"event": "moved"})
        return source_row(source)

    def _follow(self, source_ids: Iterable[UUID]) -> None:
        """Tell the browser each change of these sources until they have ended; one thread follows them all."""
        with self._lock:
            self._watched.update(source_ids)
            if self._watching or not self._watched:
                return
            self._watching = True
        self._start(self._watch)

    def _watch(self) -> None:
        while True:
            with self._lock:
                watched = frozenset(self._watched)
                if not watched:
                    self._watching = False
                    break
            try:
                self._watch_these(watched)
            except Exception as error:  # noqa: BLE001 - the browser is told that it must look for itself
                with self._lock:
                    self._watched.clear()
                self._tell({"event": "lost", "error": problem(error)})
        self._tell({"event": "settled"})

    def _watch_these(self, watched: frozenset[UUID]) -> None:
        """Follow these, until all have ended or others join them."""
        stream = self._ws.stream(op.WatchSources(source_ids=tuple(watched)))
        for source in stream:
            self._tell({"event": "source", "row": source_row(source)})
            with self._lock:
                if source.finished:
                    self._watched.discard(source.id)
                if not self._watched <= watched:
                    stream.close()  # type: ignore[attr-defined]
                    return
        with self._lock:
            self._watched -= watched  # whoever is not done yet is not being worked on

    def _view(self) -> View:
        return self._list(limit=FIRST, sort="newest")._view()
