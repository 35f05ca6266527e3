"""A trace goes on across Kafka: from the span that published to the batch that applied."""

from collections.abc import AsyncGenerator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from chassis import tracing
from tests.support.addresses import KafkaAddress
from tests.support.eventually import eventually
from tests.support.hub import Hub, open_hub, record


@pytest.fixture
async def hub(kafka: KafkaAddress, database_url: str, topic_prefix: str) -> AsyncGenerator[Hub]:
    async with open_hub(kafka, database_url, topic_prefix, partitions=1) as opened:
        yield opened


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    return exporter


async def test_the_batch_that_applies_an_event_is_linked_to_the_span_that_published_it(
    hub: Hub, spans: InMemorySpanExporter
) -> None:
    with tracing._tracer.start_as_current_span("scan") as publishing:
        await hub.publish(["f0"])

    async with hub.relaying(), hub.consuming(record):
        await eventually(lambda: _processed(spans), timeout=20)

    (batch,) = _processed(spans)
    assert [link.context.span_id for link in batch.links] == [publishing.get_span_context().span_id]


def test_without_a_span_there_is_no_trace_to_carry() -> None:
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert tracing.current_traceparent() is None


def _processed(spans: InMemorySpanExporter) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name.startswith("process")]
