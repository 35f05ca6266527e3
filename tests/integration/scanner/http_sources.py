"""HTTP sources as tests configure them, against the sample API."""

import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from chassis.clock import SystemClock
from chassis.shares.port import Share
from scanner.adapters.http_source import HttpAccess, HttpSource, ItemPorts
from scanner.domain.records import ItemFailure, PollRequest, RawRecord
from scanner.domain.series import Tail
from scanner.settings.http import HttpRecords
from tests.support.sample_api import KEYS, Keys, SampleServer

TICKERS = ["APAM", "APGE", "ATMU", "BRCC"]
LAST_DAY = "2023-11-08"

NOW = datetime(2026, 3, 1, 5, 0, tzinfo=UTC)


@dataclass(slots=True)
class Remembered:
    """`SeriesMemory` in memory."""

    tails: dict[str, Tail] = field(default_factory=dict)

    async def recall(self, _series: str, items: Sequence[str]) -> Mapping[str, Tail]:
        return {item: self.tails[item] for item in items if item in self.tails}

    async def remember(self, _series: str, tails: Mapping[str, Tail]) -> None:
        self.tails.update(tails)


@dataclass(slots=True)
class Told:
    """Everything that a poll told."""

    records: list[RawRecord] = field(default_factory=list)
    failures: list[ItemFailure] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    high_water: str | None = None
    total: int | None = None

    def of(self, symbol: str) -> list[RawRecord]:
        return [record for record in self.records if record["symbol"] == symbol]


def _no_share() -> Share:
    raise AssertionError("no share is needed")


@dataclass(slots=True)
class Desk:
    """Opens sources against one server."""

    server: SampleServer
    items: list[str] = field(default_factory=lambda: list(TICKERS))
    memory: Remembered = field(default_factory=Remembered)

    async def known(self, source: str) -> AsyncGenerator[Sequence[str]]:
        assert source == "russell_2000"
        for begin in range(0, len(self.items), 3):
            yield self.items[begin : begin + 3]

    def source(self, **config: Any) -> HttpSource:
        api = {"base_url": self.server.url, "auth": FMP_KEY, "timeout_seconds": 2} | config.pop(
            "api", {}
        )
        access = HttpAccess(
            secrets=Keys(KEYS),
            clock=SystemClock(),
            database=None,
            open_share=_no_share,
            items=ItemPorts(self.known, self.memory),
        )
        document = {"kind": "http", "api": api, **config}
        return HttpSource(HttpRecords.model_validate(document), access)

    async def poll(self, request: PollRequest, **config: Any) -> Told:
        source = self.source(**config)
        told = Told()
        try:
            async with contextlib.aclosing(source.poll(request)) as pages:
                async for page in pages:
                    told.records += page.records
                    told.failures += page.failures
                    told.gaps += [page.gap] if page.gap else []
                    told.high_water = page.high_water or told.high_water
                    told.total = page.total if page.total is not None else told.total
        finally:
            await source.close()
        return told


FMP_KEY = {"kind": "query", "name": "apikey", "value": "env:FMP_API_KEY"}
TDX_TOKEN = {"kind": "bearer", "token": "env:TDX_API_TOKEN"}
ONE_TRY = {"retry": {"attempts": 1}}


def prices(shape: str = "stable", **more: Any) -> dict[str, Any]:
    """The section of daily prices, in one of the provider's two shapes."""
    call: dict[str, Any] = {
        "path": "/stable/historical-price-eod/full",
        "params": {"symbol": "{item}"},
    }
    if shape == "v3":
        call = {
            "path": "/api/v3/historical-price-full/{item}",
            "record_path": "historical",
            "inherit": {"symbol": "symbol"},
        }
    return {
        "call": call,
        "for_each": {"source": "russell_2000", "concurrency": 3, "item_field": "symbol"},
        "days": {"start": "2023-10-01", "today": LAST_DAY},
        "series": {},
        **more,
    }


def valuations(**more: Any) -> dict[str, Any]:
    """The section of DCF valuations: bulk first."""
    return {
        "call": {"path": "/stable/discounted-cash-flow", "params": {"symbol": "{item}"}},
        "for_each": {
            "source": "russell_2000",
            "concurrency": 10,
            "item_field": "symbol",
            "bulk": {
                "path": "/stable/dcf-bulk",
                "format": "csv",
                "numbers": ["dcf", "Stock Price"],
                "item_field": "symbol",
            },
        },
        **more,
    }
