"""Prompts: one file each, with ``{slots}``.

There is no template engine. What fills a slot is data: it is never searched for
slots itself, so ``{{7*7}}`` or ``{passages}`` in a question stay what they are.
"""

from __future__ import annotations

import functools
import re
from importlib.resources import files

_SLOT = re.compile(r"\{([a-z]+)\}")


@functools.cache
def load(name: str) -> str:
    """Return the text of the prompt file ``name`` without its ending."""
    return (files(__name__) / f"{name}.md").read_text(encoding="utf-8").strip()


def fill(name: str, **slots: str) -> str:
    """Return the prompt ``name`` with its slots filled.

    Raises
    ------
    KeyError
        The file has a slot that was not given.
    ValueError
        A slot was given that the file does not have.
    """
    template = load(name)
    unused = slots.keys() - set(_SLOT.findall(template))
    if unused:
        raise ValueError(f"prompt {name} has no slot {', '.join(sorted(unused))}")
    return _SLOT.sub(lambda match: slots[match[1]], template)
