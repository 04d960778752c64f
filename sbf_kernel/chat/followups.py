"""Follow-ups made to stand alone before they are searched for.

"And what do they eat?" finds nothing by itself. A language model rewrites it
from the conversation; without one, or when it fails, a rule puts the words of
the last question before it. The rule is modest: it helps a search and can at
worst add a few words to it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sbf_kernel.chat import ledger
from sbf_kernel.models import sparse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from uuid import UUID

    from sbf_kernel.models.language import LanguageModel
    from sbf_kernel.records import Principal
    from sbf_kernel.runtime import Runtime

SECONDS: Final = 8.0
"""How long the rewriting may hold the answer up."""
MAX_TOKENS: Final = 150
LONGEST: Final = 1_000
"""Characters of a rewritten question; a longer text is no question."""
KEPT_WORDS: Final = 8
"""Words of the last question that are put before a follow-up, at most."""
FEW_WORDS: Final = 4
"""A question with a pronoun and so many words of its own, at most, refers back."""
SHORT_UNSPACED: Final = 4
"""Characters of a follow-up in a script without blanks: 为什么？"""

# What refers back in the languages whose stop words we know: words that stand in
# place of a noun (articles that look the same are left out), words that go on
# with what was said, and words that say nothing by themselves.
_PRONOUNS: Final = {
    "en": "it its they them their theirs he him his she her hers this that these those ones",
    "de": "er sie ihn ihm ihnen ihr ihre ihren dies diese dieser dieses dort dazu davon dabei dafür",
    "es": "él ella ello ellos ellas su sus eso esto esos estos esas estas",
    "fr": "elle ils elles cela ça leur leurs lui",
    "it": "esso essa essi esse loro questo questa questi queste quello quella",
    "pt": "ele ela eles elas isso isto aquilo dele dela deles delas",
    "nl": "hij zij ze hun dit deze",
    "": "он она оно они его её ее их это",
}
_OPENERS: Final = {
    "en": "and but or so then",
    "de": "und aber oder also dann denn",
    "es": "y pero entonces",
    "fr": "et mais alors",
    "it": "e ma allora",
    "pt": "e mas então",
    "nl": "en maar dan",
    "": "а и но",
}
_FILLERS: Final = {
    "en": "about tell me more please can could would you i my explain example examples else again really",
    "de": "mehr bitte erkläre erklären beispiel beispiele warum wieso weshalb genau noch",
    "es": "más favor ejemplo ejemplos",
    "fr": "plus pourquoi exemple exemples encore",
    "it": "più perché esempio esempi ancora",
    "pt": "mais favor exemplo exemplos",
    "nl": "meer waarom hoe voorbeeld graag",
    "": "почему ещё",
}
_EXPLETIVES: Final = {
    "en": re.compile(
        r"\bit\b(.*?)\bthat\b|\bthat\b(?= (?:an?|the|all|some|any|no|every|there|it|they|we|you)\b)", re.IGNORECASE
    )
}
"""Words that look like pronouns and are none: "does it mean that a …"."""
_WORD: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_UNSPACED: Final = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")
_UNSPACED_PRONOUNS: Final = re.compile(r"[它他她这那其]|それ|これ|그것|이것")
_QUOTES: Final = "\"'“”„«»「」 \t"


async def standalone(
    runtime: Runtime,
    principal: Principal,
    model: LanguageModel | None,
    text: str,
    *,
    before: str,
    conversation: str,
    notebook_id: UUID,
) -> str:
    """Return ``text`` so that it can be understood without what was said before.

    Parameters
    ----------
    before
        What was searched for last; empty at the beginning of a chat.
    conversation
        What was said before, for the model.
    """
    if model is not None and conversation:
        words = await ledger.aside(
            runtime,
            principal,
            model,
            "rewrite",
            notebook_id=notebook_id,
            seconds=SECONDS,
            max_tokens=MAX_TOKENS,
            conversation=conversation,
            question=text,
        )
        line = " ".join(words.split()).strip(_QUOTES)
        if line and len(line) <= LONGEST:
            return line
    return completed(text, before)


def completed(text: str, before: str) -> str:
    """Return ``text`` with the key words of the question before it in front, if it seems to refer back; else as it is."""
    if not before or not refers_back(text):
        return text
    own = set(_words(text))
    kept = [word for word in _key_words(before) if sparse.fold(word) not in own]
    return f"{' '.join(kept[:KEPT_WORDS])}: {text}" if kept else text


def refers_back(text: str) -> bool:
    """Tell whether a question needs the one before it: no words of its own, an opener, or a pronoun and few words."""
    words = _words(text)
    if _UNSPACED.search(text):
        return len("".join(words)) <= SHORT_UNSPACED or bool(_UNSPACED_PRONOUNS.search(text))
    language = _language(words)
    own = [word for word in words if _says_something(word, language)]
    if language in _EXPLETIVES:
        words = _words(_EXPLETIVES[language].sub(r" \1 ", text)) or words
    if not own or words[0] in _listed(_OPENERS, language):
        return True
    return len(own) <= FEW_WORDS and not _listed(_PRONOUNS, language).isdisjoint(words)


def _words(text: str) -> list[str]:
    return _WORD.findall(sparse.fold(text))


def _key_words(text: str) -> list[str]:
    """Return the words of a text that carry its topic, as they stand there, each once."""
    language = _language(_words(text))
    found = {sparse.fold(word): word for word in _WORD.findall(text) if _says_something(sparse.fold(word), language)}
    return list(found.values())


def _language(words: Iterable[str]) -> str:
    """Return the language most of whose stop words occur; English when none do."""
    return max(_OPENERS, key=lambda language: sum(_is_stop_word(word, language) for word in words))


def _says_something(word: str, language: str) -> bool:
    return not (
        _is_stop_word(word, language)
        or any(word in _listed(lists, language) for lists in (_PRONOUNS, _OPENERS, _FILLERS))
    )


def _is_stop_word(word: str, language: str) -> bool:
    return not any(True for _ in sparse.terms(word, language))


def _listed(lists: Mapping[str, str], language: str) -> frozenset[str]:
    return frozenset(f"{lists[language]} {lists['']}".split())
