"""AI models behind ports, and the built-in ones that need neither key nor network.

``Embedder`` is implemented by :mod:`sbf_kernel.models.builtin`; language
models come through pydantic-ai in :mod:`sbf_kernel.models.language`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vector = npt.NDArray[np.float32]


class Embedder(Protocol):
    """Text → unit vector. Queries and passages may be embedded differently."""

    id: str
    """Model id with a fingerprint of weights and runtime settings; stored with every vector."""
    dimensions: int
    languages: frozenset[str] | None
    """ISO 639-1 codes it was trained for; None for all."""

    async def embed_query(self, text: str) -> Vector:
        """Return the unit vector of a question, shape ``(dimensions,)``."""
        ...

    async def embed_passages(self, texts: Sequence[str]) -> list[Vector]:
        """Return one unit vector per text, each of shape ``(dimensions,)``."""
        ...

    def close(self) -> None:
        """Release threads and memory."""
        ...


def embedded_text(context: str, passage: str) -> str:
    """Return what is embedded and indexed for a chunk: its context, then its text."""
    return f"{context}\n{passage}" if context else passage


def content_hash(whole: str) -> bytes:
    """Return the 16 bytes by which an embedded text is known again."""
    return hashlib.blake2b(whole.encode(), digest_size=16).digest()
