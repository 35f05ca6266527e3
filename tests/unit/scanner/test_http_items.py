"""One request per item: never more at a time than configured."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import date
from typing import Any

import httpx
import pytest
import yaml

from chassis.clock import SystemClock
from chassis.http import HttpClient, HttpConfig, NoBudget
from scanner.adapters.http_items import ItemReader
from scanner.domain.records import Full
from scanner.settings.http import HttpRecords
from tests.support.paths import PROJECT


class Crowd:
    """Counts how many requests are under way."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0
        self.total = 0

    async def __call__(self, _: httpx.Request) -> httpx.Response:
        self.now += 1
        self.total += 1
        self.most = max(self.most, self.now)
        for _turn in range(5):
            await asyncio.sleep(0)
        self.now -= 1
        return httpx.Response(200, json=[{"symbol": "A"}])


async def known(_: str) -> AsyncGenerator[Sequence[str]]:
    yield [f"T{number:03}" for number in range(130)]


def presets() -> dict[str, Any]:
    text = (PROJECT / "config" / "presets" / "daily-market.yaml").read_text("utf-8")
    return {source["name"]: source["records"] for source in yaml.safe_load(text)["sources"]}


@pytest.mark.covers("S3-09")
@pytest.mark.parametrize(("source", "limit"), [("fmp_prices", 50), ("fmp_dcf", 10)])
@pytest.mark.parametrize("configured", [None, 7])
async def test_requests_at_a_time_are_as_many_as_configured(
    source: str, limit: int, configured: int | None
) -> None:
    section = presets()[source]
    section["for_each"].pop("bulk", None)
    if configured is not None:
        section["for_each"]["concurrency"] = limit = configured
    config = HttpRecords.model_validate(section)
    assert config.for_each is not None
    crowd, clock = Crowd(), SystemClock()
    async with httpx.AsyncClient(transport=httpx.MockTransport(crowd), trust_env=False) as http:
        client = HttpClient(
            HttpConfig(base_url="https://api.example.org"),
            http,
            budget=NoBudget(clock),
            clock=clock,
        )
        reader = ItemReader(client, config, config.for_each, known=known, today=date(2025, 5, 13))
        async for _ in reader.poll(Full()):
            pass

    assert (crowd.most, crowd.total) == (limit, 130)
