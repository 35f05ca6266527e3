import json
from typing import Any

import pytest

from tests.unit.transformer.calls import document, head, merged, path_of, transcripts
from transformer.adapters.entity_files import parse_entity
from transformer.domain.entity import Entity
from transformer.domain.provenance import ColumnRule, column_rules
from transformer.domain.records import Merged

RULES = transcripts()
ORDER = (
    "group document by corrected > raw > near_real_time > untyped, "
    "then highest version_number, version_id"
)


def rule_of(entity: Entity, field: str) -> ColumnRule:
    return next(item for item in column_rules(entity) if item.field == field)


def winner_of(entity: Entity, record: Merged, field: str) -> dict[str, Any] | None:
    """Return the record that won a field, as `silver.provenance` finds it."""
    unit = rule_of(entity, field).unit
    assert unit is not None
    place = record.origins.winners[unit]
    return None if place is None else dict(json.loads(record.origins.records)[place])


def test_every_column_names_its_winner_its_losers_and_the_rule() -> None:
    corrected = head(version=4)
    raw = head(document("Raw", "6", title="Q1 2024 Call", date=None), version=2)
    record = merged(RULES, raw, corrected)
    assert [item.field for item in column_rules(RULES)] == list(RULES.columns)
    assert rule_of(RULES, "title").rule == f"title; {ORDER}"
    winner = winner_of(RULES, record, "title")
    assert winner is not None
    assert winner["values"]["title"] == "Q1 2024 Earnings Call"
    first, second = json.loads(record.origins.records)
    assert first == winner
    assert {key: second[key] for key in ("source", "source_system", "bronze_version")} == {
        "source": "raw",
        "source_system": "nas",
        "bronze_version": 2,
    }
    assert (first["external_id"], second["external_id"]) == (path_of(), path_of("Raw", "6"))
    assert second["values"]["title"] == "Q1 2024 Call"
    assert second["values"]["call_date"] is None
    assert first["values"]["call_date"] == "2024-02-28"


def test_a_record_that_stands_alone_does_not_repeat_the_values() -> None:
    record = merged(RULES, head())
    (alone,) = json.loads(record.origins.records)
    assert "values" not in alone
    assert set(record.origins.winners) == {0}


def test_a_count_names_the_document_that_was_counted() -> None:
    counted = rule_of(RULES, "question_count")
    assert counted.rule.endswith("over transcript_turns")
    assert (counted.unit, counted.has_claims) == (rule_of(RULES, "title").unit, False)


TWO_SYSTEMS = """
version: 1
entity_type: person
table: people
ruleset_version: 1
inputs:
  name: {path: name, type: text}
  email: {path: email, type: text}
  street: {path: street, type: text}
  city: {path: city, type: text}
sources: [{name: tdx, system: tdx}, {name: ldap, system: ldap}]
fields:
  name: {type: text, rule: name}
  email: {type: text, rule: LOWER(email)}
  street: {type: text, rule: street, group: address}
  city: {type: text, rule: city, group: address}
derived:
  greeting: {type: text, rule: "CONCAT('Dear ', name)"}
quality:
  sources: [{name: tdx}, {name: ldap}]
  mismatches: [{field: email}]
"""


PEOPLE = parse_entity(TWO_SYSTEMS, name="people.yaml")


@pytest.fixture
def record() -> Merged:
    tdx = {"name": "Ann Lee", "city": "Ann Arbor"}
    ldap = {"name": "A. Lee", "email": "ANN@X.edu", "street": "Main"}
    heads = [
        head(item, external_id="17")._replace(source_system=system)
        for item, system in ((ldap, "ldap"), (tdx, "tdx"))
    ]
    record = merged(PEOPLE, *heads)
    assert record.values == ("Ann Lee", "ann@x.edu", None, "Ann Arbor", "Dear Ann Lee")
    return record


def source_of(record: Merged, field: str) -> str | None:
    winner = winner_of(PEOPLE, record, field)
    return None if winner is None else str(winner["source"])


def test_fields_without_a_group_are_won_one_by_one(record: Merged) -> None:
    assert (source_of(record, "name"), source_of(record, "email")) == ("tdx", "ldap")
    assert rule_of(PEOPLE, "email").rule == "LOWER(email); field email by tdx > ldap"


def test_fields_of_a_group_are_won_together(record: Merged) -> None:
    assert (source_of(record, "street"), source_of(record, "city")) == ("tdx", "tdx")
    assert json.loads(record.origins.records)[1]["values"]["street"] == "Main"


def test_a_derived_value_has_a_rule_and_no_winner() -> None:
    assert rule_of(PEOPLE, "greeting") == ColumnRule(
        "greeting", "CONCAT('Dear ', name)", unit=None, has_claims=False
    )


def test_a_decimal_is_told_as_people_write_it() -> None:
    entity = parse_entity(
        TWO_SYSTEMS.replace(
            "city: {path: city, type: text}", "city: {path: city, type: numeric}"
        ).replace("city: {type: text,", "city: {type: numeric,"),
        name="people.yaml",
    )
    heads = [head({"city": value}, external_id=value) for value in ("100.50", "0", "7")]
    heads = [item._replace(source_system="tdx") for item in heads]
    records = json.loads(merged(entity, *heads).origins.records)
    assert [item["values"]["city"] for item in records] == ["0", "100.5", "7"]
