"""Adding a batch and following it: progress bars, Ctrl-C, one outcome per input."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from sbf_kernel import operations as op
from sbf_kernel.errors import SbfError
from sbf_kernel.operations import build
from sbf_kernel.records import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sbf_kernel.inputs import Input
    from sbf_kernel.workspace import Workspace


def add_inputs(
    workspace: Workspace,
    notebook_id: UUID,
    inputs: list[Input],
    *,
    password: str | None,
    tags: tuple[str, ...],
    language: str,
    progress: bool,
) -> list[Source]:
    """Register all inputs, wait for all, and return their sources in order.

    Processing starts with the first input, while the others are still being
    registered.
    """
    added: list[Source] = []
    try:
        for item in inputs:  # one by one: what was added before Ctrl-C is known
            added.append(  # noqa: PERF401
                _register(
                    workspace,
                    item,
                    lambda content, item=item: build(
                        op.AddSource,
                        notebook_id=notebook_id,
                        name=item.name[:300],
                        origin=item.origin,
                        content=content,
                        url=item.url,
                        media_type=item.media_type,
                        tags=tags,
                        language=language,
                        password=password,
                    ),
                )
            )
        return follow(workspace, added, progress)
    except KeyboardInterrupt:
        workspace.call(op.CancelSources(source_ids=tuple(source.id for source in added)))
        raise


def _register(workspace: Workspace, item: Input, operation: Any) -> Source:
    """Add one input. What is wrong with it becomes its outcome: the others go on."""
    try:
        source: Source = workspace.call(operation(item.read()))
        return source
    except SbfError as error:
        if error.status >= 500 or error.code in ("not_found", "forbidden"):  # not about this input
            raise
        now = datetime.now(UTC)
        return Source(
            id=uuid4(),
            name=item.name.encode("utf-8", "replace").decode(),
            origin=item.origin.encode("utf-8", "replace").decode(),
            status="failed",
            stage="failed",
            reason=error.code,
            message=str(error),
            created_at=now,
            updated_at=now,
        )


def follow(workspace: Workspace, added: list[Source], progress: bool) -> list[Source]:
    """Wait until all of these sources have ended and return them as they are then, in order.

    What registering found out (unchanged, duplicate) stays visible.
    """
    latest = {source.id: source for source in added}
    waiting = tuple({source.id for source in added if not source.finished})
    if waiting:
        with _bar(len(latest), progress and not workspace.settings.static) as advance:
            for source in chain(added, workspace.stream(op.WatchSources(source_ids=waiting))):
                latest[source.id] = source
                advance(source)
    return [_outcome(source, latest[source.id]) for source in added]


def _outcome(registered: Source, latest: Source) -> Source:
    if registered.stage == "duplicate" and latest.status == "ready":
        return latest.model_copy(update={"stage": registered.stage, "message": registered.message})
    return latest


@contextmanager
def _bar(total: int, visible: bool) -> Iterator[Any]:
    """Show a progress bar in the terminal or notebook; yields a function that updates it."""
    if not visible:
        yield lambda *_: None
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, unit="source", desc="adding", leave=False) as bar:
        finished: set[UUID] = set()

        def advance(source: Source) -> None:
            if source.finished:
                finished.add(source.id)
            else:
                share = f" {source.done}/{source.total}" if source.total else ""
                bar.set_postfix_str(f"{source.name[:30]}: {source.stage}{share}", refresh=False)
            bar.n = len(finished)
            bar.update(0)

        yield advance
