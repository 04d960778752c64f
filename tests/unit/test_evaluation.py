"""Measures against values worked out by hand, and collections that are not what they should be."""

from __future__ import annotations

import json
from math import log2
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbf_kernel.errors import InvalidInput
from sbf_kernel.evaluation import evaluate, load, ndcg, recall, reciprocal_rank

if TYPE_CHECKING:
    from pathlib import Path

    from sbf_kernel.settings import Settings


def test_ndcg_by_hand() -> None:
    gains = {"a": 3, "b": 2, "c": 1}
    ideal = 3 + 2 / log2(3) + 1 / 2
    assert ndcg(["a", "b", "c"], gains, 10) == pytest.approx(1.0)
    assert ndcg(["c", "x", "a"], gains, 10) == pytest.approx((1 + 3 / 2) / ideal)
    assert ndcg(["x", "a"], gains, 1) == 0.0
    assert ndcg(["a"], gains, 1) == pytest.approx(1.0)
    assert ndcg(["b"], gains, 1) == pytest.approx(2 / 3)
    assert ndcg([], gains, 10) == ndcg(["a"], {}, 10) == 0.0


def test_recall_by_hand() -> None:
    gains = {"a": 1, "b": 1, "c": 2, "d": 1}
    assert recall(["x", "a", "c"], gains, 10) == 0.5
    assert recall(["x", "a", "c"], gains, 2) == 0.25
    assert recall([], gains, 2) == recall(["a"], {}, 2) == 0.0


def test_reciprocal_rank_by_hand() -> None:
    assert reciprocal_rank(["x", "a", "b"], {"a": 1, "b": 1}, 10) == 0.5
    assert reciprocal_rank(["x", "a"], {"a": 1}, 1) == 0.0
    assert reciprocal_rank([], {"a": 1}, 10) == 0.0


@given(
    st.permutations("abcdefgh"), st.dictionaries(st.sampled_from("abcdefghxyz"), st.integers(1, 5)), st.integers(1, 10)
)
def test_every_measure_is_between_none_and_all(ranking: list[str], gains: dict[str, int], depth: int) -> None:
    for measure in (ndcg, recall, reciprocal_rank):
        assert 0 <= measure(ranking, gains, depth) <= 1 + 1e-9
        assert (
            measure(ranking, gains, depth)
            <= measure(sorted(ranking, key=lambda d: -gains.get(d, 0)), gains, depth) + 1e-9
        )


def write(folder: Path, corpus: Any = None, queries: Any = None, qrels: str | bytes | None = None) -> Path:
    """A small collection, parts replaced by what is given."""
    texts = {"d1": "Whales breathe air.", "d2": "Bread needs yeast.", "d3": "Granite is hard."}
    rows = (
        [{"_id": key, "title": key.upper(), "text": text} for key, text in texts.items()] if corpus is None else corpus
    )
    asked = (
        [{"_id": "q1", "text": "do whales breathe?"}, {"_id": "q2", "text": "yeast"}] if queries is None else queries
    )
    folder.mkdir(exist_ok=True)
    for name, content in (("corpus.jsonl", rows), ("queries.jsonl", asked)):
        data = content if isinstance(content, bytes) else "".join(json.dumps(row) + "\n" for row in content).encode()
        (folder / name).write_bytes(data)
    if qrels is None:
        qrels = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t1\n"
    (folder / "qrels.tsv").write_bytes(qrels if isinstance(qrels, bytes) else qrels.encode())
    return folder


def test_a_collection_is_read_with_and_without_header_and_with_four_columns(tmp_path: Path) -> None:
    for qrels in (None, "q1\td1\t1\nq2\td2\t1\n", "q1\t0\td1\t1\nq2\t0\td2\t1\n", "q1\td1\t1\r\n\r\nq2\td2\t1\n\n"):
        collection = load(write(tmp_path, qrels=qrels))
        assert collection.relevant == {"q1": {"d1": 1}, "q2": {"d2": 1}}
        assert collection.documents["d2"] == ("D2", "Bread needs yeast.")


def test_the_test_split_is_taken_when_there_is_no_single_file(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "qrels").mkdir()
    (folder / "qrels.tsv").rename(folder / "qrels" / "test.tsv")
    assert set(load(folder).queries) == {"q1", "q2"}


def test_questions_without_a_positive_judgement_are_left_out(tmp_path: Path) -> None:
    collection = load(write(tmp_path, qrels="q1\td1\t2\nq2\td2\t0\nq3\td1\t1\nq1\td2\t-1\n"))
    assert (set(collection.queries), collection.relevant) == ({"q1"}, {"q1": {"d1": 2}})


def test_an_empty_question_is_left_out(tmp_path: Path) -> None:
    folder = write(tmp_path, queries=[{"_id": "q1", "text": " "}, {"_id": "q2", "text": "yeast"}])
    assert set(load(folder).queries) == {"q2"}


def test_quotes_in_ids_and_texts_are_only_characters(tmp_path: Path) -> None:
    folder = write(
        tmp_path, corpus=[{"_id": '"d', "text": 'a "quote'}], queries=[{"_id": 'q"', "text": "x"}], qrels='q"\t"d\t1\n'
    )
    assert load(folder).relevant == {'q"': {'"d': 1}}


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"corpus": b'{"_id": "d1", "text": "x"}\n{broken\n'}, r"corpus\.jsonl, line 2"),
        ({"corpus": b'["d1"]\n'}, r"corpus\.jsonl, line 1: not a JSON object with _id and text"),
        ({"corpus": b'{"_id": "d1"}\n'}, r"corpus\.jsonl, line 1"),
        ({"corpus": b"\xff\xfe"}, r"corpus\.jsonl cannot be read: it is not UTF-8"),
        ({"queries": b"17\n"}, r"queries\.jsonl, line 1"),
        ({"qrels": "q1\td1\t1\nq1 d2 1\n"}, r"qrels\.tsv, line 2: not query id"),
        ({"qrels": "q1\td1\t1\nq1\td2\tmany\n"}, r"qrels\.tsv, line 2: score 'many' is no number"),
        ({"qrels": "q1\td1\t1\nq1\td2\tinf\n"}, r"qrels\.tsv, line 2: score 'inf'"),
        ({"qrels": "q1\td1\t1\nq1\td2\tnan\n"}, r"qrels\.tsv, line 2: score 'nan'"),
        ({"qrels": b"\xff\t\xfe\t1\n"}, r"qrels\.tsv cannot be read"),
        ({"qrels": ""}, "judges none"),
        ({"qrels": "other\td1\t1\n"}, "judges none"),
    ],
)
def test_a_malformed_collection_is_refused_with_the_line(tmp_path: Path, parts: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        load(write(tmp_path, **parts))


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels.tsv"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    (write(tmp_path) / name).unlink()
    with pytest.raises(InvalidInput, match=r"cannot be read.*No such file"):
        load(tmp_path)


async def test_a_collection_is_measured_in_a_tenant_that_is_gone_afterwards(
    tmp_path: Path, settings: Settings, runtime: Any
) -> None:
    import psycopg

    told: list[tuple[str, int, int]] = []
    corpus = [{"_id": "d1", "title": "", "text": "Whales breathe air."}, {"_id": "d2", "text": "Bread needs yeast."}, {"_id": "empty", "text": " "},
              {"_id": "twin", "text": "Whales breathe air."}]  # fmt: skip
    report = await evaluate(settings, write(tmp_path, corpus=corpus), lambda *step: told.append(step))
    assert (report["docs"], report["queries"]) == (4, 2)
    assert set(report["arms"]) == {"lexical", "dense", "hybrid"}
    for arm in report["arms"].values():
        assert arm["recall@100"] == arm["mrr@10"] == 1.0
        assert arm["p95_ms"] >= arm["p50_ms"] > 0
    assert report["ingest"]["chunks_per_s"] > 0
    assert ("lexical", 2, 2) in told
    with psycopg.connect(runtime.db.conninfo) as connection:
        assert connection.execute("select count(*) from sbf.sources where user_id like 'eval-%'").fetchone() == (0,)
