"""What a change is called, and what it reaches."""

from dataclasses import replace
from pathlib import Path

import pytest

from chassis.drift import Drift, silver_fields
from contracts.drifts import FieldChange, FieldEffect, change_of
from contracts.schemas import DriftKind
from tests.support.paths import PROJECT

RETYPED = FieldChange("name", FieldEffect.RETYPED, "string", "object")
ADDED = FieldChange("email", FieldEffect.ADDED, None, "string")
DRIFT = Drift(
    service="ingestor",
    dataset="tdx.user",
    version=3,
    old={"name": "string"},
    new={"name": "object|string"},
    changes=(RETYPED,),
)


def test_the_same_change_is_one_entry_whoever_sees_it() -> None:
    assert replace(DRIFT, sample={"a": 1}, run_id="r").drift_id == DRIFT.drift_id
    assert replace(DRIFT, changes=(ADDED, RETYPED)).drift_id == DRIFT.drift_id


@pytest.mark.parametrize(
    "other",
    [
        replace(DRIFT, service="wrds_sync"),
        replace(DRIFT, dataset="tdx.group"),
        replace(DRIFT, version=4),
        replace(DRIFT, changes=(replace(RETYPED, new="array"),)),
        replace(DRIFT, changes=(ADDED,)),
    ],
)
def test_another_change_is_another_entry(other: Drift) -> None:
    assert other.drift_id != DRIFT.drift_id


def test_one_breaking_field_makes_the_whole_change_breaking() -> None:
    assert replace(DRIFT, changes=(ADDED,)).kind is DriftKind.ADDITIVE
    assert replace(DRIFT, changes=(ADDED, RETYPED)).kind is DriftKind.BREAKING


def test_what_breaks_is_told_first_and_the_rest_counted() -> None:
    many = tuple(replace(ADDED, field=f"f{number}") for number in range(6))
    told = replace(DRIFT, changes=(*many, RETYPED)).describe()
    assert told.startswith("! name (string → object); + f0 (string); ")
    assert told.endswith("; and 2 more")


@pytest.mark.parametrize("change", [RETYPED, ADDED])
def test_a_change_survives_its_json(change: FieldChange) -> None:
    assert change_of(change.as_json()) == change


@pytest.mark.parametrize(
    ("system", "entity_type", "fields", "expected"),
    [
        ("tdx", "user", ["PrimaryEmail"], ["users.email"]),
        ("tdx", "user", ["LastName"], ["users.last_name", "users.full_name", "users.name"]),
        ("mcommunity_ldap", "user", ["mail[]"], ["users.email"]),
        ("tdx", "user", ["Unknown"], []),
        ("another", "user", ["PrimaryEmail"], []),
        ("fmp", "stock_price", ["adjClose", "vwap"], [
            "stock_prices.adjusted_close",
            "stock_prices.vwap",
        ]),
    ],
)  # fmt: skip
def test_the_silver_fields_of_a_source_field_follow_from_the_rules(
    system: str, entity_type: str, fields: list[str], expected: list[str]
) -> None:
    found = silver_fields(PROJECT / "config", system=system, entity_type=entity_type, fields=fields)
    assert found == expected


def test_rules_that_cannot_be_read_reach_nothing(tmp_path: Path) -> None:
    assert silver_fields(tmp_path, system="tdx", entity_type="user", fields=["a"]) == []
    (tmp_path / "entities").mkdir()
    (tmp_path / "entities/broken.yaml").write_text("a: [", "utf-8")
    (tmp_path / "entities/list.yaml").write_text("- a", "utf-8")
    assert silver_fields(tmp_path, system="tdx", entity_type="user", fields=["a"]) == []
