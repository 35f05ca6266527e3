"""The rules of companies, prices and valuations on what the sources really send."""

import csv
import io
import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.support.paths import PROJECT, shared_data
from tests.unit.transformer.calls import head, merge_one, merged, row
from transformer.adapters.entity_files import load_entities
from transformer.domain.merge import merge
from transformer.domain.records import Head, Merged, Rejected

RULES = load_entities(PROJECT / "config")
BAR = {"symbol": "AAPL", "date": "2026-07-30", "open": 170.5, "high": 176.53, "low": 170.5}
BAR |= {"close": 173.8, "volume": 1200.0}


def record(content: dict[str, Any], external_id: str, *, system: str = "fmp") -> Head:
    made = head(content, entity_id=f"{system}/{external_id}", external_id=external_id)
    return made._replace(source_system=system)


def bar(**changes: Any) -> Head:
    return record(BAR | changes, "AAPL/2026-07-30")


def test_a_bar_is_kept_exactly() -> None:
    rules = RULES["stock_price"]
    kept = merged(rules, bar())
    assert row(rules, kept) == {
        "ticker": "AAPL",
        "date": date(2026, 7, 30),
        "open": Decimal("170.5"),
        "high": Decimal("176.53"),
        "low": Decimal("170.5"),
        "close": Decimal("173.8"),
        "adjusted_close": None,
        "volume": 1200,
        "vwap": None,
    }
    assert (kept.score, kept.flags) == (Decimal("1.00"), ())


def test_a_bar_without_a_symbol_is_named_by_its_id() -> None:
    rules = RULES["stock_price"]
    assert row(rules, merged(rules, bar(symbol=None)))["ticker"] == "AAPL"


@pytest.mark.parametrize(
    ("changes", "score", "flags"),
    [
        ({"open": 0}, "0.95", ("missing_open",)),
        ({"close": 180}, "0.95", ("close_outside_range",)),
        ({"volume": 0}, "1.00", ("no_volume",)),
        ({"high": 600, "vwap": 300.1}, "1.00", ("moved_threefold",)),
        ({"open": None, "high": None, "low": None}, "0.85", None),
    ],
)
def test_a_strange_bar_is_flagged(
    changes: dict[str, Any], score: str, flags: tuple[str, ...] | None
) -> None:
    kept = merged(RULES["stock_price"], bar(**changes))
    assert kept.score == Decimal(score)
    assert kept.flags == (flags or ("missing_open", "missing_high", "missing_low"))


@pytest.mark.covers("S2-27")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"high": 170, "low": 171}, "high_not_below_low: the high is below the low"),
        ({"close": 0}, "close_positive: the closing price is missing or not positive"),
        ({"close": "n/a"}, "close_positive: the closing price is missing or not positive"),
        ({"low": -1}, "prices_positive: a price is not positive"),
        ({"volume": -5}, "volume_not_negative: the volume is negative"),
        ({"date": "yesterday"}, "key_present: it has no ticker or no date"),
    ],
)
def test_an_impossible_bar_is_rejected(changes: dict[str, Any], reason: str) -> None:
    rejected = merge_one(RULES["stock_price"], bar(**changes))
    assert isinstance(rejected, Rejected)
    assert reason in rejected.reasons


@pytest.mark.covers("S3-03")
@pytest.mark.parametrize("spelling", ["Stock Price", "stockPrice", "Stock_Price"])
def test_a_valuation_is_read_in_every_spelling(spelling: str) -> None:
    rules = RULES["dcf_valuation"]
    valued = {"symbol": "AAPL", "date": "2025-10-26", "dcf": 125.44, spelling: 258.58}
    assert row(rules, merged(rules, record(valued, "AAPL"))) == {
        "ticker": "AAPL",
        "date": date(2025, 10, 26),
        "dcf": Decimal("125.44"),
        "stock_price": Decimal("258.58"),
        "upside_percent": Decimal("-51.49"),
    }


def test_a_bulk_valuation_has_its_numbers_in_quotes() -> None:
    rules = RULES["dcf_valuation"]
    line = '"symbol","date","dcf","Stock Price"\n"AAPL","2025-10-26","-12.5","258.58"\n'
    (valued,) = csv.DictReader(io.StringIO(line))
    kept = merged(rules, record(valued, "AAPL"))
    assert row(rules, kept)["dcf"] == Decimal("-12.5")
    assert kept.flags == ("negative_dcf",)


def test_a_valuation_without_a_model_stays_and_says_so() -> None:
    rules = RULES["dcf_valuation"]
    kept = merged(rules, record({"symbol": "X", "date": "2025-10-26", "Stock Price": 5}, "X"))
    assert (row(rules, kept)["dcf"], kept.flags) == (None, ("missing_dcf",))


def test_a_company_is_told_by_its_profile_and_its_holding() -> None:
    rules = RULES["company"]
    holding = {"Ticker": "SFM", "Name": "SPROUTS FARMERS MARKET INC", "Asset Class": "Equity"}
    holding |= {
        "Sector": "Consumer Staples",
        "Market Value": "409,233,878.82",
        "Weight (%)": "0.64",
    }
    listed = record(holding, "SFM", system="russell_2000")
    profile = record({"symbol": "SFM", "companyName": "Sprouts Farmers Market, Inc."}, "SFM")
    profile = profile._replace(entity_id=listed.entity_id)
    values = row(rules, merged(rules, listed, profile))
    assert values["name"] == "Sprouts Farmers Market, Inc."
    assert values["sector"] == "Consumer Staples"
    assert values["market_value"] == Decimal("409233878.82")
    assert values["weight_percent"] == Decimal("0.64")
    assert merged(rules, listed).flags == ("no_profile",)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"Ticker": "-"}, "ticker_form: the ticker is missing or is none"),
        ({"Ticker": "USD", "Asset Class": "Cash"}, "is_share: it is no share"),
    ],
)
def test_what_is_no_share_is_no_company(changes: dict[str, str], reason: str) -> None:
    content = {"Ticker": "SFM", "Asset Class": "Equity"} | changes
    rejected = merge_one(RULES["company"], record(content, "SFM", system="russell_2000"))
    assert isinstance(rejected, Rejected)
    assert rejected.reasons == (reason,)


def test_every_published_bar_is_accepted() -> None:
    folder = shared_data("market")
    heads = [
        record(content, f"{content['symbol']}/{content['date']}")
        for path in sorted((folder / "fmp_stable").glob("*.json"))
        for content in json.loads(path.read_text())
    ]
    outcomes = merge(RULES["stock_price"], [item.entity_id for item in heads], heads)
    assert len(outcomes) == 2575
    assert all(isinstance(item, Merged) for item in outcomes)
