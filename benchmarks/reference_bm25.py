"""The lexical arm against a reference BM25 on collections with judgements.

Both rank whole documents by exact scores: ours with the weights that
:mod:`sbf_kernel.models.sparse` stores, the reference is ``bm25s`` (Lucene's
variant, k1 = 1.2, b = 0.75, Snowball English, its English stop words). Give a
folder of collections in BEIR layout, or set ``SBF_TEST_DATA``; without one
there is nothing to do. Ours must not be more than .01 below the reference.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from benchmarks import measuring
from benchmarks.filling import Postings
from sbf_kernel.errors import InvalidInput
from sbf_kernel.evaluation import Collection, load, ndcg, recall
from sbf_kernel.models import sparse

MOST_BELOW = 0.01
DEPTH = 100


def collections(folder: Path) -> dict[str, Collection]:
    """Return the English collections below a folder, by name."""
    found = {}
    for corpus in sorted(folder.rglob("corpus.jsonl")):
        name = str(corpus.parent.relative_to(folder)) if corpus.parent != folder else folder.name
        try:
            found[name] = load(corpus.parent)
        except InvalidInput as error:
            print(f"{name} is left out: {error}")
    return found


def ours(collection: Collection) -> dict[str, list[str]]:
    """Rank with the product's weights; the average length is the collection's, as documents are not chunks."""
    texts = [" ".join(document) for document in collection.documents.values()]
    lengths = [sum(1 for _ in sparse.terms(text, "en")) for text in texts]
    average, sparse.AVERAGE_LENGTH = sparse.AVERAGE_LENGTH, mean(lengths)
    try:
        postings = Postings([sparse.encode_passage(text, "en") for text in texts])
    finally:
        sparse.AVERAGE_LENGTH = average
    names = np.array(list(collection.documents))
    rankings = {}
    for query_id, query in collection.queries.items():
        scores = postings.scores(sparse.encode_query(query, ["en"]))
        best = np.argsort(-scores, kind="stable")[:DEPTH]
        rankings[query_id] = [str(name) for name in names[best[scores[best] > 0]]]
    return rankings


def reference(collection: Collection) -> dict[str, list[str]]:
    """Rank with bm25s."""
    import bm25s
    import Stemmer

    stemmer = Stemmer.Stemmer("english")
    names, depth = list(collection.documents), min(DEPTH, len(collection.documents))
    index = bm25s.BM25(method="lucene", k1=sparse.K1, b=sparse.B)
    index.index(
        bm25s.tokenize(
            [" ".join(d) for d in collection.documents.values()], stopwords="en", stemmer=stemmer, show_progress=False
        ),
        show_progress=False,
    )
    asked = bm25s.tokenize(list(collection.queries.values()), stopwords="en", stemmer=stemmer, show_progress=False)
    found, scores = index.retrieve(asked, k=depth, show_progress=False)
    return {
        query_id: [names[i] for i, score in zip(row, row_scores, strict=True) if score > 0]
        for query_id, row, row_scores in zip(collection.queries, found, scores, strict=True)
    }


def quality(collection: Collection, rankings: dict[str, list[str]]) -> dict[str, float]:
    """Return nDCG@10 and recall@100."""
    return {
        "ndcg@10": round(mean(ndcg(rankings[q], gains, 10) for q, gains in collection.relevant.items()), 4),
        "recall@100": round(mean(recall(rankings[q], gains, 100) for q, gains in collection.relevant.items()), 4),
    }


def main() -> int:
    """Run from the command line; 1 when ours is too far below."""
    arguments = measuring.parser(__doc__)
    given = os.environ.get("SBF_TEST_DATA")
    arguments.add_argument("folder", type=Path, nargs="?", default=Path(given) if given else None)
    options: argparse.Namespace = arguments.parse_args()
    if options.folder is None:
        print("no collections: give a folder, or set SBF_TEST_DATA")
        return 0
    before, figures = measuring.load_average(), dict[str, Any]()
    for name, collection in collections(options.folder).items():
        figures[name] = {
            "documents": len(collection.documents),
            "questions": len(collection.queries),
            "ours": quality(collection, ours(collection)),
            "bm25s": quality(collection, reference(collection)),
        }
        figures[name]["difference"] = round(figures[name]["ours"]["ndcg@10"] - figures[name]["bm25s"]["ndcg@10"], 4)
    print(
        measuring.table(
            [
                (name, f["documents"], f["ours"]["ndcg@10"], f["bm25s"]["ndcg@10"], f["difference"])
                for name, f in figures.items()
            ],
            ("collection", "documents", "ours nDCG@10", "bm25s nDCG@10", "difference"),
        )
    )
    print("saved", measuring.save(options.output, "reference_bm25", figures, before).name)
    return int(any(f["difference"] < -MOST_BELOW for f in figures.values()))


if __name__ == "__main__":
    sys.exit(main())
