"""Compare the chunker with plain fixed-size splitting: how much of what was asked for do five chunks hold.

Run ``python benchmarks/chunking.py DATA`` where ``DATA`` holds ``docs/*.md``
and ``queries.jsonl`` (``{"text", "doc_id", "references": [{"start_index",
"end_index"}]}``, offsets in code points), the layout of the chunking
evaluation of Smith & Troynikov ("Evaluating Chunking Strategies for
Retrieval", Chroma, 2024), whose metrics these are. Without data it says so and
exits 0. Vectors are cached in the temporary directory by hash of the text.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sbf_kernel.ingest import chunking
from sbf_kernel.models import builtin, sparse
from sbf_kernel.readers.reading import Block, Place, Reading

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESULTS = Path(__file__).parent / "results" / "chunking.json"
QUERY_PREFIX = "Represent this sentence for searching relevant passages: "
TOP, DEPTH, BUDGET = 5, 100, 1000
"""Chunks shown; depth of each arm before fusion; tokens in the equal-length comparison."""
FIXED = ((100, 0), (150, 0), (167, 0), (167, 33), (200, 0), (200, 40), (256, 0), (256, 51), (400, 0))
"""Size and overlap of the plain splitters, in tokens."""
TARGETS = (140, 160, 180, 200)


@dataclass(frozen=True)
class Passage:
    """One retrieved unit: where it stands, and what is indexed."""

    doc: str
    start: int
    end: int
    indexed: str
    tokens: int


Splitter = Callable[[Reading], Iterator[tuple[int, int, str]]]


class Embedder:
    """The built-in model, one text per run, with vectors cached by text."""

    def __init__(self) -> None:
        self._network = builtin.Network(builtin.BGE_SMALL)
        self._cache = sqlite3.connect(Path(tempfile.gettempdir(), "sbf-chunking-vectors.sqlite"))
        self._cache.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB, seconds REAL)")

    def embed(self, texts: list[str]) -> tuple[NDArray[np.float32], float]:
        """Return unit vectors, and the seconds of model time they took when they were first computed."""
        keys = [hashlib.sha256(text.encode()).digest() for text in texts]
        found: dict[bytes, tuple[bytes, float]] = {}
        for key in set(keys):
            row = self._cache.execute("SELECT vector, seconds FROM vectors WHERE key = ?", (key,)).fetchone()
            if row:
                found[key] = row
        todo = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        with ThreadPoolExecutor(2) as pool:
            for key, made in zip(todo, pool.map(self._one, todo.values()), strict=True):
                found[key] = made
                with self._cache:
                    self._cache.execute("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", (key, *made))
        vectors = np.stack([np.frombuffer(found[key][0], dtype=np.float32) for key in keys])
        return vectors, sum(found[key][1] for key in keys)

    def _one(self, text: str) -> tuple[bytes, float]:
        begin = time.thread_time()
        vector = self._network(text)[0, 0]
        return (vector / np.linalg.norm(vector)).astype(np.float32).tobytes(), time.thread_time() - begin


def read(text: str) -> Reading:
    """Return a document as a reading with offsets of the original text.

    One paragraph per line; ``= Title =`` is a heading whose level is the
    number of signs; two or more lines with `` | `` are a table.
    """
    blocks: list[Block] = []
    path: list[tuple[int, str]] = []
    header, number = "", 0
    for match in re.finditer(r"[^\n]*\S[^\n]*", text):
        line = match.group()
        start, end = match.start() + len(line) - len(line.lstrip()), match.start() + len(line.rstrip())
        level = len(signs.group(1).split()) if (signs := re.match(r" ((?:= )+)[^=]+(?:= )+\s*$", line)) else 0
        path = [step for step in path if not level or step[0] < level]
        place = Place(headings=tuple(title for _, title in path))
        apart = not blocks or text.count("\n", blocks[-1].end, start) > 1
        number = 0 if " | " not in line or apart else number + 1
        header = (text[start:end] if number == 0 else header) if " | " in line else ""
        kind = "heading" if level else "table" if header else "paragraph"
        blocks.append(Block(start, end, kind, place, header))  # type: ignore[arg-type]
        if level:
            path.append((level, text[start:end]))
    return Reading(text, tuple(blocks))


def fixed(size: int, overlap: int) -> Splitter:
    """Return the splitter that cuts every ``size`` tokens and repeats ``overlap`` of them."""

    def split(reading: Reading) -> Iterator[tuple[int, int, str]]:
        offsets = chunking.token_offsets()(reading.text)
        for first in range(0, max(1, len(offsets) - overlap), size - overlap):
            start, end = offsets[first][0], offsets[min(first + size, len(offsets)) - 1][1]
            yield start, end, reading.text[start:end]

    return split


def structure(target: int, *, context: bool = True) -> Splitter:
    """Return the chunker of the library with another target, or without the headings in what is indexed."""

    def split(reading: Reading) -> Iterator[tuple[int, int, str]]:
        usual, chunking.TARGET = chunking.TARGET, target  # type: ignore[misc]
        try:
            spans = chunking.chunk(reading, chunking.token_offsets())
        finally:
            chunking.TARGET = usual  # type: ignore[misc]
        for span in spans:
            text = reading.text[span.start : span.end]
            yield span.start, span.end, f"{span.context}\n{text}" if context and span.context else text

    return split


def split_all(readings: dict[str, Reading], split: Splitter) -> list[Passage]:
    """Return the passages of all documents."""
    count = chunking.token_offsets()
    return [
        Passage(doc, start, end, indexed, len(count(reading.text[start:end])))
        for doc, reading in readings.items()
        for start, end, indexed in split(reading)
    ]


def lexical_scores(passages: list[Passage], queries: list[dict[str, Any]]) -> NDArray[np.float32]:
    """Return BM25 of every query (rows) and passage (columns)."""
    postings: dict[int, list[tuple[int, float]]] = {}
    for index, passage in enumerate(passages):
        for term, weight in sparse.encode_passage(passage.indexed, "en").items():
            postings.setdefault(term, []).append((index, weight))
    scores = np.zeros((len(queries), len(passages)), dtype=np.float32)
    for row, query in enumerate(queries):
        for term, times in sparse.encode_query(query["text"], ["en"]).items():
            hits = postings.get(term, [])
            for index, weight in hits:
                scores[row, index] += times * weight * sparse.idf(len(hits), len(passages))
    return scores


def fuse(dense: NDArray[np.float32], lexical: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return passages of one query, best first: each arm's best, min-max normalised and averaged."""
    total = np.zeros(len(dense))
    for scores in (dense, lexical):
        top = np.argsort(-scores, kind="stable")[:DEPTH]
        top = top[scores[top] > 0]
        if len(top):
            low, high = scores[top].min(), scores[top].max()
            total[top] += 0.5 * (scores[top] - low) / max(high - low, 1e-9)
    return np.argsort(-total, kind="stable")


def measure(query: dict[str, Any], ranked: list[Passage]) -> dict[str, float]:
    """Return the metrics of one query.

    Recall, precision and intersection over union count characters of the
    first five chunks; repeated characters (overlap) lower precision and IoU.
    ``hit`` is 1 when one chunk holds a whole reference. ``recall_budget`` is
    the recall of the first chunks that make up 1 000 tokens, so that long
    chunks have no advantage.
    """
    wanted = {p for ref in query["references"] for p in range(ref["start_index"], ref["end_index"])}

    def held(passages: list[Passage]) -> int:
        spans = [range(p.start, p.end) for p in passages if p.doc == query["doc_id"]]
        return sum(any(at in span for span in spans) for at in wanted)

    shown = ranked[:TOP]
    common, length = held(shown), sum(p.end - p.start for p in shown)
    used, within = 0, []
    for passage in ranked:
        used += passage.tokens
        if used > BUDGET:
            break
        within.append(passage)
    hit = any(
        p.doc == query["doc_id"] and p.start <= ref["start_index"] and ref["end_index"] <= p.end
        for p in shown
        for ref in query["references"]
    )
    return {
        "recall": common / len(wanted),
        "precision": common / length,
        "iou": common / (length + len(wanted) - common),
        "hit": float(hit),
        "recall_budget": held(within) / len(wanted),
    }


def evaluate(readings: dict[str, Reading], queries: list[dict[str, Any]], split: Splitter, model: Embedder) -> Any:
    """Return the row of one splitter: sizes, cost and mean metrics."""
    begin = time.process_time()
    passages = split_all(readings, split)
    seconds = time.process_time() - begin
    vectors, cost = model.embed([passage.indexed for passage in passages])
    asked, _ = model.embed([QUERY_PREFIX + query["text"] for query in queries])
    dense, lexical = asked @ vectors.T, lexical_scores(passages, queries)
    rows = [
        measure(query, [passages[index] for index in fuse(dense[row], lexical[row])[: 2 * DEPTH]])
        for row, query in enumerate(queries)
    ]
    sizes = np.array([passage.tokens for passage in passages])
    return {
        "chunks": len(passages),
        "tokens_mean": round(float(sizes.mean()), 1),
        "tokens_max": int(sizes.max()),
        "split_seconds": round(seconds, 2),
        "embed_cpu_seconds": round(cost, 1),
        **{name: round(float(np.mean([row[name] for row in rows])), 4) for name in rows[0]},
    }


def main() -> int:
    """Run every splitter and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", nargs="?", type=Path, default=None)
    parser.add_argument("--only", default="", help="run only splitters whose name contains this; writes nothing")
    options = parser.parse_args()
    root = os.environ.get("SBF_TEST_DATA")
    data = options.data or (Path(root, "retrieval", "chunking_eval") if root else None)
    if data is None or not Path(data, "queries.jsonl").is_file():
        print("No data: give the folder of the chunking evaluation, or set SBF_TEST_DATA. Nothing measured.")
        return 0
    readings = {file.stem: read(file.read_text("utf-8")) for file in sorted(Path(data, "docs").glob("*.md"))}
    queries = [json.loads(line) for line in Path(data, "queries.jsonl").read_text("utf-8").splitlines()]
    splitters = {f"fixed-{size}" + (f"+{overlap}" if overlap else ""): fixed(size, overlap) for size, overlap in FIXED}
    splitters |= {f"structure-{target}": structure(target) for target in TARGETS}
    splitters[f"structure-{chunking.TARGET}-no-context"] = structure(chunking.TARGET, context=False)
    model, table = Embedder(), {}
    for name, split in splitters.items():
        if options.only in name:
            table[name] = evaluate(readings, queries, split, model)
            print(f"{name:26}", json.dumps(table[name]), flush=True)
    if not options.only:
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(
            json.dumps({"chunker": chunking.CHUNKER_ID, "questions": len(queries), "splitters": table}, indent=1)
            + "\n",
            "utf-8",
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
