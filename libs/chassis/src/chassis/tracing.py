"""Traces from a scan to a silver row: spans if an exporter is configured, nothing otherwise.

A trace follows one change. What a batch publishes because of an event belongs to that event's
trace, also where the batch holds events of several traces; the batch itself is a span that is
linked to all of them. Without an exporter no span is made, and an event carries the `traceparent`
of its cause, so a trace that began elsewhere is not lost here.
"""

import contextlib
import os
from collections.abc import Generator, Iterable, Iterator, Mapping
from itertools import islice

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from chassis.errors import SettingsError
from chassis.settings import ProcessSettings

MAX_LINKS = 100
"""Events of a batch whose spans are linked: thousands of links help nobody."""

Attributes = Mapping[str, str | int]

_MESSAGING = {"messaging.system": "kafka"}
_tracer: Tracer | None = None
_propagator = TraceContextTextMapPropagator()


@contextlib.contextmanager
def exporting(service: str, settings: ProcessSettings) -> Generator[None]:
    """Export spans while the process lives, if the settings name a collector.

    Raises:
        SettingsError: they do, and the packages for it are not installed.
    """
    global _tracer  # noqa: PLW0603 - one process, one tracer
    address = settings.traces_address
    if address is None:
        yield
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        problem = "`OTEL_EXPORTER_OTLP_ENDPOINT` needs the packages of the extra `chassis[tracing]`"
        raise SettingsError(problem, problems=[problem]) from error
    resource = Resource.create({"service.name": service, "process.pid": os.getpid()})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=address)))
    _tracer = provider.get_tracer("penstock")
    try:
        yield
    finally:
        _tracer = None
        provider.shutdown()  # sends what waits, for a few seconds at the most


@contextlib.contextmanager
def span(name: str, attributes: Attributes | None = None) -> Iterator[None]:
    """Trace a step of the work in progress."""
    if _tracer is None:
        yield
        return
    with _tracer.start_as_current_span(name, attributes=dict(attributes or {})):
        yield


@contextlib.contextmanager
def batch_span(
    topic: str, traceparents: Iterable[str | None], *, consumer: str = ""
) -> Iterator[None]:
    """Trace the handling of a batch, linked to the spans that published its events.

    A batch of one trace is part of that trace.
    """
    if _tracer is None:
        yield
        return
    parents = [found for found in map(_context, _distinct(traceparents)) if found is not None]
    traces = {_span_context(parent).trace_id for parent in parents}
    with _tracer.start_as_current_span(
        f"process {topic}",
        context=parents[0] if len(traces) == 1 else None,
        kind=SpanKind.CONSUMER,
        links=[Link(_span_context(parent)) for parent in parents],
        attributes=_MESSAGING
        | {"messaging.destination.name": topic, "messaging.consumer.group.name": consumer},
    ):
        yield


def publishing(topic: str, cause: str | None) -> str | None:
    """Return the trace context that an event carries.

    Args:
        topic: Where the event goes.
        cause: The trace context of the event that led to it; its trace goes on.
    """
    if _tracer is None:
        return cause
    parent = _context(cause) if cause else None
    current = trace.get_current_span().get_span_context()
    published = _tracer.start_span(
        f"publish {topic}",
        context=parent,
        kind=SpanKind.PRODUCER,
        links=[Link(current)] if parent is not None and current.is_valid else [],
        attributes=_MESSAGING | {"messaging.destination.name": topic},
    )
    published.end()
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, trace.set_span_in_context(published))
    return carrier.get("traceparent")


def _distinct(traceparents: Iterable[str | None]) -> Iterable[str]:
    return dict.fromkeys(filter(None, islice(traceparents, MAX_LINKS)))


def _context(traceparent: str) -> Context | None:
    context = _propagator.extract({"traceparent": traceparent})
    return context if _span_context(context).is_valid else None


def _span_context(context: Context) -> trace.SpanContext:
    return trace.get_current_span(context).get_span_context()
