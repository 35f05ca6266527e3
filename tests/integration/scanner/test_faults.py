import contextlib

import asyncpg
import pytest

from chassis import failpoints
from chassis.errors import PermanentError, TransientError, UnavailableError
from chassis.runs import RunCancelledError, RunContext
from chassis.shares.port import ShareLogonError, ShareUnavailableError
from contracts.errors import ErrorCategory
from scanner import metrics
from scanner.errors import InventoryError
from scanner.handlers.catalog import SourceCatalog
from tests.integration.scanner.harness import Harness

PATHS = [
    f"Data/{year}/{quarter}/{number}.xml"
    for year in (2020, 2021)
    for quarter in ("Q1", "Q2", "Q3")
    for number in range(3)
]


async def lay(harness: Harness) -> None:
    for path in PATHS:
        harness.tree.write(path)
    await harness.scan()
    harness.clock.advance(60)


class Cut:
    """The share goes away after so many requests."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, _operation: str, _path: str) -> None:
        self.left -= 1
        if self.left < 0:
            raise ShareUnavailableError


@pytest.mark.covers("C-05", "C-06", "S1-29")
async def test_a_share_cut_after_any_request_deletes_nothing(harness: Harness) -> None:
    await lay(harness)
    for requests in range(1, 22):
        for _ in range(3):
            harness.fault = Cut(requests)
            with contextlib.suppress(TransientError):
                assert (await harness.scan()).events == []
            harness.clock.advance(60)
        assert await harness.take_events() == [], f"cut after {requests} requests"
    harness.fault = lambda *_: None
    assert (await harness.scan()).events == []
    assert set((await harness.states()).values()) == {"announced"}


@pytest.mark.covers("C-06")
async def test_control_without_the_guard_a_cut_share_deletes(harness: Harness) -> None:
    await lay(harness)
    harness.fault, harness.is_guarded = Cut(4), False
    result = await harness.scan()
    assert result.counts.deleted > 0
    assert {event.data.change.value for event in result.events} == {"deleted"}


async def test_a_share_that_comes_back_in_time_costs_nothing(harness: Harness) -> None:
    await lay(harness)
    failures = 2

    def stumble(_: str, path: str) -> None:
        nonlocal failures
        if path == "Data/2020/Q1" and failures:
            failures -= 1
            raise ShareUnavailableError

    harness.fault = stumble
    await harness.scan()
    rows = await harness.fetch("select outcome from scanner.scans order by started_at desc limit 1")
    assert rows[0]["outcome"] == "complete"


@pytest.mark.covers("S1-01", "S1-29")
async def test_wrong_credentials_are_tried_once(harness: Harness) -> None:
    harness.tree.write(PATHS[0])

    def refuse(*_: str) -> None:
        raise ShareLogonError(retry_after=300)

    harness.fault = refuse
    before = _errors(ErrorCategory.NAS_CONNECTION)
    with pytest.raises(ShareLogonError) as caught:
        await harness.scan()
    assert caught.value.category is ErrorCategory.NAS_CONNECTION
    assert harness.shares[0].calls == [("describe", "")]
    assert harness.shares[0].closed
    assert _errors(ErrorCategory.NAS_CONNECTION) == before + 1
    assert metrics.SHARE_UP.labels("transcripts")._value.get() == 0


async def test_credentials_that_expire_during_a_walk_end_it_at_once(harness: Harness) -> None:
    await lay(harness)

    def expire(operation: str, path: str) -> None:
        if operation == "list" and path.startswith("Data/"):
            raise ShareLogonError(retry_after=300)

    harness.fault, harness.workers = expire, 1
    with pytest.raises(ShareLogonError):
        await harness.scan()
    assert len([call for call in harness.shares[-1].calls if call[0] == "list"]) == 2


class CrashedError(Exception):
    """The process died here."""


@pytest.fixture
def crash(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Die at the passage of a failpoint that the list's only number counts down to."""
    countdown = [10**9]

    async def reach(name: str) -> None:
        countdown[0] -= 1
        if countdown[0] == 0:
            raise CrashedError(name)

    monkeypatch.setattr(failpoints, "reach", reach)
    return countdown


@pytest.mark.covers("S1-32")
async def test_a_scan_killed_at_any_step_and_run_again_announces_everything_once(
    harness: Harness, crash: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scanner.handlers.compare.EVENTS_PER_TRANSACTION", 4)
    monkeypatch.setattr("scanner.handlers.judge.PAGE", 2)
    for step in range(1, 9):
        await harness.reset()
        await _change_and_crash(harness, crash, step)


async def _change_and_crash(harness: Harness, crash: list[int], step: int) -> None:
    await lay(harness)
    for path in PATHS[:4]:
        harness.tree.delete(path)
    for path in PATHS[4:8]:
        harness.tree.write(path, "changed")
    added = [f"Data/2022/Q1/{number}.xml" for number in range(9)]
    for path in added:
        harness.tree.write(path)
    crash[0] = step
    changes: list[tuple[str, str]] = []
    for _ in range(4):
        try:
            changes += (await harness.scan()).changes
        except CrashedError:
            changes += [
                (event.data.change.value, event.data.path) for event in await harness.take_events()
            ]
        harness.clock.advance(60)
    assert sorted(changes) == sorted(
        [("deleted", path) for path in PATHS[:4]]
        + [("modified", path) for path in PATHS[4:8]]
        + [("added", path) for path in added]
    ), f"killed at step {step}"


async def test_a_resumed_run_reports_what_its_first_attempt_announced(
    harness: Harness, crash: list[int]
) -> None:
    for path in PATHS:
        harness.tree.write(path)
    crash[0] = 3
    async with harness.claimed({"mode": "full"}) as context:
        with pytest.raises(CrashedError):
            await harness.job()(context)
        rows = await harness.fetch("select checkpoint from meta.runs")
        assert rows[0]["checkpoint"]["added"] == len(PATHS)


async def test_a_cancelled_run_stops_at_its_next_chunk(harness: Harness) -> None:
    await lay(harness)
    async with harness.claimed({"mode": "full"}) as context:
        context.is_cancelled = True
        with pytest.raises(RunCancelledError):
            await harness.job()(context)
    assert harness.shares[-1].closed


async def test_a_run_whose_lease_is_lost_writes_nothing_more(harness: Harness) -> None:
    harness.tree.write(PATHS[0])
    async with harness.claimed({"mode": "full"}) as context:
        await harness.execute("update meta.leases set token = token + 1")
        with pytest.raises(TransientError):
            await harness.job()(context)
    assert await harness.states() == {}


@pytest.mark.covers("S1-18", "S1-40", "S1-29")
@pytest.mark.parametrize(
    "damage",
    [
        "drop table scanner.inventory cascade",
        "alter table scanner.inventory drop column missing_mark cascade",
        """alter table scanner.inventory drop constraint inventory_size_check;
           update scanner.inventory set size_bytes = -1""",
        """alter table scanner.inventory drop constraint inventory_announced_check;
           update scanner.inventory set announced_modified_us = null, modified_us = 1""",
        """alter table scanner.inventory drop constraint inventory_state_check;
           update scanner.inventory set state = 'lost', modified_us = 1""",
    ],
)
async def test_a_corrupt_inventory_is_an_error_and_never_an_empty_one(
    harness: Harness, damage: str
) -> None:
    await lay(harness)
    await harness.execute(damage)
    with pytest.raises(InventoryError) as caught:
        await harness.scan()
    assert caught.value.category is ErrorCategory.DATABASE_LOAD
    assert await harness.take_events() == []


async def test_a_database_outage_is_retried_and_no_empty_inventory(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lay(harness)
    original = RunContext.transaction

    def failing(_: RunContext) -> object:
        raise UnavailableError from asyncpg.ConnectionDoesNotExistError()

    monkeypatch.setattr(RunContext, "transaction", failing)
    with pytest.raises(UnavailableError):
        await harness.scan()
    monkeypatch.setattr(RunContext, "transaction", original)
    assert await harness.take_events() == []


async def test_a_source_that_nobody_configured_is_refused(harness: Harness) -> None:
    async with harness.claimed({"mode": "full"}) as context:
        with pytest.raises(PermanentError, match="no configured file source"):
            await harness.job(SourceCatalog({}, nas=None, base_path=""))(context)


def _errors(category: ErrorCategory) -> float:
    value: float = metrics.ERRORS.labels(category.value)._value.get()
    return value
