"""What of the service can be configured: ``SBF_…`` variables, as all settings."""

from __future__ import annotations

from pydantic import Field, SecretStr

from sbf_kernel.settings import Settings


class ServiceSettings(Settings):
    """The settings of a workspace, with tighter limits, and those of the service."""

    database_wait_seconds: float = Field(default=1.0, gt=0)
    database_statement_seconds: int = Field(default=10, ge=0)

    redis_url: SecretStr | None = None
    """``redis://…`` or ``unix://…``: cache and limits that several processes share; in this process's memory when unset."""

    processes: int = Field(default=1, ge=1)
    """Processes that serve together, on all machines: while Redis is away, each grants its share of every allowance."""

    rate_default: int = Field(default=100, ge=1)
    rate_chat: int = Field(default=10, ge=1)
    rate_transformations: int = Field(default=30, ge=1)
    rate_search: int = Field(default=60, ge=1)
    rate_ingestion: int = Field(default=20, ge=1)
    """Calls per minute and user, by kind of operation (:data:`sbf_kernel.operations.Rate`)."""

    rate_sign_in: int = Field(default=5, ge=1)
    """Sign-ins, and changes of a password, per minute and account, and per minute and address."""

    rate_bad_tokens: int = Field(default=60, ge=1)
    """Tokens that are not good, per minute and address; good ones do not count and are taken all the same."""

    request_seconds: float = Field(default=2.0, gt=0)
    """Time for an ordinary request that reads; others get five times as much."""

    max_body_mb: int = Field(default=210, ge=1)
    """Largest body of an upload; everything else is at most 2 MB."""

    streams_per_user: int = Field(default=5, ge=1)
    """Streams one user may have open at once."""

    heartbeat_seconds: float = Field(default=15.0, gt=0)
    """A silent stream sends a sign of life this often."""

    cors_origins: tuple[str, ...] = ()
    """Exact origins whose pages may call the service from a browser."""

    forwarded_allow_ips: str = "127.0.0.1"
    """Proxies whose X-Forwarded-For is believed."""

    https: bool = False
    """Whether users reach it by HTTPS only (sends Strict-Transport-Security)."""

    metrics_token: SecretStr | None = Field(default=None, min_length=16)
    """Bearer token that may read ``/metrics``; programs on the service's own machine may without."""

    sentry_dsn: SecretStr | None = None
    otlp_endpoint: str = ""
    """Where errors (extra ``sentry``) and traces (extra ``tracing``) are sent; nowhere when unset."""
