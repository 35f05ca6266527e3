import dataclasses

import pytest

from tests.unit.transformer.calls import document, head, merged, path_of, transcripts
from transformer.adapters.entity_files import parse_entity
from transformer.domain.records import Provenance

RULES = transcripts()
ORDER = (
    "group document by corrected > raw > near_real_time > untyped, "
    "then highest version_number, version_id"
)


def of(field: str, provenance: tuple[Provenance, ...]) -> Provenance:
    return next(item for item in provenance if item.field == field)


def test_every_column_names_its_winner_its_losers_and_the_rule() -> None:
    corrected = head(version=4)
    raw = head(document("Raw", "6", title="Q1 2024 Call", date=None), version=2)
    record = merged(RULES, raw, corrected)
    assert [item.field for item in record.provenance] == list(RULES.columns)
    assert of("title", record.provenance) == Provenance(
        field="title",
        rule=f"title; {ORDER}",
        source="corrected",
        source_system="nas",
        external_id=path_of(),
        bronze_version=4,
        losers=(
            {
                "source": "raw",
                "source_system": "nas",
                "external_id": path_of("Raw", "6"),
                "bronze_version": 2,
                "value": "Q1 2024 Call",
            },
        ),
    )
    assert of("call_date", record.provenance).losers[0]["value"] is None


def test_a_count_names_the_document_that_was_counted() -> None:
    counted = of("question_count", merged(RULES, head()).provenance)
    assert (counted.external_id, counted.losers) == (path_of(), ())
    assert counted.rule.endswith("over transcript_turns")


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


@pytest.fixture
def records() -> tuple[Provenance, ...]:
    entity = parse_entity(TWO_SYSTEMS, name="people.yaml")
    tdx = {"name": "Ann Lee", "city": "Ann Arbor"}
    ldap = {"name": "A. Lee", "email": "ANN@X.edu", "street": "Main"}
    heads = [
        dataclasses.replace(head(item, external_id="17"), source_system=system)
        for item, system in ((ldap, "ldap"), (tdx, "tdx"))
    ]
    record = merged(entity, *heads)
    assert record.values == ("Ann Lee", "ann@x.edu", None, "Ann Arbor", "Dear Ann Lee")
    return record.provenance


def test_fields_without_a_group_are_won_one_by_one(records: tuple[Provenance, ...]) -> None:
    assert (of("name", records).source, of("email", records).source) == ("tdx", "ldap")
    assert of("email", records).rule == "LOWER(email); field email by tdx > ldap"


def test_fields_of_a_group_are_won_together(records: tuple[Provenance, ...]) -> None:
    street, city = of("street", records), of("city", records)
    assert (street.source, city.source) == ("tdx", "tdx")
    assert street.losers[0]["value"] == "Main"


def test_a_derived_value_has_a_rule_and_no_winner(records: tuple[Provenance, ...]) -> None:
    assert of("greeting", records) == Provenance(field="greeting", rule="CONCAT('Dear ', name)")
