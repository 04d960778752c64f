"""Which words of a hit match the query, at exact offsets."""

from __future__ import annotations

from collections.abc import Iterable

from sbf_kernel.models import sparse


def highlights(text: str, query: str, language: str, languages: Iterable[str]) -> tuple[tuple[int, int], ...]:
    """Return the spans of ``text`` whose index terms occur in ``query``.

    Parameters
    ----------
    text
        Text of the chunk, indexed in ``language``.
    languages
        Languages in which the query is stemmed, as in the search itself.
    """
    wanted = set(sparse.encode_query(query, languages))
    spans: list[tuple[int, int]] = []
    for start, end, term in sparse.spans(text, language):
        if sparse.term_id(term) in wanted:
            if spans and start <= spans[-1][1]:  # overlapping pairs of Chinese or Japanese characters
                spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
            else:
                spans.append((start, end))
    return tuple(spans)
