"""What calls of a language model consumed, and small calls beside the answer."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from contextvars import Context
from hashlib import sha256
from typing import TYPE_CHECKING

from sbf_kernel.chat import context, prompts
from sbf_kernel.errors import SbfError
from sbf_kernel.records import Usage
from sbf_kernel.storage import usage as storage

if TYPE_CHECKING:
    from uuid import UUID

    from sbf_kernel.models.language import LanguageModel
    from sbf_kernel.records import Principal
    from sbf_kernel.runtime import Runtime

_log = logging.getLogger(__name__)
_recording: set[asyncio.Task[None]] = set()
"""The event loop itself keeps weak references only."""


async def record(
    runtime: Runtime, principal: Principal, operation: str, notebook_id: UUID | None, spent: tuple[str, Usage] | None
) -> None:
    """Write a call into the ledger. Never fails, and is not stopped together with the answer it belongs to.

    Parameters
    ----------
    spent
        Model and usage; None when nothing was consumed.
    """
    if spent is not None:
        work = _record(runtime, principal, operation, notebook_id, *spent)
        task = asyncio.create_task(work, context=Context())  # in no transaction of the caller's
        _recording.add(task)
        task.add_done_callback(_recording.discard)
        await asyncio.shield(task)


async def _record(
    runtime: Runtime, principal: Principal, operation: str, notebook_id: UUID | None, model: str, usage: Usage
) -> None:
    try:
        async with runtime.db.transaction(principal) as connection:
            await storage.record(
                connection, principal, operation=operation, model=model, notebook_id=notebook_id, usage=usage
            )
    except Exception:  # noqa: BLE001 - the answer is worth more than its bill
        _log.exception("the usage of %s for %s could not be recorded", model, operation)


async def aside(
    runtime: Runtime,
    principal: Principal,
    model: LanguageModel,
    operation: str,
    *,
    notebook_id: UUID,
    seconds: float,
    max_tokens: int,
    **slots: str,
) -> str:
    """Ask the model something small beside the answer; returns its text, empty when it fails or takes too long.

    Parameters
    ----------
    operation
        Names the prompts, ``<operation>_system.md`` and ``<operation>.md``, and the call in the ledger.
    seconds
        How long to wait for the whole of it.
    slots
        What fills the prompt.
    """
    boundary = sha256("\0".join(slots.values()).encode()).hexdigest()[:12]
    system = prompts.fill(f"{operation}_system", boundary=boundary)
    prompt = prompts.fill(operation, boundary=boundary, **slots)
    completion, words = model.complete(system, prompt, max_tokens=max_tokens), ""
    try:
        async with asyncio.timeout(seconds), aclosing(completion.text()) as pieces:
            async for piece in pieces:
                words += piece
    except (SbfError, TimeoutError) as error:
        _log.warning("%s did not do the %s: %s", model.id, operation, error or f"nothing within {seconds:.0f} s")
        return ""
    finally:
        estimate = Usage(input_tokens=context.tokens(system + prompt), output_tokens=context.tokens(words))
        used = completion.usage if completion.finish else estimate
        spent = (completion.model, used) if completion.finish or words else None
        await record(runtime, principal, operation, notebook_id, spent)
    return words.strip()
