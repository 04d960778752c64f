"""The language of a text, as far as it matters for stemming."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from sbf_kernel.models.sparse import STEMMERS

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

SAMPLE = 4_000
"""Characters that decide."""
CONFIDENCE = 0.75
"""Below it (short titles, tables of numbers, code) the text counts as the default language."""
DEFAULT = "en"

# Languages we treat differently from one another, and close relatives that
# would otherwise be taken for them.
_CANDIDATES = [*STEMMERS, "zh", "ja", "ko", "th", "pl", "cs", "uk", "he", "vi", "fa", "bg", "hr", "sk"]


def detect_language(text: str) -> str:
    """Return the ISO 639-1 code of the language of ``text``, ``en`` when in doubt.

    A query is stemmed in every language of the collection, so a wrong guess on
    a short text costs nothing but its stop words.
    """
    language, confidence = _identifier().classify(_middle(text))
    return str(language) if confidence >= CONFIDENCE else DEFAULT


def _middle(text: str) -> str:
    """Skip what often stands first in another language: front matter, licences."""
    start = 0 if len(text) <= 2 * SAMPLE else min(len(text) // 3, 50_000)
    return text[start : start + SAMPLE]


@functools.cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(sorted(set(_CANDIDATES) & set(identifier.labels)))
    return identifier
