"""The daily flow with its real steps: the list of tickers, prices, valuations."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from chassis.clock import SystemClock
from chassis.db import Database
from chassis.runs import RunWorker, submit
from chassis.shares.open import open_share
from contracts.runs import RunStatus
from scanner import app
from scanner.adapters.flow_runs import LedgerStepRuns
from scanner.handlers import flow as flow_handler
from scanner.handlers.flow import FlowCatalog, RunFlow
from scanner.jobs import FLOW, SCAN, FlowSchedule, scan_jobs
from scanner.settings.environment import ScannerSettings, load_scanner_settings
from scanner.settings.flows import load_flows
from tests.support.clocks import HandClock
from tests.support.databases import opened
from tests.support.eventually import eventually
from tests.support.market_hub import LIST, lay_universe, write_preset_config
from tests.support.paths import PROJECT
from tests.support.runs import fetch, shorten_waits
from tests.support.sample_api import KEYS, SampleServer

TICKERS = ["APAM", "APGE", "ATMU", "BRCC", "CRS"]
NAME = "daily-market"


@dataclass(slots=True)
class Market:
    database: Database
    settings: ScannerSettings
    server: SampleServer
    share: Path

    def worker(self) -> RunWorker:
        clock = SystemClock()
        records = app.build_record_catalog(self.settings)
        access = app.record_access(
            self.settings, lambda config: open_share(config, None), self.database
        )
        poll = app.build_poll(self.settings, self.database, records, access=access, clock=clock)
        flows = app.build_flows(self.settings, records.names())
        flow = RunFlow(flows, LedgerStepRuns(self.database, kind=SCAN), clock=clock)

        async def no_scan(_: Any) -> Any:
            raise AssertionError("there is no file source")

        return RunWorker(
            self.database,
            scan_jobs(no_scan, poll, flow),  # type: ignore[arg-type]
            clock=clock,
        )

    async def ask(self, **parameters: Any) -> str:
        async with self.database.transaction() as transaction:
            run_id = await submit(
                transaction, service="scanner", kind=FLOW, target=NAME, parameters=parameters
            )
        assert run_id is not None
        return run_id

    async def run(self, **parameters: Any) -> dict[str, Any]:
        """Run the flow to its end; return its row."""
        return await self.work_until_ended(await self.ask(**parameters))

    async def work_until_ended(self, run_id: str) -> dict[str, Any]:
        async def ended() -> dict[str, Any] | None:
            row = await self.row(run_id)
            return row if row["finished_at"] else None

        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.worker().run())
            await eventually(ended, 60)
            task.cancel()
        return await self.row(run_id)

    async def has_begun_prices(self) -> bool:
        return len(await self.steps()) == 2

    async def row(self, run_id: str) -> dict[str, Any]:
        (row,) = await fetch(
            self.database, "select * from meta.runs where run_id = $1::uuid", run_id
        )
        return row

    async def steps(self) -> list[tuple[str, str]]:
        rows = await fetch(
            self.database,
            "select target, status from meta.runs where kind = 'scan' order by queued_at",
        )
        return [(row["target"], row["status"]) for row in rows]

    async def announced(self, entity_type: str) -> list[str]:
        rows = await fetch(
            self.database,
            "select convert_from(key, 'utf-8') as key from meta.outbox "
            "where topic = 'record.changed' order by id",
        )
        found = [row["key"].split("/", 2) for row in rows]
        return [external_id for _, kind, external_id in found if kind == entity_type]


@pytest.fixture
async def market(
    database_url: str, server: SampleServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Market]:
    shorten_waits(monkeypatch)
    monkeypatch.setattr(flow_handler, "LOOK_SECONDS", 0.05)
    await server.plan()
    share = tmp_path / "share"
    lay_universe(share, TICKERS)
    config = write_preset_config(tmp_path / "config", server, share, "daily-market")
    monkeypatch.setenv("FMP_API_KEY", KEYS["FMP_API_KEY"])
    settings = load_scanner_settings(environment_of(config, database_url))
    async with opened(database_url, "scanner") as database:
        yield Market(database, settings, server, share)


def environment_of(config: Path, database_url: str) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "DATABASE_URL": database_url,
        "PENSTOCK_CONFIG_DIRECTORY": str(config),
        "FMP_API_KEY": KEYS["FMP_API_KEY"],
    }


@pytest.mark.covers("S3-01", "S3-02", "S3-03", "S3-04", "S3-16")
async def test_the_flow_reads_tickers_then_prices_then_valuations(market: Market) -> None:
    row = await market.run()

    assert row["status"] == RunStatus.COMPLETED
    assert row["counts"]["processed"] == 3
    assert await market.steps() == [
        ("russell_2000", "completed"),
        ("fmp_prices", "completed"),
        ("fmp_dcf", "completed"),
    ]
    assert sorted(await market.announced("company")) == TICKERS
    prices = await market.announced("stock_price")
    assert len(prices) == len(set(prices)) == 28 * len(TICKERS)
    assert "CRS/2023-11-08" in prices
    assert set(await market.announced("dcf_valuation")) <= set(TICKERS)
    clean = (market.share / "data/russell_2000_tickers_clean.txt").read_text()
    assert clean.split() == TICKERS


@pytest.mark.covers("S3-02")
async def test_the_next_day_reads_the_last_days_only_and_announces_nothing_twice(
    market: Market,
) -> None:
    await market.run()
    before = await market.announced("stock_price")
    await market.server.plan()

    await market.run(step="prices")

    (last,) = await fetch(
        market.database,
        "select counts from meta.runs where target = 'fmp_prices' order by queued_at desc limit 1",
    )
    assert last["counts"]["processed"] == 4 * len(TICKERS)
    assert last["counts"]["new"] == last["counts"]["changed"] == 0
    assert await market.announced("stock_price") == before


@pytest.mark.covers("S3-04", "C-18")
async def test_a_failed_step_never_stops_the_next_and_the_last_good_universe_stands(
    market: Market,
) -> None:
    await market.run()
    (market.share / LIST).write_text("no list at all")
    await market.server.plan(
        {"kind": "status", "status": 401, "path": "/stable/historical-price-eod"}
    )

    row = await market.run()

    assert row["status"] == RunStatus.COMPLETED_WITH_ERRORS
    assert (row["counts"]["processed"], row["counts"]["failed"]) == (3, 2)
    assert (await market.steps())[3:] == [
        ("russell_2000", "failed"),
        ("fmp_prices", "failed"),
        ("fmp_dcf", "completed"),
    ]
    rows = await fetch(
        market.database,
        "select task_name, error_message from meta.sync_logs where status = 'failed' order by 1",
    )
    assert [row["task_name"] for row in rows] == ["scan:fmp_prices", "scan:russell_2000"]
    assert "credentials" in rows[0]["error_message"]


@pytest.mark.covers("S3-16")
async def test_one_step_can_be_asked_for_alone(market: Market) -> None:
    await market.run(step="universe")

    assert await market.steps() == [("russell_2000", "completed")]


@pytest.mark.covers("S3-16")
async def test_a_step_that_does_not_exist_is_told_with_those_that_do(market: Market) -> None:
    row = await market.run(step="quotes")

    assert row["status"] == RunStatus.FAILED
    assert row["message"] == (
        "flow `daily-market` has no step `quotes`; it has universe, prices, dcf"
    )


@pytest.mark.covers("S3-14", "C-21")
async def test_failures_of_single_tickers_are_kept(market: Market) -> None:
    await market.run(step="universe")
    await market.server.plan({"kind": "status", "status": 404, "item": "BRCC"})

    await market.run(step="prices")

    rows = await fetch(market.database, "select * from meta.record_errors")
    assert [(row["source"], row["external_id"], row["error_class"]) for row in rows] == [
        ("fmp_prices", "BRCC", "ApiNotFoundError")
    ]
    assert len(await market.announced("stock_price")) == 28 * (len(TICKERS) - 1)


@pytest.mark.covers("C-22")
async def test_a_split_announces_all_of_that_ticker_and_nothing_else(market: Market) -> None:
    await market.run()
    before = len(await market.announced("stock_price"))
    await market.server.plan(splits={"CRS": 3})

    await market.run(step="prices")

    after = (await market.announced("stock_price"))[before:]
    assert len(after) == len(set(after)) == 28
    assert {external_id.split("/")[0] for external_id in after} == {"CRS"}


async def test_the_corrupt_delivery_publishes_nothing_and_the_known_prices_stand(
    market: Market,
) -> None:
    await market.run()
    before = await market.announced("stock_price")
    await market.server.plan(same_series=True)

    flow = await market.run(step="prices")

    assert flow["status"] == RunStatus.COMPLETED_WITH_ERRORS
    assert await market.announced("stock_price") == before
    (kept,) = await fetch(
        market.database,
        "select count(distinct external_id) as items from meta.record_errors "
        "where error_class = 'SameSeriesError'",
    )
    assert kept["items"] == len(TICKERS)
    (last,) = await fetch(
        market.database,
        "select status from meta.runs where target = 'fmp_prices' order by queued_at desc limit 1",
    )
    assert last["status"] == RunStatus.COMPLETED_WITH_ERRORS


async def test_a_flow_that_is_interrupted_takes_up_where_it_was(market: Market) -> None:
    run_id = await market.ask()
    await market.server.plan({"kind": "hang", "path": "/stable/historical-price-eod"})
    async with asyncio.TaskGroup() as group:
        task = group.create_task(market.worker().run())
        await eventually(market.has_begun_prices)
        task.cancel()
    await market.server.plan()

    row = await market.work_until_ended(run_id)

    assert row["status"] == RunStatus.COMPLETED
    assert [name for name, _ in await market.steps()] == ["russell_2000", "fmp_prices", "fmp_dcf"]


# --- the schedule ----------------------------------------------------------------------------


async def commands(database: Database) -> list[str]:
    rows = await fetch(
        database,
        "select convert_from(value, 'utf-8')::jsonb -> 'data' ->> 'command_id' as id "
        "from meta.outbox where topic = 'flow.requested' order by id",
    )
    return [row["id"] for row in rows]


@pytest.mark.covers("S3-15", "C-23", "E-02")
async def test_at_five_in_utc_the_command_is_published_once(market: Market) -> None:
    clock = HandClock()
    flows = FlowCatalog({flow.name: flow for flow in load_flows(PROJECT / "config").flows})
    schedule = FlowSchedule(market.database, flows, clock=clock)
    for hour, minute in [(4, 59), (5, 0), (5, 30), (7, 0), (23, 0)]:
        clock.advance_to(datetime(2026, 3, 1, hour, minute, tzinfo=UTC))
        await schedule.step()

    assert await commands(market.database) == [
        "schedule/flow/daily-market/2026-03-01T05:00:00+00:00"
    ]

    clock.advance_to(datetime(2026, 3, 2, 5, 59, tzinfo=UTC))
    await FlowSchedule(market.database, flows, clock=clock).step()
    assert len(await commands(market.database)) == 2


@pytest.mark.covers("S3-15")
def test_the_flow_asks_for_its_sources_and_no_interval_does(market: Market) -> None:
    records = app.build_record_catalog(market.settings)
    flows = app.build_flows(market.settings, records.names())

    assert set(flows.scheduled_sources()) == {"russell_2000", "fmp_prices", "fmp_dcf"}
    assert list(records.without(flows.scheduled_sources()).names()) == []


def test_a_flow_without_its_sources_is_not_active(market: Market) -> None:
    assert list(app.build_flows(market.settings, ["russell_2000"]).names()) == []


@pytest.mark.covers("S3-17")
def test_a_missing_key_is_named_when_the_service_starts(market: Market, database_url: str) -> None:
    environment = environment_of(market.settings.process.config_directory, database_url)
    del environment["FMP_API_KEY"]

    with contextlib.ExitStack() as stack:
        caught = stack.enter_context(pytest.raises(Exception, match="`FMP_API_KEY` is missing"))
        load_scanner_settings(environment)
    assert "demo-key" not in str(caught.value)


@pytest.mark.parametrize("name", ["daily-market", "teamdynamix", "umich-api"])
def test_every_preset_is_valid_as_it_is(name: str, tmp_path: Path, market: Market) -> None:
    (tmp_path / "presets").mkdir()
    text = (PROJECT / "config" / "presets" / f"{name}.yaml").read_text()
    (tmp_path / "presets" / f"{name}.yaml").write_text(text)
    (tmp_path / "sources.yaml").write_text(
        yaml.safe_dump({"version": 1, "include": [f"presets/{name}.yaml"], "sources": []})
    )
    process = market.settings.process.model_copy(update={"config_directory": tmp_path})

    records = app.build_record_catalog(market.settings.model_copy(update={"process": process}))

    assert len(records.names()) >= 2
