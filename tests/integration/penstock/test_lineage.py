"""A lineage server that is away, busy or picky."""

import contextlib
import http.server
import json
import threading
from collections.abc import Generator
from typing import Any

import structlog

from penstock import lineage
from penstock.lineage import LineageSettings, to_server

EVENT: dict[str, Any] = {"run": {"runId": "one"}}
OTHER: dict[str, Any] = {"run": {"runId": "other"}}


@contextlib.contextmanager
def answering(*statuses: int) -> Generator[tuple[str, list[tuple[str | None, Any]]]]:
    """Serve; answers with each status once, then with 201."""
    left = list(statuses)
    received: list[tuple[str | None, Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append((self.headers["authorization"], json.loads(body)))
            self.send_response(left.pop(0) if left else 201)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def settings(url: str) -> LineageSettings:
    return LineageSettings.model_validate(
        {"OPENLINEAGE_URL": url, "OPENLINEAGE_API_KEY": "hunter2-canary"}
    )


async def test_a_busy_server_is_asked_again_and_a_refusal_holds_up_nothing() -> None:
    with answering(503, 429, 400) as (url, received), structlog.testing.capture_logs() as lines:
        async with to_server(settings(url)) as deliver:
            await lineage._deliver_patiently(deliver, [EVENT, OTHER])

    assert [body for _, body in received] == [EVENT, EVENT, EVENT, OTHER]
    assert {key for key, _ in received} == {"Bearer hunter2-canary"}
    assert [line["event"] for line in lines] == [
        "lineage_waits",
        "lineage_waits",
        "lineage_refused",
    ]
    assert "hunter2" not in str(lines)
