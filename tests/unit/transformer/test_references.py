import pytest

from transformer.adapters.entity_files import parse_entity
from transformer.domain.references import check_references, in_order
from transformer.errors import RuleError

THINGS = """
version: 1
entity_type: thing
table: things
ruleset_version: 1
inputs: {place: {path: place, type: text}}
sources: [{name: only}]
fields: {place: {type: text, rule: place}}
references:
  - {name: place, field: place, entity_type: spot, column: code, message: it is nowhere}
"""
SPOTS = """
version: 1
entity_type: spot
table: spots
ruleset_version: 1
inputs: {code: {path: code, type: text}}
sources: [{name: only}]
fields: {code: {type: text, rule: code}}
"""


def test_a_reference_into_a_table_without_rules_is_refused_at_start() -> None:
    thing = parse_entity(THINGS, name="things.yaml")
    with pytest.raises(RuleError, match=r"references.place.entity_type: `spot` has no rules"):
        check_references(thing, {"thing": thing})


def test_a_reference_to_a_column_that_is_none_is_refused_at_start() -> None:
    thing = parse_entity(THINGS.replace("column: code", "column: name"), name="things.yaml")
    entities = {"thing": thing, "spot": parse_entity(SPOTS, name="spots.yaml")}
    with pytest.raises(RuleError, match=r"references.place.column: `name` is no column of `spots`"):
        check_references(thing, entities)


def test_a_reference_that_can_be_followed_passes() -> None:
    thing = parse_entity(THINGS, name="things.yaml")
    check_references(thing, {"thing": thing, "spot": parse_entity(SPOTS, name="spots.yaml")})


def test_what_others_refer_to_comes_first_and_circles_do_no_harm() -> None:
    thing = parse_entity(THINGS.replace("thing", "a_thing"), name="things.yaml")
    spot = parse_entity(SPOTS, name="spots.yaml")
    other = parse_entity(SPOTS.replace("spot", "other"), name="others.yaml")
    assert in_order({"a_thing": thing, "other": other, "spot": spot}) == [
        "spot",
        "a_thing",
        "other",
    ]
    references = THINGS.partition("references:")[2].replace("spot", "a_thing")
    circular = SPOTS + "references:" + references.replace("field: place", "field: code")
    back = parse_entity(circular, name="spots.yaml")
    assert in_order({"a_thing": thing, "spot": back}) == ["spot", "a_thing"]
