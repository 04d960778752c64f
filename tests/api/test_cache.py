from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sbf_api.breaker import Breaker
from sbf_api.cache import MAX_RESPONSE_BYTES, CachedEmbedder, ResponseCache, etag, matches
from sbf_api.recent import ENTRY_BYTES, Recent
from sbf_api.settings import ServiceSettings
from sbf_api.shared_memory import SharedMemory
from tests.api.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sbf_kernel.models import Embedder, Vector


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def away() -> SharedMemory:
    return SharedMemory(ServiceSettings())


class Truth:
    """The database: what each tenant has, and the epoch that every write bumps with it."""

    def __init__(self) -> None:
        self.content = dict.fromkeys("ab", 0)
        self.epoch = dict.fromkeys("ab", 0)

    def write(self, tenant: str) -> None:
        self.content[tenant] += 1
        self.epoch[tenant] += 1

    def reply(self, tenant: str, request: str) -> bytes:
        return f"{tenant} {request} {self.content[tenant]}".encode()


class CacheMachine(RuleBasedStateMachine):
    """Two processes read and write through caches over one Redis, which comes and goes: nobody reads what is stale."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.redis = RedisServer()
        self.up = True
        self.truth = Truth()
        self.memories = [self.runner.run(self._open()) for _ in range(2)]
        self.caches = [ResponseCache(memory, max_bytes=3 * (ENTRY_BYTES + 10)) for memory in self.memories]

    async def _open(self) -> SharedMemory:
        return SharedMemory(self.redis.settings(), Breaker("Redis", seconds=0.0), seconds=5)

    def teardown(self) -> None:
        for memory in self.memories:
            self.runner.run(memory.close())
        self.runner.close()
        self.redis.close()

    @rule(tenant=st.sampled_from("ab"))
    def write(self, tenant: str) -> None:
        self.truth.write(tenant)

    @rule(process=st.integers(0, 1), tenant=st.sampled_from("ab"), request=st.sampled_from("xyz"), during=st.booleans())
    def read(self, process: int, tenant: str, request: str, during: bool) -> None:
        """Read; ``during``: a write lands after the epoch was read and before the data are."""
        before = self.truth.reply(tenant, request)

        async def produce() -> tuple[bytes, bool]:
            if during:
                self.truth.write(tenant)
            await asyncio.sleep(0)
            return self.truth.reply(tenant, request), True

        epoch = self.truth.epoch[tenant]
        body, _ = self.runner.run(self.caches[process].fetch(tenant, epoch, request, produce))
        assert body in (before, self.truth.reply(tenant, request))

    @rule(process=st.integers(0, 1), tenant=st.sampled_from("ab"), request=st.sampled_from("xyz"))
    def look(self, process: int, tenant: str, request: str) -> None:
        body = self.runner.run(self.caches[process].get(tenant, self.truth.epoch[tenant], request))
        assert body in (None, self.truth.reply(tenant, request))

    @rule(process=st.integers(0, 1), tenant=st.sampled_from("ab"), request=st.sampled_from("xyz"))
    def keep(self, process: int, tenant: str, request: str) -> None:
        body, epoch = self.truth.reply(tenant, request), self.truth.epoch[tenant]
        self.runner.run(self.caches[process].put(tenant, epoch, request, body))
        assert self.runner.run(self.caches[process].get(tenant, epoch, request)) == body

    @rule()
    def redis_forgets(self) -> None:
        self.runner.run(self.memories[0].run("FLUSHALL"))

    @rule()
    def redis_dies_or_returns(self) -> None:
        if self.up:
            self.redis.kill()
        else:
            self.redis.start()
        self.up = not self.up

    @invariant()
    def memory_is_bounded(self) -> None:
        assert all(cache._shelf.near.size <= 3 * (ENTRY_BYTES + 10) for cache in self.caches)


TestCache = CacheMachine.TestCase
TestCache.settings = settings(max_examples=20, stateful_step_count=50, deadline=None)


async def test_ten_thousand_interleaved_reads_of_two_users_never_cross(redis: RedisServer) -> None:
    chance = random.Random(7)
    crossed: list[Any] = []
    hits = done = 0
    async with redis.shared() as shared:
        caches = [ResponseCache(shared, max_bytes=2 * (ENTRY_BYTES + 60)) for _ in range(2)]

        async def read(user: str, number: int) -> None:
            nonlocal hits, done

            async def produce() -> tuple[bytes, bool]:
                await asyncio.sleep(chance.choice((0, 0, 0.001)))
                return f"{user} epoch {epoch} question {question}".encode(), chance.random() < 0.9

            epoch, question = number // 500, f"same question {chance.randrange(5)}"
            body, hit = await caches[number % 2].fetch(user, epoch, question, produce)
            done += 1
            hits += hit
            if body != f"{user} epoch {epoch} question {question}".encode():
                crossed.append((user, epoch, question, body))

        for start in range(0, 10_000, 100):
            tasks = [asyncio.create_task(read(chance.choice(("ann", "ben")), start + n)) for n in range(100)]
            await asyncio.sleep(0)
            for task in tasks:
                if chance.random() < 0.05:
                    task.cancel()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                assert outcome is None or isinstance(outcome, asyncio.CancelledError), outcome
    assert crossed == []
    assert 9_000 < done < 10_000
    assert 2_000 < hits < done


async def test_another_process_finds_in_redis_what_this_one_kept_for_at_most_a_minute(redis: RedisServer) -> None:
    async with redis.shared() as shared, redis.shared() as other:
        await ResponseCache(shared).put("ann", 3, "request", b"body")
        elsewhere = ResponseCache(other)
        assert await elsewhere.get("ann", 3, "request") == b"body"
        assert await elsewhere.get("ann", 4, "request") is None
        assert await elsewhere.get("ben", 3, "request") is None
        assert await elsewhere.get("ann", 3, "another") is None
        (name,) = await shared.run("KEYS", "*")
        assert 0 < await shared.run("TTL", name) <= 30
        assert b"ann" not in name
        await shared.run("FLUSHALL")
        assert await elsewhere.get("ann", 3, "request") == b"body"  # it has its own copy by now


async def test_a_value_under_a_wrong_name_is_a_miss(redis: RedisServer) -> None:
    async with redis.shared() as shared:
        await ResponseCache(shared).put("ann", 1, "request", b"for ann")
        (anns,) = await shared.run("KEYS", "*")
        value = await shared.run("GET", anns)
        await ResponseCache(shared).put("ben", 1, "request", b"for ben")
        bens = next(name for name in await shared.run("KEYS", "*") if name != anns)
        for wrong in (value, b"", b"for ann"):
            await shared.run("SET", bens, wrong)
            assert await ResponseCache(shared).get("ben", 1, "request") is None
        await shared.run("DEL", bens)
        await shared.run("LPUSH", bens, "no string at all")
        assert await ResponseCache(shared).get("ben", 1, "request") is None


async def test_parts_of_a_name_do_not_run_together() -> None:
    cache = ResponseCache(away())
    await cache.put("ann", 11, "1", b"one")
    assert await cache.get("ann", 1, "11") is None
    await cache.put('a", 1, "b', 1, "r", b"two")
    assert await cache.get("a", 1, 'b", 1, "r') is None


async def test_a_large_body_is_returned_and_not_kept(redis: RedisServer) -> None:
    async with redis.shared() as shared:
        cache = ResponseCache(shared)
        for size, kept in ((MAX_RESPONSE_BYTES, True), (MAX_RESPONSE_BYTES + 1, False)):
            body = b"x" * size

            async def produce(body: bytes = body) -> tuple[bytes, bool]:
                return body, True

            assert await cache.fetch("ann", 1, str(size), produce) == (body, False)
            assert (await cache.get("ann", 1, str(size)) is not None) == kept
            await cache.put("ben", 1, str(size), body)
            assert (await cache.get("ben", 1, str(size)) is not None) == kept


class Work:
    """A reply that takes a while, and how often it was made."""

    def __init__(self, shareable: bool = True) -> None:
        self.begun = 0
        self.go = asyncio.Event()
        self.shareable = shareable
        self.fails = False

    async def __call__(self) -> tuple[bytes, bool]:
        self.begun += 1
        await self.go.wait()
        if self.fails:
            raise RuntimeError("the database broke")
        return b"reply", self.shareable


async def _crowd(cache: ResponseCache, work: Work) -> list[asyncio.Task[tuple[bytes, bool]]]:
    tasks = [asyncio.create_task(cache.fetch("ann", 1, "request", work)) for _ in range(50)]
    while not work.begun:
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    return tasks


async def test_what_a_crowd_asks_at_the_same_moment_is_made_once(redis: RedisServer) -> None:
    async with redis.shared() as shared:
        work, cache = Work(), ResponseCache(shared)
        tasks = await _crowd(cache, work)
        work.go.set()
        assert sorted(await asyncio.gather(*tasks)) == [(b"reply", False)] + [(b"reply", True)] * 49
        assert work.begun == 1


async def test_what_is_not_for_others_is_made_for_each_and_not_kept() -> None:
    work, cache = Work(shareable=False), ResponseCache(away())
    tasks = await _crowd(cache, work)
    work.go.set()
    assert await asyncio.gather(*tasks) == [(b"reply", False)] * 50
    assert work.begun == 50
    assert await cache.get("ann", 1, "request") is None


async def test_when_the_first_is_cancelled_or_fails_the_others_go_on_alone() -> None:
    cache = ResponseCache(away())
    work = Work()
    tasks = await _crowd(cache, work)
    tasks[0].cancel()
    work.go.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert outcomes[1:] == [(b"reply", False)] * 49

    work = Work()
    work.fails = True
    tasks = await _crowd(cache, work)
    work.go.set()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(outcome, RuntimeError)
    work.fails = False
    assert await cache.fetch("ann", 1, "request", work) == (b"reply", False)
    assert await cache.fetch("ann", 1, "request", work) == (b"reply", True)


async def test_who_waits_and_gives_up_takes_nobody_along() -> None:
    work, cache = Work(), ResponseCache(away())
    tasks = await _crowd(cache, work)
    for task in tasks[1:40]:
        task.cancel()
    await asyncio.sleep(0)
    work.go.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert outcomes[0] == (b"reply", False)
    assert outcomes[40:] == [(b"reply", True)] * 10
    assert work.begun == 1


class CountingEmbedder:
    """Vectors from digests, and what was asked for."""

    id, dimensions, languages = "digest", 8, None

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.closed = False

    async def embed_query(self, text: str) -> Vector:
        self.asked.append(text)
        digest = hashlib.sha256(text.encode(errors="surrogatepass")).digest()
        return np.frombuffer(digest, np.uint8)[:8].astype(np.float32)

    async def embed_passages(self, texts: Sequence[str]) -> list[Vector]:
        return [await self.embed_query(text) for text in texts]

    def close(self) -> None:
        self.closed = True


async def test_a_question_is_embedded_once_for_all_processes(redis: RedisServer) -> None:
    async with redis.shared() as shared, redis.shared() as other:
        real = CountingEmbedder()
        here: Embedder = CachedEmbedder(real, shared)
        there: Embedder = CachedEmbedder(real, other)
        expected = await real.embed_query("why?")
        for embedder in (here, here, there, there):
            vector = await embedder.embed_query("why?")
            assert vector.dtype == np.float32
            assert np.array_equal(vector, expected)
            vector[:] = 0  # what a caller does with it must not reach the next
        assert real.asked == ["why?", "why?"]
        await there.embed_query("why not?")
        assert real.asked[2:] == ["why not?"]
        assert (here.id, here.dimensions, here.languages) == ("digest", 8, None)


async def test_the_vectors_of_another_model_and_broken_ones_are_not_taken(redis: RedisServer) -> None:
    async with redis.shared() as shared:
        first, second = CountingEmbedder(), CountingEmbedder()
        second.id = "another"
        await CachedEmbedder(first, shared).embed_query("why?")
        (name,) = await shared.run("KEYS", "*")
        await CachedEmbedder(second, shared).embed_query("why?")
        assert second.asked == ["why?"]
        value = await shared.run("GET", name)
        await shared.run("SET", name, value[:-4])
        assert (await CachedEmbedder(first, shared).embed_query("why?")).shape == (8,)
        assert first.asked == ["why?", "why?"]


async def test_passages_are_not_cached_and_closing_closes_the_real_one() -> None:
    real = CountingEmbedder()
    embedder = CachedEmbedder(real, away())
    await embedder.embed_passages(["a", "a"])
    assert real.asked == ["a", "a"]
    assert not real.closed
    embedder.close()
    assert real.closed


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 3), st.integers(0, 40)), max_size=60))
def test_recent_values_are_kept_as_long_and_as_much_as_allowed(steps: list[tuple[str, int, int]]) -> None:
    now, room = 0, 3 * ENTRY_BYTES
    recent = Recent(room, 5, lambda: now)
    model: dict[str, tuple[int, bytes]] = {}  # in the order of use
    for key, pause, size in steps:
        now += pause
        if size % 2:
            found = recent.get(key)
            known = model.pop(key, None)
            if known is not None and now - known[0] < 5:
                model[key] = known
            assert found == (model[key][1] if key in model else None)
        else:
            model.pop(key, None)
            model[key] = (now, b"v" * size)
            recent.put(key, b"v" * size)
            while sum(ENTRY_BYTES + len(value) for _, value in model.values()) > room:
                del model[next(iter(model))]
        assert recent.size == sum(ENTRY_BYTES + len(value) for _, value in model.values()) <= room


def test_a_value_larger_than_the_room_leaves_it_empty() -> None:
    recent = Recent(1_000, 5)
    recent.put("small", b"")
    recent.put("large", b"x" * 1_000)
    assert (recent.get("large"), recent.get("small"), recent.size) == (None, None, 0)


_tags = st.binary(max_size=20).map(etag)


@given(_tags, st.lists(st.tuples(_tags, st.booleans()), max_size=5), st.sampled_from([",", ", ", " ,\t"]))
def test_if_none_match_names_a_tag_in_a_list_weak_or_not(
    tag: str, others: list[tuple[str, bool]], between: str
) -> None:
    header = between.join(("W/" if weak else "") + other for other, weak in others)
    assert matches(header, tag) == (tag in {other for other, _ in others})
    for also in (f"{header}{between}{tag}", f"W/{tag}{between}{header}"):
        assert matches(also, tag)


@given(st.text(alphabet='"W/*, abc0\xff', max_size=40))
def test_any_if_none_match_can_be_read(header: str) -> None:
    assert isinstance(matches(header, etag(b"")), bool)


def test_entity_tags_are_strong_and_of_the_content() -> None:
    assert etag(b"a") == etag(b"a") != etag(b"b")
    assert etag(b"").startswith('"')
    assert matches("*", etag(b""))
    assert matches(" * ", etag(b""))
    assert not matches(None, etag(b""))
    assert not matches("", etag(b""))
    assert not matches(etag(b"").strip('"'), etag(b""))
    assert not matches(f'"x{etag(b"")[1:]}', etag(b""))
