"""Settings: environment variables (``SBF_…``), ``.env``-style secrets and defaults, frozen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import platformdirs
from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What can be configured, each field by ``SBF_<NAME>``.

    Arguments given in code beat environment variables, which beat files in
    the directory named by ``SBF_SECRETS_DIR``.
    """

    model_config = SettingsConfigDict(
        env_prefix="SBF_",
        frozen=True,
        extra="ignore",
        protected_namespaces=(),
        secrets_dir=os.environ.get("SBF_SECRETS_DIR"),
    )

    home: Path = Field(default_factory=lambda: Path(platformdirs.user_data_dir("sbf")))
    """Where data live: database, raw files."""

    url: str | None = None
    """``https://…`` of an SBF service to use instead of a database."""

    token: SecretStr | None = None
    """Who you are there: an access or API token."""

    allow_http: bool = False
    """Let ``url`` be plain ``http://`` also beyond this machine: the token then travels unencrypted."""

    socket: Path | None = None
    """Unix socket of a process that carries out operations for this one: the notebook of a report has it."""

    database_url: SecretStr | None = None
    """``postgresql://…`` of a server to use instead of the embedded one."""

    database_pool: int = Field(default=16, ge=1)
    """Connections of one process to the database at most."""

    database_wait_seconds: float = Field(default=30, gt=0)
    """Longest wait for one of them."""

    database_statement_seconds: int = Field(default=0, ge=0)
    """Longest time for one statement; 0 is no limit."""

    embedder: str = "builtin:bge-small-en-v1.5"
    """``builtin:bge-small-en-v1.5`` or ``none`` (lexical search only)."""

    model: str = "extractive"
    """``extractive`` or a language model id such as ``openai:gpt-4o-mini``."""

    model_base_url: str | None = None
    """Base URL of any OpenAI-compatible endpoint (Ollama, vLLM, llama.cpp …)."""

    model_api_key: SecretStr | None = None
    """Key for the language model; else the provider's own variable is used."""

    model_context_tokens: int = Field(default=16_000, ge=1_000)
    """Context window to plan for when composing a prompt."""

    threads: int = Field(default_factory=lambda: max(1, os.cpu_count() or 1), ge=1)
    """Threads for embedding."""

    read_memory_mb: int = Field(default=1_000, ge=200)
    """Memory one reader process may use."""

    read_cpu_seconds: int = Field(default=50, ge=1)
    """CPU time one source may use while it is read."""

    read_wall_seconds: int = Field(default=60, ge=1)
    """Time one source may take to be read."""

    max_source_mb: int = Field(default=200, ge=1)
    """Largest file that is accepted."""

    signing_keys: SecretStr | None = None
    """JSON object of key id → secret (32 bytes or more); the first signs access tokens, all are taken.

    Unset, a file in ``home`` holds them: right for processes that share that folder.
    """

    jupyterhub_api_url: str = ""
    """URL of a JupyterHub's API (``JUPYTERHUB_API_URL`` of a service): its tokens are taken too."""

    jupyterhub_access_scopes: tuple[str, ...] = Field(
        default=(),
        validation_alias=AliasChoices(
            "jupyterhub_access_scopes", "SBF_JUPYTERHUB_ACCESS_SCOPES", "JUPYTERHUB_OAUTH_ACCESS_SCOPES"
        ),
    )
    """Hub scopes, as a JSON list, of which a token needs one; none are asked for when empty."""

    jobs: Literal["here", "queue"] = "here"
    """Who brings sources in: this process (``sbf serve`` by a worker inside), or whichever ``sbf worker`` is free."""

    static: bool = False
    """Deterministic output for reports and checked notebooks: no progress, no streaming display."""

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        """Hold on to the place when the working directory changes; reader processes have another one anyway."""
        return home.expanduser().absolute()

    @field_validator("token")
    @classmethod
    def _one_word(cls, token: SecretStr | None) -> SecretStr | None:
        """Take a token as it is copied or read from a file: with a line's end."""
        if token is None:
            return None
        bare = token.get_secret_value().strip()
        if not bare.isascii() or not bare.isprintable() or " " in bare:
            raise ValueError("a token is one word of ASCII characters")
        return SecretStr(bare)

    @model_validator(mode="after")
    def _secret_stays_secret(self) -> Settings:
        """Refuse to send a token where others can read along."""
        if self.url is not None:
            place = urlsplit(self.url)
            here = place.hostname in ("localhost", "127.0.0.1", "::1")
            if place.scheme not in ("http", "https") or not place.hostname or place.username or place.query:
                raise ValueError("url must look like https://sbf.example")
            if place.scheme == "http" and not here and not self.allow_http:
                raise ValueError(
                    "url is not encrypted: use https://, or set SBF_ALLOW_HTTP=1 inside a network you trust"
                )
        return self
