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
    with tracing.span("scan"):
        await hub.publish(["f0"])

    async with hub.relaying(), hub.consuming(record):
        await eventually(lambda: _processed(spans), timeout=20)

    (batch,) = _processed(spans)
    found = {span.name: span for span in spans.get_finished_spans()}
    published = next(span for name, span in found.items() if name.startswith("publish"))
    assert [link.context.span_id for link in batch.links] == [published.context.span_id]
    assert batch.parent is not None
    assert batch.parent.span_id == published.context.span_id
    assert {span.context.trace_id for span in found.values()} == {found["scan"].context.trace_id}


def test_without_an_exporter_nothing_is_traced_and_the_causes_trace_is_passed_on() -> None:
    cause = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with tracing.span("a"), tracing.batch_span("file.changed", [cause], consumer="reader"):
        assert trace.get_current_span() is trace.INVALID_SPAN
        assert tracing.publishing("bronze.stored", None) is None
        assert tracing.publishing("bronze.stored", cause) == cause


async def test_what_a_batch_publishes_belongs_to_the_trace_of_its_cause(
    spans: InMemorySpanExporter,
) -> None:
    one, other = tracing.publishing("file.changed", None), tracing.publishing("file.changed", None)
    with tracing.batch_span("file.changed", [one, other], consumer="reader"):
        after_one = tracing.publishing("bronze.stored", one)
        after_other = tracing.publishing("bronze.stored", other)

    assert one is not None
    assert other is not None
    assert after_one is not None
    assert after_other is not None
    assert _trace_of(one) == _trace_of(after_one) != _trace_of(other) == _trace_of(after_other)
    (batch,) = _processed(spans)
    assert len(batch.links) == 2
    assert batch.context.trace_id not in (int(_trace_of(one), 16), int(_trace_of(other), 16))


def _trace_of(traceparent: str) -> str:
    return traceparent.split("-")[1]


def _processed(spans: InMemorySpanExporter) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name.startswith("process")]
