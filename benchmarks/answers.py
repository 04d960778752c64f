"""Measure the extractive answerer: python benchmarks/answers.py DATA [--questions N].

DATA holds XQuAD (``en``, ``de``, ``es``, ``zh``) and foreign collections in BEIR form. Each question is asked
three times: with the whole corpus (answerable), with its own passage taken out
(unanswerable, the rest of the same article stays), and, English only, questions of other
collections are asked (unanswerable, foreign). Retrieval here is the product's arms and fusion
in memory; sentences are chosen by the product's code.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import statistics
import time
from pathlib import Path
from uuid import UUID, uuid5

import numpy as np

from sbf_kernel.chat import extractive
from sbf_kernel.models import builtin, sparse
from sbf_kernel.records import Hit, Location
from sbf_kernel.search import fusion
from sbf_kernel.settings import Settings

SPACE = UUID(int=1)
RESULTS = Path(__file__).parent / "results" / "answers.json"


def lines(path: Path) -> list[dict]:
    """Return the records of a JSON-lines file."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


class Corpus:
    """A collection with both arms of the search in memory."""

    def __init__(self, folder: Path, language: str) -> None:
        self.docs, self.language = lines(folder / "corpus.jsonl"), language
        self.encoded = [sparse.encode_passage(doc["text"], language) for doc in self.docs]
        self.df: dict[int, int] = {}
        for weights in self.encoded:
            for term in weights:
                self.df[term] = self.df.get(term, 0) + 1
        self.vectors: np.ndarray | None = None

    def hits(self, question: str, vector: np.ndarray | None, without: str | None, limit: int = 12) -> list[Hit]:
        """Return the best passages, the one called ``without`` left out."""
        query = sparse.encode_query(question, [self.language])
        weights = {t: n * sparse.idf(self.df.get(t, 0), len(self.docs)) for t, n in query.items()}
        scores = {n: sum(w * e.get(t, 0) for t, w in weights.items()) for n, e in enumerate(self.encoded)}
        words = {n: s for n, s in sorted(scores.items(), key=lambda kv: -kv[1])[: fusion.DEPTH] if s > 0}
        meaning: dict[int, float] = {}
        if vector is not None and self.vectors is not None:
            cosines = self.vectors @ vector
            meaning = {int(n): float(cosines[n]) for n in np.argsort(-cosines)[: fusion.DEPTH]}
        fused = fusion.minmax(words, meaning) if meaning else words
        best = [n for n in sorted(fused, key=lambda n: -fused[n]) if self.docs[n]["_id"] != without][:limit]
        return [self.hit(n, rank, fused[n]) for rank, n in enumerate(best, start=1)]

    def hit(self, n: int, rank: int, score: float) -> Hit:
        """Return passage number ``n`` as a hit."""
        doc = self.docs[n]
        ids = [uuid5(SPACE, f"{kind}{doc['_id']}") for kind in "svc"]
        return Hit(
            rank=rank,
            score=score,
            source_id=ids[0],
            source=doc["_id"],
            version_id=ids[1],
            version=1,
            chunk_id=ids[2],
            start=0,
            end=len(doc["text"]),
            text=doc["text"],
            location=Location(),
        )


async def ask(
    corpus: Corpus, question: str, embedder, judge, without: str | None = None
) -> tuple[extractive.Choice, list[Hit], float]:
    """Return what the answerer chose, from which hits, in how many seconds."""
    begin = time.perf_counter()
    vector = await embedder.embed_query(question) if embedder else None
    hits = corpus.hits(question, vector, without)
    searched = time.perf_counter()
    choice = await extractive.choose(question, hits, judge, corpus.language)
    extractive.compose(choice, {hit.version_id: hit.text for hit in hits})
    return choice, hits, time.perf_counter() - (searched if vector is None else begin)


async def xquad(data: Path, language: str, questions: int, embedder, judge) -> dict:
    """Return the figures for one language."""
    folder = data / "xquad" / language
    corpus = Corpus(folder, language)
    if embedder:
        corpus.vectors = np.array(await embedder.embed_passages([doc["text"] for doc in corpus.docs]))
    gold = dict(line.split("\t")[:2] for line in (folder / "qrels.tsv").read_text().splitlines()[1:])
    sample = random.Random(11).sample(lines(folder / "queries.jsonl"), questions)
    seconds, contained, answered, false, quoted = [], [0, 0, 0], 0, 0, []
    for query in sample:
        choice, hits, took = await ask(corpus, query["text"], embedder, judge)
        seconds.append(took)
        answered += choice.answered
        if choice.answered:
            quoted.append(len(choice.sentences))
        found = extractive.candidates(query["text"], hits, language)
        if judge:
            logits = await judge.score(query["text"], [s.text for s in found[: extractive.JUDGED]])
            found = sorted(
                (extractive.replace(s, logit=x) for s, x in zip(found, logits, strict=False)), key=lambda s: s.order
            )
        right = [s.hit.source == gold[query["_id"]] and any(a in s.text for a in query["answers"]) for s in found[:3]]
        for k in range(3):
            contained[k] += any(right[: k + 1])
        false += (await ask(corpus, query["text"], embedder, judge, without=gold[query["_id"]]))[0].answered
    result = {
        "questions": questions,
        "judge": judge.id if judge else "words",
        "containment_at_1_2_3": [round(c / questions, 3) for c in contained],
        "answered_when_answerable": round(answered / questions, 3),
        "answered_when_passage_removed": round(false / questions, 3),
        "quotes_per_answer": round(statistics.mean(quoted), 2),
        "median_seconds": round(statistics.median(seconds), 3),
        "p95_seconds": round(sorted(seconds)[int(0.95 * len(seconds))], 3),
    }
    if embedder:
        strangers = [
            q["text"]
            for name in ("scifact", "chunking_eval", "cranfield")
            for q in random.Random(5).sample(lines(data / name / "queries.jsonl"), max(1, questions // 3))
        ]
        said = [(await ask(corpus, q, embedder, judge))[0].answered for q in strangers]
        result |= {"foreign_questions": len(strangers), "answered_when_foreign": round(sum(said) / len(said), 3)}
    return result


async def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--questions", type=int, default=100)
    arguments = parser.parse_args()
    settings = Settings(threads=2)
    embedder, judge = builtin.load_embedder(settings), builtin.load_reranker(settings)
    await judge.score("warm", ["up"])
    results = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "load_before": os.getloadavg()[0],
        "en": await xquad(arguments.data, "en", arguments.questions, embedder, judge),
    }
    for language in ("en", "de", "es", "zh"):
        results[f"{language} by words only"] = await xquad(
            arguments.data, language, 3 * arguments.questions, None, None
        )
    print(json.dumps(results, indent=1))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
