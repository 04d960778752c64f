"""Allowances as a client meets them: whose they are, what is counted, and what an answer tells of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sbf_api.settings import ServiceSettings
from tests.api.conftest import Client
from tests.serving import Serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sbf_kernel.backends.loop import LoopThread
    from sbf_kernel.records import Principal
    from sbf_kernel.runtime import Runtime

SIGN_IN: dict[str, Any] = {"name": "nobody", "password": "a guess"}


@pytest.fixture
def url(runtime: Runtime, loop: LoopThread, home: Path) -> Iterator[str]:
    """A service that nobody has asked yet."""
    settings = ServiceSettings(
        home=home, threads=2, static=True, request_seconds=60, rate_default=20, rate_sign_in=5, rate_bad_tokens=8
    )
    with Serving(settings, runtime, loop) as running:
        yield running.url


def test_a_refused_sign_in_tells_the_allowance_that_refused_it(url: str) -> None:
    answers = [Client(url, None)("POST", "/auth/sign-in", SIGN_IN) for _ in range(6)]
    assert [found.status for found in answers] == [401] * 5 + [429]
    told = answers[-1].headers
    assert (told["x-ratelimit-limit"], told["x-ratelimit-remaining"]) == ("5", "0")
    assert told["x-ratelimit-reset"] == told["retry-after"]


def test_guesses_at_a_password_by_who_is_signed_in_count_as_sign_ins(
    url: str, new_user: Callable[..., Principal], new_token: Callable[..., str]
) -> None:
    guess = {"password": "a guess", "new_password": "staple horse correct"}
    first, second = (Client(url, new_token(new_user(role="admin"))) for _ in range(2))
    answers = [first("POST", "/me/password", guess) for _ in range(6)]
    assert [found.status for found in answers] == [401] * 5 + [429]
    assert answers[-1].headers["x-ratelimit-limit"] == "5"
    assert second("POST", "/me/password", guess).status == 429, "from the same address"
    assert Client(url, None)("POST", "/auth/sign-in", SIGN_IN).status == 429


def test_tokens_that_are_not_good_are_counted_by_address_and_good_ones_are_not(
    url: str, new_user: Callable[..., Principal], new_token: Callable[..., str]
) -> None:
    good = Client(url, new_token(new_user()))
    guesses = [Client(url, f"sbf_{number:043}") for number in range(12)]
    found = []
    for guess in guesses:
        found.append(guess("GET", "/me"))
        assert good("GET", "/me").status == 200, "who has a good token is let in, whatever others of the address do"
    assert [one.status for one in found] == [401] * 8 + [429] * 4
    told = found[-1]
    assert told.json["code"] == "too_many_requests"
    assert "tokens" in told.json["detail"]
    assert (told.headers["x-ratelimit-limit"], told.headers["x-ratelimit-remaining"]) == ("8", "0")
    assert told.headers["retry-after"] == told.headers["x-ratelimit-reset"]
    assert Client(url, None)("GET", "/me").status == 401, "no token at all is no guess"


def test_looking_at_the_health_leaves_the_ways_in_open(url: str) -> None:
    anonymous = Client(url, None)
    assert [anonymous("GET", "/health").status for _ in range(22)] == [200] * 20 + [429] * 2
    assert anonymous("POST", "/auth/sign-in", SIGN_IN).status == 401
    assert anonymous("POST", "/auth/refresh", {"refresh_token": "sbr_x"}).status == 401
    accepted = anonymous("POST", "/auth/accept", {"invitation": "sbi_x", "name": "ann", "password": "x" * 12})
    assert accepted.status in (401, 404, 409)
    assert anonymous("POST", "/auth/sign-out", {"refresh_token": "sbr_x"}).status == 204


def test_each_way_in_has_an_allowance_of_its_own(url: str) -> None:
    anonymous = Client(url, None)
    refreshed = [anonymous("POST", "/auth/refresh", {"refresh_token": "sbr_x"}).status for _ in range(22)]
    assert refreshed == [401] * 20 + [429] * 2
    assert anonymous("POST", "/auth/sign-in", SIGN_IN).status == 401
