"""Daily prices: the window of days, splits, and the delivery with one series under every name."""

import pytest

from scanner.domain.records import ById, Full, Since
from tests.integration.scanner.http_sources import LAST_DAY, TICKERS, Desk, prices

FIVE_DAYS_AGO = Since("2023-11-03T00:00:00.000000Z")
WINDOW = ["2023-11-08", "2023-11-07", "2023-11-06", "2023-11-03"]


@pytest.mark.covers("S3-02")
@pytest.mark.parametrize("shape", ["stable", "v3"])
async def test_both_shapes_tell_the_same_bars_of_the_window(desk: Desk, shape: str) -> None:
    told = await desk.poll(FIVE_DAYS_AGO, **prices(shape))

    assert {record["symbol"] for record in told.records} == set(TICKERS)
    for symbol in TICKERS:
        assert [record["date"] for record in told.of(symbol)] == WINDOW
    newest = told.of("APAM")[0]
    assert (newest["open"], newest["close"], newest["volume"]) == (35.16, 35.33, 43660)
    assert told.high_water == LAST_DAY
    assert (told.gaps, told.failures) == ([], [])


@pytest.mark.covers("S3-02")
async def test_a_full_poll_tells_everything_since_the_first_day(desk: Desk) -> None:
    told = await desk.poll(Full(), **prices())

    days = [record["date"] for record in told.of("APAM")]
    assert (days[0], days[-1], len(days)) == (LAST_DAY, "2023-10-02", 28)


async def test_single_items_are_told_as_a_whole(desk: Desk) -> None:
    told = await desk.poll(ById(("APAM/2023-10-02", "APGE")), **prices())

    assert {record["symbol"] for record in told.records} == {"APAM", "APGE"}
    assert len(told.of("APAM")) == 28


@pytest.mark.covers("C-22")
async def test_a_split_has_all_of_the_ticker_read_again_and_no_other(desk: Desk) -> None:
    await desk.poll(Full(), **prices())
    await desk.server.plan(splits={"APAM": 2})

    told = await desk.poll(FIVE_DAYS_AGO, **prices())

    assert len(told.of("APAM")) == 28
    assert told.of("APAM")[0]["close"] == 17.665
    assert len(told.of("APGE")) == 4
    assert await desk.server.requests() == len(TICKERS) + 1

    again = await desk.poll(FIVE_DAYS_AGO, **prices())
    assert len(again.of("APAM")) == 4


@pytest.mark.covers("C-22")
async def test_the_last_bar_may_still_move_because_its_day_was_not_over(desk: Desk) -> None:
    await desk.poll(Full(), **prices())
    tail = dict(desk.memory.tails["APAM"])
    desk.memory.tails["APAM"] = tail | {LAST_DAY: [1.0, 1.0, 1.0, 1.0]}

    told = await desk.poll(FIVE_DAYS_AGO, **prices())

    assert len(told.of("APAM")) == 4


@pytest.mark.covers("S3-02")
async def test_one_series_under_every_name_is_quarantined_and_not_told(desk: Desk) -> None:
    await desk.poll(Full(), **prices())
    remembered = dict(desk.memory.tails)
    await desk.server.plan(same_series=True)

    told = await desk.poll(FIVE_DAYS_AGO, **prices())

    assert told.records == []
    assert [failure.external_id for failure in told.failures] == TICKERS
    assert {failure.error_class for failure in told.failures} == {"SameSeriesError"}
    assert told.gaps == ["4 items are quarantined: one series for all"]
    assert desk.memory.tails == remembered

    await desk.server.plan()
    mended = await desk.poll(FIVE_DAYS_AGO, **prices())
    assert len(mended.of("APGE")) == 4


async def test_a_single_item_is_compared_with_others_before_it_is_believed(desk: Desk) -> None:
    await desk.server.plan(same_series=True)

    told = await desk.poll(ById(("APGE",)), **prices())

    assert told.records == []
    assert [failure.external_id for failure in told.failures] == ["APGE"]


async def test_a_quarantined_item_is_not_read_as_a_whole(desk: Desk) -> None:
    await desk.poll(Full(), **prices())
    await desk.server.plan(same_series=True)

    await desk.poll(FIVE_DAYS_AGO, **prices())

    assert await desk.server.requests() == len(TICKERS)


@pytest.mark.covers("S3-02")
async def test_the_corrupt_delivery_that_really_happened_is_quarantined(desk: Desk) -> None:
    desk.items = ["AAPL", "ALK", "MMM", "ZTS", "APAM"]
    days = {"start": "2017-01-01", "today": "2017-08-11"}

    told = await desk.poll(Full(), **prices(days=days))

    assert told.records == []
    assert {failure.external_id for failure in told.failures} == {"AAPL", "ALK", "MMM", "ZTS"}


async def test_bars_wait_in_a_file_when_they_are_many(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scanner.adapters.http_series._IN_MEMORY_BYTES", 1000)
    desk.items = [item for item in (await desk.server.state())["symbols"] if item != "ZTS"]

    told = await desk.poll(Full(), **prices(days={"start": "2023-10-01", "today": LAST_DAY}))

    assert len({record["symbol"] for record in told.records}) == 40
