"""Trace context across Kafka: spans if an OpenTelemetry SDK is installed and configured, nothing
otherwise.

Only the API is a dependency. A batch is one span with a link per event; an event carries the
`traceparent` of the span that published it, or, without an SDK, that of its cause, so a trace that
began elsewhere is not lost here.
"""

import contextlib
from collections.abc import Iterable, Iterator
from itertools import islice

from opentelemetry import trace
from opentelemetry.trace import Link, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

MAX_LINKS = 100
"""Events of a batch whose spans are linked: thousands of links help nobody."""

_tracer = trace.get_tracer("penstock")
_propagator = TraceContextTextMapPropagator()


@contextlib.contextmanager
def batch_span(topic: str, traceparents: Iterable[str | None]) -> Iterator[None]:
    """Trace the handling of a batch, linked to the spans that published its events."""
    with _tracer.start_as_current_span(
        f"process {topic}",
        kind=SpanKind.CONSUMER,
        links=list(_links(traceparents)),
        attributes={"messaging.system": "kafka", "messaging.destination.name": topic},
    ):
        yield


def current_traceparent() -> str | None:
    """Return the W3C trace context of the span in progress, or None."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent")


def _links(traceparents: Iterable[str | None]) -> Iterator[Link]:
    for traceparent in dict.fromkeys(filter(None, islice(traceparents, MAX_LINKS))):
        context = _propagator.extract({"traceparent": traceparent})
        span_context = trace.get_current_span(context).get_span_context()
        if span_context.is_valid:
            yield Link(span_context)
