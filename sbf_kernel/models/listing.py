"""Which models there are here, found out without loading weights or asking anybody."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

from sbf_kernel.errors import ModelError
from sbf_kernel.models.builtin import MINILM_CROSS, require
from sbf_kernel.models.language import EXTRACTIVE
from sbf_kernel.records import Model

if TYPE_CHECKING:
    from sbf_kernel.settings import Settings

_KEYS = {
    "anthropic": "ANTHROPIC_API_KEY",
    "cohere": "CO_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
    "groq": "GROQ_API_KEY",
    "mistral": "MISTRAL_API_KEY",
    "openai": "OPENAI_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
}
"""Where providers that cannot do without a key look for it."""


def models(settings: Settings, embedder: str) -> tuple[Model, ...]:
    """Return what answers, embeds and judges, with what is missing.

    Parameters
    ----------
    embedder
        Id of the embedder that was opened; empty without one.
    """
    extractive = Model(
        id=EXTRACTIVE, kind="language", default=settings.model == EXTRACTIVE, detail="quotes; needs no model"
    )
    configured = [] if settings.model == EXTRACTIVE else [_language(settings)]
    opened = [Model(id=embedder, kind="embedding", default=True)] if embedder else []
    return (extractive, *configured, *opened, _reranker())


def _language(settings: Settings) -> Model:
    missing = _missing(settings)
    own = "own endpoint" if settings.model_base_url else ""
    return Model(id=settings.model, kind="language", default=True, available=not missing, detail=missing or own)


def _missing(settings: Settings) -> str:
    """Return what the configured language model still needs; empty when nothing is known to be missing."""
    provider, _, name = settings.model.partition(":")
    if not provider or not name:
        return "not an id: write provider:name"
    if find_spec("pydantic_ai") is None:
        return "pip install 'sbf-kernel[llm]'"
    variable = _KEYS.get(provider)
    if settings.model_base_url or settings.model_api_key or variable is None or os.environ.get(variable):
        return ""
    return f"no key: set SBF_MODEL_API_KEY or {variable}"


def _reranker() -> Model:
    identity = f"{MINILM_CROSS.name}/{MINILM_CROSS.model_sha256[:8]}"
    try:
        require(MINILM_CROSS, "onnxruntime", "tokenizers", "numpy")
    except ModelError as error:
        return Model(id=identity, kind="reranking", default=True, available=False, detail=error.hint)
    return Model(id=identity, kind="reranking", default=True, detail="English")
