"""Optional: errors to Sentry (extra ``sentry``), traces to an OpenTelemetry collector (extra ``tracing``).

Both get what the log gets: no bodies, no query strings, no values of
variables, and everything through the same redaction. The spans are FastAPI's
own; it makes them as soon as there is a tracer provider.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import sbf_kernel
from sbf_api.redaction import redact
from sbf_kernel.errors import MissingExtra

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

    from sbf_api.settings import ServiceSettings

SERVICE = "sbf"
LEFT_OUT = frozenset({"url.full", "url.query", "http.url", "http.target"})
"""Attributes of a span that may hold a query string."""
_FLUSH_SECONDS = 2.0


def start(
    settings: ServiceSettings, *, transport: Any = None, exporter: SpanExporter | None = None
) -> Callable[[], None]:
    """Start what is configured, once per process.

    Parameters
    ----------
    transport
        Sentry transport to use instead of HTTP.
    exporter
        Where spans go instead of to ``settings.otlp_endpoint``.

    Returns
    -------
    Callable
        Sends what is waiting and ends it; call it before the process ends.

    Raises
    ------
    MissingExtra
        The package for something that is configured is not installed.
    """
    ends = []
    if settings.sentry_dsn is not None:
        ends.append(_start_sentry(settings.sentry_dsn.get_secret_value(), transport))
    if settings.otlp_endpoint:
        ends.append(_start_spans(settings.otlp_endpoint, exporter))

    def stop() -> None:
        for end in ends:
            end()

    return stop


def _start_sentry(dsn: str, transport: Any) -> Callable[[], None]:
    try:
        import sentry_sdk
        from sentry_sdk.integrations.argv import ArgvIntegration
        from sentry_sdk.integrations.fastapi import FastApiIntegration
        from sentry_sdk.integrations.starlette import StarletteIntegration
    except ImportError as error:
        raise MissingExtra(
            "SBF_SENTRY_DSN is set, but sentry-sdk is not installed", hint="pip install 'sbf-kernel[server,sentry]'"
        ) from error
    sentry_sdk.init(
        dsn=dsn,
        transport=transport,
        release=f"sbf-kernel@{sbf_kernel.__version__}",
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        before_send=_clean_event,
        before_breadcrumb=lambda crumb, _: redact(crumb),
        auto_enabling_integrations=False,  # they would watch every library that is installed
        integrations=[StarletteIntegration(), FastApiIntegration()],
        disabled_integrations=[ArgvIntegration()],
    )

    def stop() -> None:
        sentry_sdk.get_client().close(timeout=_FLUSH_SECONDS)

    return stop


def _clean_event(event: Any, hint: Any) -> Any:
    request = event.get("request")
    if request:
        url = str(request.get("url", "")).partition("?")[0]
        event["request"] = {"method": request.get("method"), "url": url}
    event.pop("user", None)
    event.pop("modules", None)
    return redact(event)


def _start_spans(endpoint: str, exporter: SpanExporter | None) -> Callable[[], None]:
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise MissingExtra(
            "SBF_OTLP_ENDPOINT is set, but opentelemetry is not installed",
            hint="pip install 'sbf-kernel[server,tracing]'",
        ) from error
    about = Resource.create({"service.name": SERVICE, "service.version": sbf_kernel.__version__})
    provider = TracerProvider(resource=about)
    target = exporter or OTLPSpanExporter(endpoint=endpoint.rstrip("/").removesuffix("/v1/traces") + "/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(_redacting(target)))
    trace.set_tracer_provider(provider)
    return provider.shutdown


def _redacting(target: SpanExporter) -> SpanExporter:
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    def attributes(given: Any) -> dict[str, Any]:
        return redact({name: value for name, value in (given or {}).items() if name not in LEFT_OUT})  # type: ignore[no-any-return]

    def clean(span: ReadableSpan) -> ReadableSpan:
        return ReadableSpan(
            name=redact(span.name),
            context=span.context,
            parent=span.parent,
            resource=span.resource,
            attributes=attributes(span.attributes),
            events=[Event(event.name, attributes(event.attributes), event.timestamp) for event in span.events],
            links=span.links,
            kind=span.kind,
            status=span.status,
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )

    class Redacting(SpanExporter):
        """Hands on copies without secrets."""

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            return target.export([clean(span) for span in spans])

        def shutdown(self) -> None:
            target.shutdown()

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            return target.force_flush(timeout_millis)

    return Redacting()
