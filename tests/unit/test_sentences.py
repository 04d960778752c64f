"""Where sentences end, and that the answer is exact and takes linear time."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbf_kernel.readers.sentences import sentences

pytestmark = pytest.mark.timeout(60)

# "|" marks each border.
CASES = [
    "Hello world.| My name is Jonas.",
    "What is it?| Nobody knows!| Go on.",
    "Dr. Smith met Prof. Jones in 1999.| They talked.",
    "See e.g. Fig. 3 of Müller et al. (2010).| It holds, i.e. always.",
    "It costs $3.50 or 1.234,5 units.| Cheap.",
    "J. R. R. Tolkien wrote it.| Then W. E. B. Du Bois.",
    "He lives in the U.S. Army base.| She left the U.S.| They stayed.",
    "It starts at 5 p.m.| He is late.| No. 5 is alive.| Vol. 3 p. 27 as well.",
    "Apple Inc. reported.| Shares of Foo Corp.| The rest fell.",
    '"Really?" he asked.| He said "Go."| Then he left.',
    "“I came.| I saw.”| (This is one.| This is two.)| End.",
    'The 5" disk is old.| It is broken.',
    "See https://example.org/a.b?c=d. and more.| Mail a.b@c.de.| Done.",
    "Wait... what?| I see ...| Then more… and on.| Right.",
    "Yahoo! is here.| iPhone sales rose.| iPhone again.",
    "As shown.[12]| It follows.[3,4]| The end.",
    "First\n\n|Second without stop\n\n|Third",
    "Wrapped over\ntwo lines.| Next\none.",
    "Intro:\n|- one\n|- two\n|1. three\n|2) four",
    "1. First thing.| 2. Second thing.",
    "你好。|世界！|我们走吗？|好",
    "「行く。」と言った。|彼は「やめた。」|そして。",
    "¿Qué pasa?| ¡Nada!| Vale.",
    "« Oui. »| Non.",
    "Am 3. Oktober war es z. B. so.| Danach, d. h. später, nicht.",
    "यह एक है।| यह दो है।",
    "هل هذا سؤال؟| نعم.",
    "the company paid $3.| the rest, approx. 5 units, was lost.",
]


@pytest.mark.parametrize("case", CASES)
def test_borders(case: str) -> None:
    text = case.replace("|", "")
    assert [text[a:b] for a, b in sentences(text)] == [part.strip() for part in case.split("|")]


def test_range_is_respected() -> None:
    text = "One. Two. Three. Four."
    assert [text[a:b] for a, b in sentences(text, 5, 16)] == ["Two.", "Three."]
    assert [text[a:b] for a, b in sentences(text, 6, 13)] == ["wo.", "Thr"]
    assert sentences(text, 4, 5) == [] == sentences("") == sentences(" \n\n ")


TEXT = st.text(st.sampled_from("aB 1.!?…。」\"')(]\n\t-·É😀iv[«»"), max_size=120) | st.text(max_size=60)


@given(TEXT, st.integers(0, 130), st.integers(0, 130))
def test_spans_reproduce_the_text(text: str, start: int, end: int) -> None:
    spans = sentences(text, start, end)
    assert all(text[a:b] == text[a:b].strip() != "" for a, b in spans)
    assert all(start <= a < b <= end for a, b in spans)
    assert all(one[1] <= two[0] for one, two in pairwise(spans))
    assert "".join("".join(text[a:b] for a, b in spans).split()) == "".join(text[start:end].split())
    assert spans == sentences(text, start, end)


PATHOLOGICAL = [
    "word ",
    "a",
    ".",
    ". ",
    '."',
    "a.",
    "Dr. ",
    "a . ",
    "(",
    "\n",
    "\n ",
    "x. \t",
    "。",
    "你。",
    ".[1,",
    ".[1]",
    "- ",
    "\n- ",
    "1. ",
    "1.2",
    "...x",
    "I. ",
    '"',
    "? ",
    "« ",
]


@pytest.mark.parametrize("unit", PATHOLOGICAL)
def test_time_is_linear(unit: str) -> None:
    """Twenty times the text may take sixty times as long, not four hundred times (and never seconds)."""
    small, large = unit * (5_000 // len(unit)), unit * (100_000 // len(unit)) + "x"
    assert _seconds(large) < max(60 * _seconds(small), 0.5)


def _seconds(text: str) -> float:
    """Return the best of three processor times: other work on the machine does not count."""
    times = []
    for _ in range(3):
        begin = time.process_time()
        sentences(text)
        times.append(time.process_time() - begin)
    return min(times)
