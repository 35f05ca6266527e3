"""When a flow is due, and what a configuration of flows may say."""

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from chassis.sources import ConfigError
from contracts.commands import OverlapPolicy
from scanner.domain.flows import DailyTime
from scanner.errors import ScanRequestError
from scanner.handlers.flow import FlowCatalog
from scanner.settings.flows import FlowConfig, FlowsConfig, load_flows
from tests.support.paths import PROJECT

FIVE = DailyTime(time(5), ZoneInfo("UTC"), timedelta(hours=1))
NEW_YORK = DailyTime(time(2, 30), ZoneInfo("America/New_York"), timedelta(hours=1))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.covers("S3-15", "C-23")
@pytest.mark.parametrize(
    ("now", "due", "is_due"),
    [
        ("2026-03-01T04:59:59", "2026-02-28T05:00", False),
        ("2026-03-01T05:00:00", "2026-03-01T05:00", True),
        ("2026-03-01T05:59:59", "2026-03-01T05:00", True),
        ("2026-03-01T06:00:00", "2026-03-01T05:00", False),
        ("2026-03-01T23:00:00", "2026-03-01T05:00", False),
    ],
)
def test_a_flow_is_due_from_its_time_until_the_catch_up_ends(
    now: str, due: str, *, is_due: bool
) -> None:
    assert FIVE.last_due(at(now)) == at(due)
    assert FIVE.is_due(at(now)) is is_due


@pytest.mark.covers("C-23")
@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-01-15T12:00", "2026-01-15T07:30"),  # winter: five hours behind
        ("2026-07-15T12:00", "2026-07-15T06:30"),  # summer: four
        ("2026-03-09T06:00", "2026-03-08T07:30"),  # 02:30 does not exist on the day of change
        ("2026-11-02T07:00", "2026-11-01T07:30"),  # winter again since two o'clock
    ],
)
def test_a_time_in_another_zone_follows_its_summer(now: str, due: str) -> None:
    assert NEW_YORK.last_due(at(now)) == at(due)


def test_the_delivered_flows_are_valid() -> None:
    (daily,) = load_flows(PROJECT / "config").flows

    assert [step.name for step in daily.steps] == ["universe", "prices", "dcf"]
    assert daily.schedule is not None
    assert daily.schedule.overlap is OverlapPolicy.SKIP
    assert (daily.schedule.at, daily.schedule.time_zone) == (time(5), "UTC")


def test_without_a_file_there_are_no_flows(tmp_path: Path) -> None:
    assert load_flows(tmp_path).flows == ()


def test_a_wrong_file_is_told_by_its_field(tmp_path: Path) -> None:
    (tmp_path / "flows.yaml").write_text("version: 1\nflows: [{name: a, steps: []}]\n")

    with pytest.raises(ConfigError, match=r"flows.0.steps"):
        load_flows(tmp_path)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"steps": [{"name": "a", "source": "s"}, {"name": "a", "source": "t"}]}, "stand twice"),
        ({"schedule": {"at": "05:00", "time_zone": "Mars/Base"}}, "is no time zone"),
        ({"schedule": {"at": "25:00"}}, "schedule.at"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, object], problem: str) -> None:
    flow = {"name": "f", "steps": [{"name": "a", "source": "s"}]}

    with pytest.raises(ValidationError, match=problem):
        FlowConfig.model_validate(flow | change)


def test_flows_leave_a_worker_for_their_steps() -> None:
    flow = {"steps": [{"name": "a", "source": "s"}]}

    with pytest.raises(ValidationError, match="at most 3"):
        FlowsConfig.model_validate(
            {"version": 1, "flows": [flow | {"name": str(n)} for n in range(4)]}
        )
    with pytest.raises(ValidationError, match="one name"):
        FlowsConfig.model_validate({"version": 1, "flows": [flow | {"name": "a"}] * 2})


@pytest.mark.covers("S3-16")
def test_a_catalog_finds_a_flow_or_one_of_its_steps() -> None:
    (daily,) = load_flows(PROJECT / "config").flows
    flows = FlowCatalog({daily.name: daily})

    assert flows.steps("daily-market", None) == daily.steps
    assert [step.source for step in flows.steps("daily-market", "dcf")] == ["fmp_dcf"]
    with pytest.raises(ScanRequestError, match="is no active flow"):
        flows.steps("weekly", None)


def test_a_check_says_what_becomes_of_a_flow() -> None:
    (daily,) = load_flows(PROJECT / "config").flows
    sources = ["russell_2000", "fmp_prices", "fmp_dcf"]

    assert daily.tell(sources) == "daily at 05:00 UTC"
    assert daily.tell(sources[:1]) == "not active: fmp_dcf, fmp_prices not configured"
    assert daily.model_copy(update={"schedule": None}).tell(sources) == "by command only"
