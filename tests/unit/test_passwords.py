"""Passwords: hashes, their parameters, and that no more are computed at once than there is memory for."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from sbf_kernel.accounts.passwords import AT_ONCE, Passwords, argon2id
from sbf_kernel.operations.accounts import caseless

CHEAP = PasswordHash((Argon2Hasher(1, 8, 1),))


async def test_a_hash_is_argon2id_with_the_parameters_of_the_rfc() -> None:
    passwords = Passwords()
    stored = await passwords.hash("correct horse")
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert await passwords.verify("correct horse", stored) == (True, None)
    assert await passwords.verify("Correct horse", stored) == (False, None)
    assert await passwords.hash("correct horse") != stored


async def test_a_hash_with_other_parameters_is_renewed_by_the_right_password_only() -> None:
    old = CHEAP.hash("correct horse")
    right, renewed = await Passwords(argon2id()).verify("correct horse", old)
    assert right
    assert renewed is not None
    assert renewed.startswith("$argon2id$v=19$m=65536,")
    assert await Passwords().verify("correct horse", renewed) == (True, None)
    assert await Passwords().verify("wrong", old) == (False, None)


async def test_nobody_has_no_password_not_even_that_of_the_dummy() -> None:
    passwords = Passwords(CHEAP)
    for guess in ("", "x", passwords._nobodys):
        assert await passwords.verify(guess, None) == (False, None)


async def test_somebody_unknown_costs_a_hash_too() -> None:
    hasher = _Counting()
    passwords = Passwords(hasher)
    await passwords.verify("x", CHEAP.hash("y"))
    await passwords.verify("x", None)
    assert hasher.verified == 2


async def test_two_hashes_are_computed_at_a_time_also_when_those_who_asked_have_left() -> None:
    hasher = _Counting()
    passwords = Passwords(hasher)
    stored = CHEAP.hash("x")
    asked = [asyncio.create_task(passwords.verify("x", stored)) for _ in range(20)]
    await asyncio.sleep(0.05)
    for task in asked[:10]:
        task.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    assert hasher.most == AT_ONCE
    assert 10 <= hasher.verified < 20  # those that had not begun were left out


async def test_the_loop_goes_on_while_a_hash_is_computed() -> None:
    work = asyncio.create_task(Passwords().hash("x"))
    turns = 0
    while not work.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert turns >= 5


async def test_composed_and_decomposed_letters_are_the_same_password() -> None:
    passwords = Passwords(CHEAP)
    stored = await passwords.hash("caf\u00e9 cr\u00e8me")
    assert await passwords.verify("cafe\u0301 cre\u0300me", stored) == (True, None)


@given(st.text(max_size=50))
@settings(deadline=None)
def test_a_name_has_one_form_for_all_cases(name: str) -> None:
    form = caseless(name)
    assert caseless(form) == form
    assert caseless(f"  {name.lower()} ") == caseless(name.lower())
    for other in (name.casefold(), name.swapcase().casefold()):
        assert caseless(other) == caseless(caseless(other))


def test_names_that_differ_in_case_or_composition_are_one() -> None:
    assert caseless("Stra\u00dfe") == caseless("STRASSE") == "strasse"
    assert caseless("Ame\u0301lie") == caseless("AM\u00c9LIE") == "am\u00e9lie"
    assert caseless(5) == 5


class _Counting(PasswordHash):
    """The real hasher; counts."""

    def __init__(self) -> None:
        super().__init__((Argon2Hasher(1, 8, 1),))
        self._lock = threading.Lock()
        self.running = self.most = self.verified = 0

    def verify_and_update(self, *arguments: Any) -> tuple[bool, str | None]:
        with self._lock:
            self.running += 1
            self.verified += 1
            self.most = max(self.most, self.running)
        threading.Event().wait(0.02)
        outcome = super().verify_and_update(*arguments)
        with self._lock:
            self.running -= 1
        return outcome
