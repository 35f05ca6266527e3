"""Exports runs as OpenLineage events: reads `run.changed`, delivers, and only then moves on.

A process of its own, so that a lineage server that is away or slow holds up nothing else; what it
missed it reads later, because Kafka keeps the announcements.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import orjson
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from pydantic import SecretStr

from chassis.bus.client import to_records
from chassis.bus.codec import decode_event
from chassis.bus.records import Record
from chassis.bus.security import client_security, explained
from chassis.errors import MessageDecodeError, UnavailableError
from chassis.logs import get_logger
from chassis.retry import backoff_seconds
from chassis.settings import KafkaSettings, SettingsPart, env
from contracts.access import LINEAGE_EXPORTER
from contracts.topics import RUN_CHANGED
from penstock.lineage_events import LineageEvents

_DEADLINE_SECONDS = 30.0
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500

Deliver = Callable[[Sequence[dict[str, Any]]], Awaitable[None]]
"""Takes events over for good, or raises `UnavailableError`."""


class LineageSettings(SettingsPart):
    """Where lineage goes; the names are those of the OpenLineage clients."""

    url: str | None = env("OPENLINEAGE_URL", None, pattern="^https?://")
    endpoint: str = env("OPENLINEAGE_ENDPOINT", "api/v1/lineage")
    api_key: SecretStr | None = env("OPENLINEAGE_API_KEY", None)
    namespace: str = env("OPENLINEAGE_NAMESPACE", "penstock")


async def export(
    settings: KafkaSettings, events: LineageEvents, deliver: Deliver, *, until_end: bool = False
) -> int:
    """Export until cancelled, or what there is now; return how many events were delivered.

    Raises:
        UnavailableError: Kafka does not answer, or refuses this user.
    """
    delivered = 0
    async with _consumer(settings) as consumer:
        while True:
            async with explained(settings):
                polled = await consumer.getmany(timeout_ms=1000)
            records = to_records([record for batch in polled.values() for record in batch])
            told = [found for record in records if (found := _told(events, record)) is not None]
            await _deliver_patiently(deliver, told)
            delivered += len(told)
            if records:
                async with explained(settings):
                    await consumer.commit()
            elif until_end and consumer.assignment():
                return delivered


@contextlib.asynccontextmanager
async def _consumer(settings: KafkaSettings) -> AsyncGenerator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        RUN_CHANGED.name,
        bootstrap_servers=settings.bootstrap_servers,
        client_id="penstock-lineage",
        group_id=LINEAGE_EXPORTER,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_poll_interval_ms=600_000,
        **client_security(settings),
    )
    try:
        async with explained(settings), asyncio.timeout(_DEADLINE_SECONDS):
            await consumer.start()
        yield consumer
    finally:
        with contextlib.suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(5):
                await consumer.stop()


def _told(events: LineageEvents, record: Record) -> dict[str, Any] | None:
    try:
        return events.of(decode_event(RUN_CHANGED, record))
    except (MessageDecodeError, ValueError) as error:
        get_logger().warning("run_not_exported", error=error)
        return None


async def _deliver_patiently(deliver: Deliver, told: Sequence[dict[str, Any]]) -> None:
    attempt = 0
    while told:
        try:
            await deliver(told)
        except UnavailableError as error:
            attempt += 1
            get_logger().warning("lineage_waits", attempt=attempt, error=error)
            await asyncio.sleep(backoff_seconds(attempt))
        else:
            return


def to_file(path: Path) -> Deliver:
    """Return what appends events to a file, one JSON object a line."""

    def append(told: Sequence[dict[str, Any]]) -> None:
        with path.open("ab") as file:
            file.write(b"".join(orjson.dumps(event) + b"\n" for event in told))
            file.flush()
            os.fsync(file.fileno())

    async def deliver(told: Sequence[dict[str, Any]]) -> None:
        await asyncio.to_thread(append, told)

    return deliver


@contextlib.asynccontextmanager
async def to_server(settings: LineageSettings) -> AsyncGenerator[Deliver]:
    """Lend what sends events to a server, one request each, in order."""
    headers = {"content-type": "application/json"}
    if settings.api_key is not None:
        headers["authorization"] = f"Bearer {settings.api_key.get_secret_value()}"
    async with httpx.AsyncClient(
        base_url=settings.url or "", headers=headers, timeout=_DEADLINE_SECONDS
    ) as client:

        async def deliver(told: Sequence[dict[str, Any]]) -> None:
            for event in told:
                await _send(client, settings.endpoint, event)

        yield deliver


async def _send(client: httpx.AsyncClient, endpoint: str, event: dict[str, Any]) -> None:
    try:
        answer = await client.post(endpoint, content=orjson.dumps(event))
    except httpx.TransportError as error:
        raise UnavailableError(f"the lineage server does not answer: {error}") from error
    if answer.status_code == _TOO_MANY_REQUESTS or answer.status_code >= _SERVER_ERROR:
        raise UnavailableError(f"the lineage server answers {answer.status_code}")
    if answer.is_error:
        # Sending it again would not help, and nothing behind it must wait for it.
        get_logger().error("lineage_refused", status=answer.status_code, run=event["run"]["runId"])
