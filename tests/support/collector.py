"""An OpenTelemetry collector in the small: takes OTLP over HTTP and remembers the spans."""

import contextlib
import http.server
import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as protocol


@dataclass(frozen=True, slots=True)
class Received:
    """One span."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    links: frozenset[str]


@dataclass(slots=True)
class Collector:
    """What has come in, and where to send it."""

    address: str = ""
    spans: list[Received] = field(default_factory=list)

    def named(self, name: str) -> list[Received]:
        return [span for span in self.spans if span.name == name]

    def take(self, body: bytes) -> None:
        request: Any = getattr(protocol, "ExportTraceServiceRequest")()  # noqa: B009 - generated
        request.ParseFromString(body)
        for resource in request.resource_spans:
            attributes = {item.key: item.value for item in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [
                    Received(
                        service=attributes["service.name"].string_value,
                        name=span.name,
                        trace_id=span.trace_id.hex(),
                        span_id=span.span_id.hex(),
                        parent_id=span.parent_span_id.hex(),
                        links=frozenset(link.span_id.hex() for link in span.links),
                    )
                    for span in scope.spans
                ]


@contextlib.contextmanager
def running_collector() -> Generator[Collector]:
    collector = Collector()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    collector.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
