"""Thousands of requests made of the description: nothing answers 5xx, and nothing that it does not say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.api.conftest import Client
from tests.api.fuzzing import OWN_TOKEN, fuzz

if TYPE_CHECKING:
    from collections.abc import Callable

    from sbf_kernel.records import Principal

CASES = 2_000


@pytest.mark.timeout(600)
def test_the_service_answers_as_it_says(
    service: str, new_user: Callable[..., Principal], new_token: Callable[[Principal], str]
) -> None:
    token = new_token(new_user())
    member = fuzz(service, token, 3, 1, *OWN_TOKEN)
    assert member.failures == (), member.log[-6_000:]
    assert Client(service, token)("GET", "/me").status == 200, "the run has made its own token useless"
    assert member.cases >= CASES


@pytest.mark.timeout(600)
def test_what_only_administrators_may_do_answers_as_it_says(
    service: str, new_user: Callable[..., Principal], new_token: Callable[[Principal], str]
) -> None:
    """Without what changes users: it would find its own in the list. What they refuse is in the run above."""
    token = new_token(new_user(role="admin"))
    own_user = ("--exclude-operation-id", "UpdateUser", "--exclude-operation-id", "DeleteUser")
    found = fuzz(
        service, token, 3, 2, *OWN_TOKEN, *own_user, "--include-tag", "accounts", "--phases", "coverage,fuzzing"
    )
    assert found.failures == (), found.log[-6_000:]
    assert Client(service, token)("GET", "/me").status == 200, "the run has made its own token useless"
