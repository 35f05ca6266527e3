from decimal import Decimal
from typing import Any

import pytest

from tests.unit.transformer.calls import document, head, merged, transcripts
from transformer.adapters.entity_files import parse_entity

RULES = transcripts()


def scored(*documents: dict[str, Any]) -> tuple[Decimal, tuple[str, ...]]:
    record = merged(RULES, *(head(item) for item in documents))
    return record.score, record.flags


@pytest.mark.covers("S2-20", "S2-26")
def test_a_complete_call_scores_one() -> None:
    assert scored(document()) == (Decimal("1.00"), ())


@pytest.mark.covers("S2-21", "S2-24")
def test_a_missing_source_costs_a_tenth_and_information_nothing() -> None:
    assert scored(document("Raw")) == (
        Decimal("0.90"),
        ("missing_corrected_source", "raw_only"),
    )
    assert scored(document(institution=None)) == (Decimal("0.90"), ("missing_institution_source",))


@pytest.mark.covers("S2-22")
def test_a_missing_key_field_costs_a_twentieth() -> None:
    assert scored(document(date="soon")) == (Decimal("0.95"), ("missing_call_date",))


@pytest.mark.covers("S2-21", "S2-22", "C-45")
def test_costs_add_up_in_decimals() -> None:
    score, flags = scored(document("Raw", date=None))
    assert str(score) == "0.85"
    assert flags == ("missing_corrected_source", "missing_call_date", "raw_only")


@pytest.mark.covers("S2-23")
def test_versions_that_contradict_each_other_cost_a_twentieth() -> None:
    raw = document("Raw", "6", title="Q2 2024 Earnings Call", quarter=2)
    assert scored(document(), raw) == (Decimal("0.95"), ("title_mismatch",))


@pytest.mark.covers("S2-23")
def test_case_is_no_contradiction() -> None:
    assert scored(document(), document("Raw", "6", title="Q1 2024 EARNINGS CALL"))[1] == ()


@pytest.mark.covers("S2-23", "C-17")
def test_a_missing_value_contradicts_nothing() -> None:
    assert scored(document(), document("Raw", "6", title=None, date=None))[1] == ()
    assert scored(document(title=None, quarter=None, year=None))[1] == (
        "missing_title",
        "not_an_earnings_call",
    )


@pytest.mark.covers("S2-23")
def test_a_title_of_another_quarter_than_the_folder_is_a_contradiction() -> None:
    score, flags = scored(document(title="Q4 2023 Earnings Call", quarter=4, year=2023))
    assert (score, flags) == (Decimal("0.95"), ("quarter_mismatch",))


@pytest.mark.covers("S2-24")
def test_unverified_speakers_and_calls_without_questions_are_told_for_free() -> None:
    unverified = [{"id": "1", "name": "Unverified Participant", "type": "corprep"}]
    sections = [{"name": "X", "turns": [{"speaker_id": "1", "paragraphs": ["Hello."]}]}]
    assert scored(document(participants=unverified, sections=sections)) == (
        Decimal("1.00"),
        ("no_questions", "unverified_speakers"),
    )


MANY_COSTS = """
version: 1
entity_type: thing
table: things
ruleset_version: 1
inputs: {a: {path: a, type: text}}
sources: [{name: only}]
fields: {a: {type: text, rule: a}}
quality:
  sources:
    - {name: s1, when: a = '1'}
    - {name: s2, when: a = '2'}
    - {name: s3, when: a = '3'}
    - {name: s4, when: a = '4'}
    - {name: s5, when: a = '5'}
    - {name: s6, when: a = '6'}
    - {name: s7, when: a = '7'}
    - {name: s8, when: a = '8'}
    - {name: s9, when: a = '9'}
    - {name: s10, when: a = '10'}
  key_fields: [a]
"""


@pytest.mark.covers("S2-25")
def test_no_score_is_below_zero() -> None:
    entity = parse_entity(MANY_COSTS, name="things.yaml")
    record = merged(entity, head({"b": "nothing"}))
    assert str(record.score) == "0.00"
    assert len(record.flags) == 11


def test_an_entity_without_quality_rules_scores_one() -> None:
    entity = parse_entity(MANY_COSTS.partition("quality:")[0], name="things.yaml")
    record = merged(entity, head({"a": "x"}))
    assert (str(record.score), record.flags) == ("1.00", ())
