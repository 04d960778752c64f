"""Tokens: which are taken, that none else is, that each works as often and as long as promised."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from sbf_kernel.accounts import authenticate, sign_ins, tokens, users
from sbf_kernel.accounts.gate import CREDENTIAL_SECONDS, gate_of
from sbf_kernel.accounts.passwords import Passwords
from sbf_kernel.errors import Conflict, NotSignedIn
from sbf_kernel.records import Principal, Tokens, User
from sbf_kernel.storage.database import Database
from tests.integration.token_forge import FORGED, Forge

if TYPE_CHECKING:
    from sbf_kernel.backends.loop import LoopThread
    from sbf_kernel.runtime import Runtime

PASSWORD = "correct horse battery"
Run = Callable[[Awaitable[Any]], Any]


@pytest.fixture(autouse=True)
def cheap_hashes(runtime: Runtime) -> Iterator[None]:
    """The same algorithm with the least parameters: hashes are not what is tested here."""
    gate = gate_of(runtime)
    before, gate.passwords = gate.passwords, Passwords(PasswordHash((Argon2Hasher(1, 8, 1),)))
    yield
    gate.passwords = before


@pytest.fixture
def run(loop: LoopThread) -> Run:
    return loop.run  # type: ignore[return-value]


@pytest.fixture
def other(runtime: Runtime, run: Run) -> Iterator[Runtime]:
    """What another process would have: its own pool, caches and keys, on the same database."""
    made = replace(runtime, db=Database(runtime.db.conninfo, None, runtime.settings))
    gate_of(made).passwords = gate_of(runtime).passwords
    yield made
    run(made.db.close())


class Known(NamedTuple):
    """A user, signed in, with an API token."""

    user: User
    tokens: Tokens
    api_token: str
    principal: Principal


@pytest.fixture
def make_user(runtime: Runtime, run: Run) -> Callable[..., Known]:
    def make(role: Any = "member") -> Known:
        user = run(users.create(runtime, f"user-{uuid4().hex}", PASSWORD, role))
        principal = Principal(user_id=str(user.id), roles=(role,))
        token = run(users.create_api_token(runtime, principal, "t", ("read", "write"), None))
        return Known(user, run(sign_ins.sign_in(runtime, user.name, PASSWORD)), token.secret, principal)

    return make


@pytest.fixture
def ann(make_user: Callable[..., Known]) -> Known:
    return make_user()


def forge_for(runtime: Runtime, known: Known) -> Forge:
    keys = gate_of(runtime).keys
    kid, key = next(iter(keys.items()))
    claims = tokens.read(keys, known.tokens.access_token)
    assert claims is not None
    return Forge(kid, key, claims)


def refused(run: Run, work: Awaitable[Any]) -> None:
    with pytest.raises(NotSignedIn) as caught:
        run(work)
    assert caught.value.as_dict() == tokens.refused().as_dict()


def execute(runtime: Runtime, statement: str, *values: Any) -> None:
    with psycopg.connect(runtime.db.conninfo, options="-c search_path=sbf,public") as connection:
        assert connection.execute(statement, values).rowcount == 1


def test_genuine_tokens_are_taken(runtime: Runtime, run: Run, ann: Known) -> None:
    """Without this the table below would prove nothing."""
    forge = forge_for(runtime, ann)
    assert run(authenticate(runtime, ann.tokens.access_token)) == ann.principal
    assert run(authenticate(runtime, forge())) == ann.principal
    assert run(authenticate(runtime, forge(exp=int(time.time()) - 25))) == ann.principal  # clocks differ
    assert run(authenticate(runtime, forge(iat=int(time.time()) + 25, exp=int(time.time()) + 925))) == ann.principal
    assert run(authenticate(runtime, ann.api_token)).scopes == ("read", "write")
    assert run(sign_ins.refresh(runtime, ann.tokens.refresh_token)).access_token


@pytest.mark.parametrize("wrong", FORGED)
def test_a_forged_access_token_is_refused(runtime: Runtime, run: Run, ann: Known, wrong: str) -> None:
    run(users.update(runtime, ann.user.id, password=PASSWORD))  # so that there is an epoch before
    known = ann._replace(tokens=run(sign_ins.sign_in(runtime, ann.user.name, PASSWORD)))
    forge = forge_for(runtime, known)
    assert run(authenticate(runtime, forge())) == ann.principal
    refused(run, authenticate(runtime, FORGED[wrong](forge)))


CONFUSED: dict[str, Callable[[Known], str]] = {
    "a refresh token": lambda k: k.tokens.refresh_token,
    "a refresh token under the API's prefix": lambda k: tokens.API + k.tokens.refresh_token[len(tokens.REFRESH) :],
    "an API token cut": lambda k: k.api_token[:-1],
    "an API token with more": lambda k: k.api_token + "A",
    "an API token in other case": lambda k: k.api_token[:4] + k.api_token[4:].swapcase(),
    "an API token without prefix": lambda k: k.api_token[len(tokens.API) :],
    "an API token with a capital prefix": lambda k: "SBF_" + k.api_token[len(tokens.API) :],
    "what is stored of an API token": lambda k: tokens.API + tokens.fingerprint(k.api_token).hex(),
    "the prefix alone": lambda k: tokens.API,
    "an API token twice": lambda k: f"{k.api_token},{k.api_token}",
    "an API token with a space": lambda k: k.api_token + " ",
    "the user's id": lambda k: str(k.user.id),
    "the user's name": lambda k: k.user.name,
    "the password": lambda k: PASSWORD,
    "a wildcard": lambda k: tokens.API + "%",
}


@pytest.mark.parametrize("wrong", CONFUSED)
def test_a_secret_in_the_wrong_place_is_refused(runtime: Runtime, run: Run, ann: Known, wrong: str) -> None:
    refused(run, authenticate(runtime, CONFUSED[wrong](ann)))


@pytest.mark.parametrize(
    "wrong",
    [lambda k: k.tokens.access_token, lambda k: k.api_token, lambda k: "", lambda k: tokens.new_secret(tokens.REFRESH),
     lambda k: k.tokens.refresh_token[:-1], lambda k: k.tokens.refresh_token + "\0", lambda k: "x" * 100_000],
    ids=["access token", "API token", "empty", "unknown", "cut", "with NUL", "huge"],
)  # fmt: skip
def test_what_is_no_refresh_token_gives_no_tokens(runtime: Runtime, run: Run, ann: Known, wrong: Any) -> None:
    refused(run, sign_ins.refresh(runtime, wrong(ann)))
    assert run(sign_ins.refresh(runtime, ann.tokens.refresh_token))


def test_a_refresh_token_that_is_over_is_refused(runtime: Runtime, run: Run, ann: Known) -> None:
    execute(
        runtime,
        "update refresh_tokens set expires_at = now() - interval '1 second' where hash = %s",
        tokens.fingerprint(ann.tokens.refresh_token),
    )
    refused(run, sign_ins.refresh(runtime, ann.tokens.refresh_token))


def test_an_api_token_ends_on_time_also_when_it_is_remembered(runtime: Runtime, run: Run, ann: Known) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1)
    made = run(users.create_api_token(runtime, ann.principal, "short", ("read",), soon))
    assert run(authenticate(runtime, made.secret)).user_id == str(ann.user.id)
    time.sleep(1.05)
    refused(run, authenticate(runtime, made.secret))


def test_a_revoked_api_token_is_refused_at_once_here(runtime: Runtime, run: Run, ann: Known) -> None:
    made = run(users.create_api_token(runtime, ann.principal, "gone", ("read",), None))
    assert run(authenticate(runtime, made.secret))
    run(users.revoke_api_token(runtime, ann.principal, made.token.id))
    refused(run, authenticate(runtime, made.secret))
    assert run(authenticate(runtime, ann.api_token))


def test_an_invitation_works_once_in_time_and_for_nothing_else(runtime: Runtime, run: Run, ann: Known) -> None:
    invitation = run(users.invite(runtime, "member", 1))
    refused(run, authenticate(runtime, invitation.secret))
    refused(run, sign_ins.refresh(runtime, invitation.secret))
    for wrong in (ann.tokens.refresh_token, ann.api_token, invitation.secret[:-1], ""):
        refused(run, users.accept(runtime, wrong, f"new-{uuid4().hex}", PASSWORD))
    with pytest.raises(Conflict):  # and is not used up by that
        run(users.accept(runtime, invitation.secret, ann.user.name, PASSWORD))
    assert run(users.accept(runtime, invitation.secret, f"new-{uuid4().hex}", PASSWORD)).role == "member"
    refused(run, users.accept(runtime, invitation.secret, f"new-{uuid4().hex}", PASSWORD))
    late = run(users.invite(runtime, "member", 1))
    execute(
        runtime,
        "update invitations set expires_at = now() - interval '1 second' where hash = %s",
        tokens.fingerprint(late.secret),
    )
    refused(run, users.accept(runtime, late.secret, f"new-{uuid4().hex}", PASSWORD))


def test_one_of_many_who_accept_an_invitation_at_once_becomes_a_user(runtime: Runtime, run: Run) -> None:
    invitation = run(users.invite(runtime, "member", 1))

    async def accept_all() -> list[Any]:
        attempts = (users.accept(runtime, invitation.secret, f"new-{uuid4().hex}", PASSWORD) for _ in range(20))
        return await asyncio.gather(*attempts, return_exceptions=True)

    outcomes = run(accept_all())
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NotSignedIn"] * 19 + ["User"]


def test_of_fifty_who_refresh_at_once_one_gets_tokens_and_the_sign_in_ends(
    runtime: Runtime, other: Runtime, run: Run, ann: Known
) -> None:
    async def refresh_all() -> list[Any]:
        attempts = (sign_ins.refresh((runtime, other)[n % 2], ann.tokens.refresh_token) for n in range(50))
        return await asyncio.gather(*attempts, return_exceptions=True)

    outcomes = run(refresh_all())
    winners = [outcome for outcome in outcomes if isinstance(outcome, Tokens)]
    assert len(winners) == 1
    assert [type(o) for o in outcomes if not isinstance(o, Tokens)] == [NotSignedIn] * 49
    refused(run, sign_ins.refresh(runtime, winners[0].refresh_token))
    gate_of(runtime).credentials.forget()
    refused(run, authenticate(runtime, winners[0].access_token))
    refused(run, authenticate(runtime, ann.tokens.access_token))
    assert run(authenticate(runtime, ann.api_token))  # what did not come from that sign-in stays


def test_a_sign_in_made_with_a_password_that_changed_meanwhile_is_void(runtime: Runtime, run: Run, ann: Known) -> None:
    async def both() -> Tokens:
        verify = gate_of(runtime).passwords.verify

        async def slow(password: str, stored: str | None) -> tuple[bool, str | None]:
            outcome = await verify(password, stored)
            await users.update(runtime, ann.user.id, password="another password")
            return outcome

        gate_of(runtime).passwords.verify = slow  # type: ignore[method-assign]
        return await sign_ins.sign_in(runtime, ann.user.name, PASSWORD)

    late = run(both())
    refused(run, authenticate(runtime, late.access_token))
    refused(run, sign_ins.refresh(runtime, late.refresh_token))


def test_just_after_a_change_no_api_token_is_made(runtime: Runtime, run: Run, ann: Known) -> None:
    """Else a thief whom another process still takes for good could make one that stays."""
    run(users.update(runtime, ann.user.id, password="another password"))
    with pytest.raises(Conflict, match="just after"):
        run(users.create_api_token(runtime, ann.principal, "t", ("read",), None))
    execute(runtime, "update users set epoch_at = now() - interval '6 seconds' where id = %s", ann.user.id)
    assert run(users.create_api_token(runtime, ann.principal, "t", ("read",), None))


CHANGES: dict[str, Callable[[Runtime, Known], Awaitable[Any]]] = {
    "suspended": lambda r, k: users.update(r, k.user.id, status="suspended"),
    "another password": lambda r, k: users.change_password(r, k.principal, PASSWORD, "another password"),
    "another role": lambda r, k: users.update(r, k.user.id, role="admin"),
    "deleted": lambda r, k: users.delete(r, k.user.id),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_credential_ends_within_five_seconds_in_every_process(
    runtime: Runtime, other: Runtime, run: Run, make_user: Callable[..., Known], change: str
) -> None:
    make_user("admin")  # somebody stays who may
    known = make_user()
    bearers = (known.tokens.access_token, known.api_token)
    for bearer in bearers:  # both remember them
        assert run(authenticate(runtime, bearer)).user_id == run(authenticate(other, bearer)).user_id
    began = time.monotonic()
    run(CHANGES[change](runtime, known))
    for bearer in bearers:
        refused(run, authenticate(runtime, bearer))
    refused(run, sign_ins.refresh(other, known.tokens.refresh_token))
    left = set(bearers)
    while left:
        assert time.monotonic() - began < 5
        left = {bearer for bearer in left if _is_taken(run, other, bearer)}
        time.sleep(0.05)
    assert CREDENTIAL_SECONDS < 4.5
    if change == "suspended":
        with pytest.raises(NotSignedIn):
            run(sign_ins.sign_in(runtime, known.user.name, PASSWORD))
        run(users.update(runtime, known.user.id, status="active"))
        refused(run, authenticate(runtime, known.api_token))  # what was void stays void
        assert run(sign_ins.sign_in(runtime, known.user.name, PASSWORD))


def _is_taken(run: Run, runtime: Runtime, bearer: str) -> bool:
    try:
        run(authenticate(runtime, bearer))
    except NotSignedIn:
        return False
    return True


def test_signing_out_ends_access_and_refresh_tokens_of_that_sign_in_only(
    runtime: Runtime, run: Run, ann: Known
) -> None:
    second = run(sign_ins.sign_in(runtime, ann.user.name, PASSWORD))
    run(sign_ins.sign_out(runtime, ann.tokens.refresh_token))
    run(sign_ins.sign_out(runtime, "unknown"))
    gate_of(runtime).credentials.forget()
    refused(run, authenticate(runtime, ann.tokens.access_token))
    refused(run, sign_ins.refresh(runtime, ann.tokens.refresh_token))
    assert run(authenticate(runtime, second.access_token)) == ann.principal


def test_the_use_of_a_token_is_noted_once_a_minute(runtime: Runtime, run: Run, ann: Known) -> None:
    def last_used() -> datetime | None:
        with psycopg.connect(runtime.db.conninfo) as connection:
            row = connection.execute(
                "select last_used_at from sbf.api_tokens where hash = %s", [tokens.fingerprint(ann.api_token)]
            ).fetchone()
            assert row is not None
            found: datetime | None = row[0]
            return found

    assert last_used() is None
    run(authenticate(runtime, ann.api_token))
    first = last_used()
    assert first is not None
    gate_of(runtime).credentials.forget()
    run(authenticate(runtime, ann.api_token))
    assert last_used() == first
    execute(
        runtime,
        "update api_tokens set last_used_at = last_used_at - interval '61 seconds' where hash = %s",
        tokens.fingerprint(ann.api_token),
    )
    gate_of(runtime).credentials.forget()
    run(authenticate(runtime, ann.api_token))
    again = last_used()
    assert again is not None
    assert again > first


def test_secrets_are_stored_nowhere(runtime: Runtime, run: Run, ann: Known) -> None:
    invitation = run(users.invite(runtime, "member", 1))
    with psycopg.connect(runtime.db.conninfo) as connection:
        for table in ("users", "sign_ins", "refresh_tokens", "api_tokens", "invitations"):
            stored = str(connection.execute(f"select t::text from sbf.{table} t").fetchall())
            for secret in (ann.tokens.refresh_token, ann.api_token, invitation.secret, PASSWORD):
                assert secret not in stored
                assert secret[4:] not in stored


def test_two_administrators_who_suspend_each_other_at_once_leave_one(
    runtime: Runtime, run: Run, make_user: Callable[..., Known]
) -> None:
    with psycopg.connect(runtime.db.conninfo) as connection:  # those of other tests
        connection.execute("update sbf.users set role = 'member'")
    one, two = make_user("admin").user, make_user("admin").user

    async def both() -> list[Any]:
        # Their rows are held back until both are at work.
        async with await psycopg.AsyncConnection.connect(runtime.db.conninfo) as connection:
            await connection.execute("select 1 from sbf.users where role = 'admin' for update")
            attempts = [asyncio.create_task(users.update(runtime, user.id, status="suspended")) for user in (one, two)]
            done, _ = await asyncio.wait(attempts, timeout=0.5)
            assert not done
        return await asyncio.gather(*attempts, return_exceptions=True)

    assert sorted(type(outcome).__name__ for outcome in run(both())) == ["Conflict", "User"]


def test_the_tables_of_accounts_are_closed_to_tenants_and_those_of_tenants_to_accounts(runtime: Runtime) -> None:
    with psycopg.connect(runtime.db.conninfo, autocommit=True) as connection:
        for role, tables in (
            ("sbf_app", ("users", "sign_ins", "refresh_tokens", "api_tokens", "invitations")),
            ("sbf_accounts", ("notebooks", "sources", "chunks", "answers", "chats")),
        ):
            connection.execute(f"set role {role}")
            for table in tables:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(f"select * from sbf.{table}")
            connection.execute("reset role")


def test_any_order_of_uses_of_refresh_tokens_ends_as_the_model_says(
    runtime: Runtime, run: Run, make_user: Callable[..., Known]
) -> None:
    known = make_user()

    class Families(RuleBasedStateMachine):
        """A token is good when it is the newest of a family that nobody ended."""

        @initialize()
        def begin(self) -> None:
            self.families: list[list[str]] = []
            self.ended: set[int] = set()

        @rule()
        def sign_in(self) -> None:
            self.families.append([run(sign_ins.sign_in(runtime, known.user.name, PASSWORD)).refresh_token])

        @precondition(lambda self: self.families)
        @rule(data=st.data())
        def refresh(self, data: st.DataObject) -> None:
            number = data.draw(st.integers(0, len(self.families) - 1))
            family = self.families[number]
            token = data.draw(st.sampled_from(family[::-1]))
            if number not in self.ended and token == family[-1]:
                fresh = run(sign_ins.refresh(runtime, token))
                family.append(fresh.refresh_token)
                assert run(authenticate(runtime, fresh.access_token)) == known.principal
            else:
                refused(run, sign_ins.refresh(runtime, token))
                self.ended.add(number)

        @precondition(lambda self: self.families)
        @rule(data=st.data())
        def sign_out(self, data: st.DataObject) -> None:
            number = data.draw(st.integers(0, len(self.families) - 1))
            run(sign_ins.sign_out(runtime, data.draw(st.sampled_from(self.families[number]))))
            self.ended.add(number)

        @rule()
        def change_password(self) -> None:
            run(users.change_password(runtime, known.principal, PASSWORD, PASSWORD))
            self.ended.update(range(len(self.families)))

    run_state_machine_as_test(
        Families,
        settings=hypothesis_settings(
            max_examples=20, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
