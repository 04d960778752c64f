"""Which words of a hit match the query, at exact offsets."""

from __future__ import annotations

from collections.abc import Set

from sbf_kernel.models import sparse


def highlights(text: str, wanted: Set[int], language: str) -> tuple[tuple[int, int], ...]:
    """Return the spans of ``text`` whose index terms occur in a query.

    Parameters
    ----------
    text
        Text of the chunk, indexed in ``language``.
    wanted
        Term ids of the query, as the search itself used them.
    """
    spans: list[tuple[int, int]] = []
    for start, end, term in sparse.spans(text, language, sparse.words_with(text, language, wanted)):
        if sparse.term_id(term) in wanted:
            if spans and start <= spans[-1][1]:  # overlapping pairs of Chinese or Japanese characters
                spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
            else:
                spans.append((start, end))
    return tuple(spans)
