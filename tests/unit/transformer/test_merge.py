import random
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.sources import ConfigError
from tests.unit.transformer.calls import (
    CALL,
    SECTIONS,
    STORED,
    document,
    head,
    merge_one,
    merged,
    path_of,
    row,
    tombstone,
    transcripts,
)
from transformer.adapters.entity_files import parse_entity
from transformer.domain.entity import Entity, compile_entity
from transformer.domain.merge import merge
from transformer.domain.provenance import column_rules
from transformer.domain.records import Absent, Merged, Rejected

RULES = transcripts()


@pytest.fixture
def rules() -> Entity:
    return RULES


@pytest.mark.covers("S2-03")
def test_a_call_becomes_one_row_with_its_turns(rules: Entity) -> None:
    record = merged(rules, head())
    assert row(rules, record) == {
        "ticker": "RY-CA",
        "company": "Royal Bank of Canada",
        "institution_name": "Royal Bank of Canada",
        "institution_type": "Canadian_Banks",
        "title": "Q1 2024 Earnings Call",
        "call_date": date(2024, 2, 28),
        "fiscal_quarter": 1,
        "fiscal_year": 2024,
        "is_earnings_call": True,
        "transcript_type": "Corrected",
        "transcript_id": "7",
        "event_id": "12345",
        "version_id": "7",
        "companies": ["000000-E"],
        "participant_count": 3,
        "section_count": 2,
        "turn_count": 3,
        "question_count": 1,
        "answer_count": 1,
        "word_count": 12,
    }
    assert (record.score, record.flags) == (Decimal("1.00"), ())
    assert record.children["transcript_turns"] == [
        (
            1,
            "MANAGEMENT DISCUSSION SECTION",
            None,
            "1",
            "Operator",
            "operator",
            None,
            None,
            "Good morning.\n\nWelcome.",
            3,
        ),
        (
            2,
            "Q&A",
            "question",
            "3",
            "Ebrahim Poonawala",
            "analyst",
            "Bank of America",
            None,
            "How was the quarter?",
            4,
        ),
        (
            3,
            "Q&A",
            "answer",
            "2",
            "Nadine Ahn",
            "corprep",
            "Royal Bank of Canada",
            "Chief Financial Officer",
            "It was a strong one.",
            5,
        ),
    ]


def test_the_corrected_version_beats_the_raw_and_that_the_near_real_time_one(
    rules: Entity,
) -> None:
    near = head(document("NearRealTime", "9", title="near"))
    raw = head(document("Raw", "8", title="raw"))
    corrected = head(document("Corrected", "7", title="corrected"))
    assert row(rules, merged(rules, near, raw, corrected))["title"] == "corrected"
    assert row(rules, merged(rules, near, raw))["title"] == "raw"
    assert merged(rules, near, corrected, raw).version_ids == (
        path_of("Corrected", "7"),
        path_of("Raw", "8"),
        path_of("NearRealTime", "9"),
    )


def test_the_highest_version_id_wins_and_counts_as_a_number(rules: Entity) -> None:
    ninth = head(document(version_id="9", title="ninth"))
    tenth = head(document(version_id="10", title="tenth"))
    named = head(document(version_id="a", title="named"))
    assert row(rules, merged(rules, named, ninth, tenth))["title"] == "tenth"


def test_all_fields_come_from_the_same_document(rules: Entity) -> None:
    corrected = head(document(title=None, date=None))
    raw = head(document("Raw", "6"))
    values = row(rules, merged(rules, corrected, raw))
    assert (values["title"], values["call_date"]) == (None, None)


def test_the_folder_names_the_company_when_the_institution_is_not_monitored(
    rules: Entity,
) -> None:
    unknown = document(institution=None)
    assert row(rules, merged(rules, head(unknown)))["company"] == "Royal Bank of Canada"
    dotted = unknown["file"] | {"ticker": "AGF.B-CA", "company_folder": "AGF_B-CA_AGF_Management"}
    assert row(rules, merged(rules, head(unknown | {"file": dotted})))["company"] == (
        "AGF Management"
    )


@pytest.mark.parametrize(
    ("title", "is_earnings_call"),
    [
        ("Q1 2024 Earnings Call", True),
        ("q4 2007 EARNINGS CALL", True),
        ("Q5 2024 Earnings Call", False),
        ("Q1 1999 Earnings Call", False),
        ("Half Year 2021 Earnings Call", False),
        ("Q1 2024 Earnings Call - Part 2", False),
        (None, False),
    ],
)
def test_only_quarterly_titles_are_earnings_calls(
    rules: Entity,
    title: str | None,
    is_earnings_call: bool,  # noqa: FBT001 - the expected value
) -> None:
    record = merged(rules, head(document(title=title)))
    assert row(rules, record)["is_earnings_call"] is is_earnings_call
    assert ("not_an_earnings_call" in record.flags) is not is_earnings_call


def test_a_call_without_a_live_head_is_absent(rules: Entity) -> None:
    outcome = merge_one(rules, tombstone(path_of(), version=4))
    assert isinstance(outcome, Absent)
    assert outcome.basis.bronze_versions == 4


def test_a_deleted_version_does_not_contribute(rules: Entity) -> None:
    raw = head(document("Raw", "6", title="raw"), version=3)
    later = STORED + timedelta(hours=1)
    record = merged(rules, raw, tombstone(path_of(), version=2, stored_at=later))
    assert row(rules, record)["title"] == "raw"
    assert record.version_ids == (path_of("Raw", "6"),)
    assert (record.basis.bronze_versions, record.basis.bronze_at) == (5, later)


@pytest.mark.covers("S2-27")
def test_a_call_in_which_nobody_speaks_is_rejected(rules: Entity) -> None:
    outcome = merge_one(rules, head(document(sections=[])))
    assert isinstance(outcome, Rejected)
    assert outcome.reasons == ("words_present: nobody says a word in it",)


@pytest.mark.covers("S2-27", "S2-28")
def test_a_rejected_record_does_not_touch_the_others(rules: Entity) -> None:
    good = head(entity_id="A/1")
    bad = head(document(sections=None), entity_id="B/2")
    assert [type(item) for item in merge(rules, ["A/1", "B/2"], [bad, good])] == [Merged, Rejected]


def test_an_entity_that_bronze_does_not_know_is_absent(rules: Entity) -> None:
    (outcome,) = merge(rules, ["X/1"], [])
    assert isinstance(outcome, Absent)
    assert outcome.basis.bronze_at is None


def test_speakers_who_are_no_participants_keep_their_words(rules: Entity) -> None:
    sections = [{"name": None, "turns": [{"speaker_id": "99", "paragraphs": ["Who am I?"]}]}]
    record = merged(rules, head(document(sections=sections)))
    assert record.children["transcript_turns"] == [
        (1, None, None, "99", None, None, None, None, "Who am I?", 3)
    ]
    assert "unverified_speakers" in record.flags


KEPT_PATTERN = """
version: 1
entity_type: thing
table: things
ruleset_version: 1
inputs: {name: {path: name, type: text}, pattern: {path: pattern, type: text}}
sources: [{name: only}]
fields: {is_match: {type: boolean, rule: "REGEXP_LIKE(name, pattern)"}}
"""


@pytest.mark.covers("S2-28")
def test_a_value_on_which_a_rule_fails_costs_its_record_only() -> None:
    entity = parse_entity(KEPT_PATTERN, name="things.yaml")
    good = head({"name": "abc", "pattern": "b"}, entity_id="A")
    bad = head({"name": "abc", "pattern": "["}, entity_id="B")
    first, second = merge(entity, ["A", "B"], [bad, good])
    assert isinstance(first, Merged)
    assert first.values == (True,)
    assert isinstance(second, Rejected)
    assert second.reasons[0].startswith("a rule failed: ")


def test_a_record_of_no_source_is_rejected(rules: Entity) -> None:
    narrow = [item.model_copy(update={"system": "tdx"}) for item in rules.config.sources]
    config = rules.config.model_copy(update={"sources": tuple(narrow)})
    outcome = merge_one(compile_entity(config), head())
    assert isinstance(outcome, Rejected)
    assert outcome.reasons == ("no source of the rules takes the record",)


HEADS = [
    head(document("Corrected", "7")),
    head(document("Corrected", "11", title="Q2 2024 Earnings Call", date="bad")),
    head(document("Raw", "6", institution=None)),
    head(document("NearRealTime", "5", sections=SECTIONS[:1])),
    tombstone("Data/old.xml", version=3),
    head(document("Raw", "2", sections=[]), entity_id="B/2"),
    head(document("Raw", "3"), entity_id="C/3"),
]


# polars is built for large frames: a merge of one record takes some 10 ms.
FEW = settings(deadline=None, max_examples=25)


@FEW
@given(st.permutations(range(len(HEADS))))
def test_the_order_of_heads_makes_no_difference(order: list[int]) -> None:
    ids = [CALL, "B/2", "C/3"]
    shuffled = [HEADS[index] for index in order]
    assert list(merge(RULES, ids, shuffled)) == list(merge(RULES, ids, HEADS))


@FEW
@given(st.sets(st.sampled_from([CALL, "B/2", "C/3"]), min_size=1))
def test_the_company_in_a_batch_makes_no_difference(ids: set[str]) -> None:
    together = {item.entity_id: item for item in merge(RULES, [CALL, "B/2", "C/3"], HEADS)}
    alone = merge(RULES, ids, [item for item in HEADS if item.entity_id in ids])
    assert list(alone) == [together[entity_id] for entity_id in sorted(ids)]


NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@FEW
@given(st.dictionaries(st.sampled_from(sorted(document())), JSON), st.randoms())
@pytest.mark.covers("S2-28")
def test_no_document_breaks_the_merge(changes: dict[str, Any], chance: random.Random) -> None:
    strange = head(document(**changes), entity_id="A/1", external_id="strange.xml")
    heads = [strange, *HEADS]
    chance.shuffle(heads)
    outcomes = merge(RULES, ["A/1", CALL], [h for h in heads if h.entity_id in ("A/1", CALL)])
    assert outcomes[1] == merge(RULES, [CALL], [h for h in HEADS if h.entity_id == CALL])[0]


PRIORITIES = """
version: 1
entity_type: thing
table: things
ruleset_version: 1
inputs: {kind: {path: kind, type: text}, first: {path: first, type: text},
  last: {path: last, type: text}, mail: {path: mail, type: text}}
sources: [{name: a, when: kind = 'a'}, {name: b, when: kind = 'b'}, {name: c, when: kind = 'c'}]
fields:
  first: {type: text, rule: first, group: name, priority: [c, a, b]}
  last: {type: text, rule: last, group: name, priority: [c, a, b]}
  mail: {type: text, rule: mail, priority: [b, a]}
"""


@pytest.mark.covers("S2-03")
def test_every_field_has_its_own_order_of_sources_and_a_group_wins_together() -> None:
    entity = parse_entity(PRIORITIES, name="things.yaml")
    first = head({"kind": "a", "first": "Ann", "last": "A"}, external_id="1")
    second = head({"kind": "b", "mail": "b@x"}, external_id="2")
    third = head({"kind": "c", "last": "C", "mail": "c@x"}, external_id="3")
    assert row(entity, merged(entity, first, second, third)) == {
        "first": None,
        "last": "C",
        "mail": "b@x",
    }
    assert row(entity, merged(entity, first, third)) == {"first": None, "last": "C", "mail": None}
    rules = {item.field: item.rule for item in column_rules(entity)}
    assert rules["first"] == "first; group name by c > a > b"


def test_an_order_of_sources_that_cannot_be_used_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"fields.last.priority differs from others of group"):
        parse_entity(PRIORITIES.replace("name, priority: [c, a, b]", "name", 1), name="x.yaml")
    with pytest.raises(ConfigError, match=r"fields.mail.priority: `d` is unknown"):
        parse_entity(PRIORITIES.replace("[b, a]", "[b, d]"), name="x.yaml")
