"""Search: both arms, fusion, filters, exact offsets, many languages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sbf_kernel.models import embedded_text, sparse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sbf_kernel.backends.loop import LoopThread
    from sbf_kernel.records import Hit, Principal
    from sbf_kernel.runtime import Runtime
    from sbf_kernel.workspace import NotebookHandle, Workspace

LIBRARY = {
    "whales": ("Whales are marine mammals. They breathe air through a blowhole and feed on krill.", ("sea",), "en"),
    "bread": ("Sourdough bread rises slowly. Wild yeast and bacteria ferment the dough overnight.", ("food",), "en"),
    "tides": (
        "The moon pulls the sea, so the tides rise and fall twice a day. Whales follow them.",
        ("sea", "sky"),
        "en",
    ),
    "Brot": (
        "Das Brot wird im Ofen gebacken. Die Kruste der frischen Brötchen bleibt knusprig und die Häuser duften danach.",
        ("food",),
        "de",
    ),
    "cocina": ("La abuela cocinaba lentejas con chorizo todos los domingos en la cocina del pueblo.", ("food",), "es"),
    "火山": ("火山喷发时，岩浆从地下涌出，形成新的岩石。火山灰可以飘到很远的地方。", ("earth",), "zh"),
    "地震": (
        "地震は地下の岩盤がずれることで起こります。日本では毎日のように小さな揺れが観測されています。",
        ("earth",),
        "ja",
    ),
    "code": (
        "# Notes\n\n| tool | use |\n|---|---|\n| awl | piercing leather |\n| plane | smoothing wood |\n",
        ("craft",),
        "en",
    ),
}


@pytest.fixture(scope="session")
def reader(new_user: Callable[[], Principal]) -> Principal:
    """One tenant for all tests that only read."""
    return new_user()


@pytest.fixture(scope="session")
def filled(runtime: Runtime) -> set[str]:
    """Backends whose library is filled."""
    return set()


@pytest.fixture
def library(
    open_workspace: Callable[[str, Principal], Workspace], backend_name: str, reader: Principal, filled: set[str]
) -> Iterator[NotebookHandle]:
    notebook = open_workspace(backend_name, reader).notebooks.open("Library")
    if backend_name not in filled:
        for name, (text, tags, language) in LIBRARY.items():
            source = notebook.add_text(text, name, tags=tags, language=language)
            assert source.status == "ready", source
        filled.add(backend_name)
    yield notebook


def test_the_score_by_meaning_is_the_cosine(library: NotebookHandle, runtime: Runtime, loop: LoopThread) -> None:
    question = "animals of the ocean"
    assert runtime.embedder is not None
    asked = loop.run(runtime.embedder.embed_query(question))
    for hit in library.search(question, arm="dense", limit=4):
        (chunk,) = loop.run(runtime.embedder.embed_passages([embedded_text(hit.source, hit.text)]))
        assert hit.dense_score == pytest.approx(float(asked @ chunk), abs=0.01)


def check(hits: Any, notebook: NotebookHandle) -> None:
    """What holds for every hit: exact offsets, exact highlights, order, ranks."""
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert len({hit.chunk_id for hit in hits}) == len(hits)
    for hit in hits:
        text = notebook.sources.text(hit.source_id, hit.version_id).text
        assert hit.text == text[hit.start : hit.end]
        assert all(0 <= a < b <= len(hit.text) for a, b in hit.highlights)
        assert all(b < c for (_, b), (c, _) in zip(hit.highlights, hit.highlights[1:], strict=False))
        assert (hit.dense_rank is None) == (hit.dense_score is None)
        assert (hit.lexical_rank is None) == (hit.lexical_score is None)
        assert hit.dense_rank or hit.lexical_rank


def marked(hit: Hit) -> set[str]:
    return {hit.text[a:b] for a, b in hit.highlights}


@pytest.mark.parametrize("arm", ["hybrid", "lexical", "dense"])
@pytest.mark.parametrize("query", ["how do whales breathe?", "wild yeast", "what makes the sea rise"])
def test_every_hit_is_exact_in_every_arm(library: NotebookHandle, arm: str, query: str) -> None:
    hits = library.search(query, arm=arm)
    assert hits
    assert (hits.query, hits.arm, hits.searched_chunks) == (query, arm, len(LIBRARY))
    check(hits, library)
    for hit in hits:
        if arm != "hybrid":
            assert (hit.dense_rank is None, hit.lexical_rank is None) == (arm == "lexical", arm == "dense")


@pytest.mark.parametrize(
    ("query", "source", "words"),
    [
        ("breathing", "whales", {"breathe"}),
        ("Häuser", "Brot", {"Häuser"}),
        ("Haus", "Brot", {"Häuser"}),
        ("cocinar lenteja", "cocina", {"cocinaba", "lentejas", "cocina"}),
        ("岩浆", "火山", {"岩浆"}),
        ("火山灰", "火山", {"火山灰", "火山"}),
        ("日本の地震", "地震", {"地震", "日本"}),
        ("piercing leather", "code", {"piercing", "leather"}),
    ],
)
def test_each_language_finds_its_text_by_words_and_marks_them(
    library: NotebookHandle, query: str, source: str, words: set[str]
) -> None:
    for arm in ("lexical", "hybrid"):
        hits = library.search(query, arm=arm)
        assert hits[0].source == source, (arm, hits)
        assert marked(hits[0]) >= words
        check(hits, library)


def test_words_that_occur_nowhere_find_nothing_by_words(library: NotebookHandle) -> None:
    assert not library.search("xylophone quasar", arm="lexical")
    assert not library.search("the of and", arm="lexical")
    assert library.search("xylophone quasar", arm="dense")
    check(library.search("xylophone quasar"), library)


def test_the_lexical_score_is_bm25(library: NotebookHandle) -> None:
    hits = library.search("whales", arm="lexical")
    term = sparse.term_id(next(sparse.terms("whales", "en")))
    for hit in hits:
        indexed = sparse.encode_passage(f"{hit.source}\n{hit.text}", "en")  # the title counts too
        expected = sparse.idf(2, len(LIBRARY)) * indexed[term]
        assert hit.lexical_score == pytest.approx(expected, rel=1e-4)


def test_per_source_gives_each_source_once(workspace: Workspace) -> None:
    notebook = workspace.notebooks.create("long")
    parts = [
        f"## Topic {n}\n\n" + f"Salmon number {n} swim up the river to spawn in gravel beds. " * 12 for n in range(4)
    ]
    long = notebook.add_text("\n\n".join(parts), "long.md")
    assert long.chunk_count >= 3
    short = notebook.add_text("A salmon is a fish.", "short")
    assert len(notebook.search("salmon", limit=50)) == long.chunk_count + 1
    hits = notebook.search("salmon", limit=50, per_source=True)
    assert {hit.source_id for hit in hits} == {long.id, short.id}
    assert len(hits) == 2
    check(hits, notebook)


def test_rrf_and_minmax_see_the_same_candidates_with_other_scores(library: NotebookHandle) -> None:
    by_range, by_rank = library.search("whales sea", limit=50), library.search("whales sea", limit=50, fusion="rrf")
    assert {hit.chunk_id for hit in by_range} == {hit.chunk_id for hit in by_rank}
    assert by_rank[0].score <= 1 / 61 + 1e-6 < by_range[0].score <= 1
    check(by_rank, library)


@pytest.mark.parametrize(
    ("scope", "names"),
    [
        ({"tags": ("sea",)}, {"whales", "tides"}),
        ({"tags": ("sky", "craft")}, {"tides", "code"}),
        ({"languages": ("de", "es")}, {"Brot", "cocina"}),
        ({"languages": ("fi",)}, set()),
        ({"tags": ("food",), "languages": ("en",)}, {"bread"}),
        ({"media_types": ("text/",)}, set(LIBRARY)),
        ({"media_types": ("application/pdf",)}, set()),
        ({"added_after": datetime(2020, 1, 1, tzinfo=UTC)}, set(LIBRARY)),
        ({"added_before": datetime(2020, 1, 1, tzinfo=UTC)}, set()),
        ({"added_after": datetime.now(UTC) + timedelta(days=1)}, set()),
    ],
)
@pytest.mark.parametrize("arm", ["lexical", "dense"])
def test_filters_restrict_both_arms(library: NotebookHandle, scope: dict[str, Any], names: set[str], arm: str) -> None:
    query = "whales bread sea Brot cocina 火山 地震 leather"
    hits = library.search(query, arm=arm, limit=50, **scope)
    assert {hit.source for hit in hits} == names
    assert hits.searched_chunks == len(names)


def test_dates_split_exactly_at_the_moment_of_adding(library: NotebookHandle) -> None:
    moment = library.sources.get("bread").created_at
    before = {hit.source for hit in library.search("dough", arm="dense", limit=50, added_before=moment)}
    after = {hit.source for hit in library.search("dough", arm="dense", limit=50, added_after=moment)}
    assert before == {"whales"}
    assert after == set(LIBRARY) - before


def test_a_search_can_be_limited_to_sources_and_notebooks(library: NotebookHandle) -> None:
    workspace = library._ws
    whales, tides = (library.sources.get(name) for name in ("whales", "tides"))
    hits = workspace.search("whales", source_ids=(tides.id,))
    assert {hit.source for hit in hits} == {"tides"}
    other = workspace.notebooks.create("Other")
    try:
        other.sources.restore(whales)
        assert {hit.source for hit in other.search("whales sea", limit=50)} == {"whales"}
        both = workspace.search("whales", notebook_ids=(library.id, other.id), limit=50, arm="dense")
        assert len(both) == both.searched_chunks == len(LIBRARY)
        assert not other.search("whales", source_ids=(tides.id,))
    finally:
        other.delete()


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_the_limit_cuts_the_same_ranking(library: NotebookHandle, limit: int) -> None:
    full = [hit.chunk_id for hit in library.search("whales in the sea", limit=100)]
    assert [hit.chunk_id for hit in library.search("whales in the sea", limit=limit)] == full[:limit]


def test_a_search_is_repeatable_and_an_empty_notebook_gives_an_empty_result(
    library: NotebookHandle, notebook: NotebookHandle
) -> None:
    first, second = (library.search("whales sea bread", limit=50) for _ in range(2))
    assert first.items == second.items
    empty = notebook.search("anything")
    assert (len(empty), empty.searched_chunks, empty.warnings) == (0, 0, ())


@pytest.mark.parametrize(
    "query",
    [
        "'; drop table sbf.sources; --",
        "{1:1}/5",
        "%s %(x)s :name",
        "\\",
        "🦑",
        "ﬁsh İstanbul ½",
        "a" * 10_000,
        "?" * 50,
    ],
)
def test_strange_queries_are_only_text(library: NotebookHandle, query: str) -> None:
    check(library.search(query), library)


def test_hits_become_a_frame(library: NotebookHandle) -> None:
    frame = library.search("whales").df()
    assert {"rank", "score", "dense_rank", "lexical_rank", "source", "version", "page", "start", "end", "text"} <= set(
        frame.columns
    )
    assert list(frame["rank"]) == list(range(1, len(frame) + 1))


def test_without_an_embedder_search_goes_by_words_and_says_so(
    library: NotebookHandle, runtime: Runtime, monkeypatch: pytest.MonkeyPatch, backend_name: str
) -> None:
    from sbf_kernel.errors import ModelUnavailable

    monkeypatch.setattr(runtime, "embedder", None)
    hits = library.search("whales")
    assert {hit.source for hit in hits} == {"whales", "tides"}
    assert hits.warnings
    with pytest.raises(ModelUnavailable):
        library.search("whales", arm="dense")


def test_sources_that_the_model_has_not_seen_are_said_and_still_found(
    workspace: Workspace, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = workspace.notebooks.create("Models")
    with monkeypatch.context() as before:
        before.setattr(runtime, "embedder", None)
        notebook.add_text("Lapwings nest on open ground.", name="lapwings", progress=False)
    notebook.add_text("Swifts sleep on the wing.", name="swifts", progress=False)

    hits = notebook.search("where do lapwings nest?")

    assert "lapwings" in {hit.source for hit in hits}
    assert "no vectors" in " ".join(hits.warnings)
    assert not notebook.search("swifts", source_ids=(notebook.sources.get("swifts").id,)).warnings


@pytest.mark.parametrize("scope", [{}, {"tags": ("sea", "food")}, {"per_source": True}])
def test_the_ways_of_large_collections_find_the_same_as_looking_at_everything(
    library: NotebookHandle, scope: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = ("whales in the sea", "wild yeast dough", "火山灰", "Häuser Kruste")
    exact = {
        (query, arm): library.search(query, arm=arm, limit=5, **scope).items
        for query in queries
        for arm in ("lexical", "dense", "hybrid")
    }
    assert any(exact.values())
    monkeypatch.setattr("sbf_kernel.search.lexical.EXACT_CHUNKS", 0)
    monkeypatch.setattr("sbf_kernel.search.lexical.SCAN_GAIN", 0)
    monkeypatch.setattr("sbf_kernel.search.dense.EXACT_CHUNKS", 0)
    for (query, arm), items in exact.items():
        found = library.search(query, arm=arm, limit=5, **scope).items
        assert [(hit.chunk_id, hit.lexical_rank, hit.dense_rank) for hit in found] == [
            (hit.chunk_id, hit.lexical_rank, hit.dense_rank) for hit in items
        ]
