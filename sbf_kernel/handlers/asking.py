"""Searching and asking."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from sbf_kernel import operations as op
from sbf_kernel.chat import answer
from sbf_kernel.records import Answer, AnswerList, Hits, Principal, Recheck
from sbf_kernel.runtime import Runtime
from sbf_kernel.search import search


async def search_chunks(runtime: Runtime, principal: Principal, o: op.Search) -> Hits:
    """Rank chunks."""
    return await search(runtime, principal, o)


def ask(runtime: Runtime, principal: Principal, o: op.Ask) -> AsyncIterator[Any]:
    """Answer a question."""
    return answer.ask(runtime, principal, o)


async def get_answer(runtime: Runtime, principal: Principal, o: op.GetAnswer) -> Answer:
    """Return a stored answer."""
    return await answer.get(runtime, principal, o)


async def list_answers(runtime: Runtime, principal: Principal, o: op.ListAnswers) -> AnswerList:
    """List stored answers."""
    return await answer.find(runtime, principal, o)


async def recheck_answer(runtime: Runtime, principal: Principal, o: op.RecheckAnswer) -> Recheck:
    """Check the citations of a stored answer again."""
    return await answer.recheck(runtime, principal, o)
