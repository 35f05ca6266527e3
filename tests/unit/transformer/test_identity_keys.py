import json
from datetime import UTC, datetime
from typing import Any

import pytest

from chassis.sources import ConfigError
from transformer.adapters.entity_files import parse_entity
from transformer.domain.identity_keys import Keys, keys_of
from transformer.domain.records import Head
from transformer.errors import RuleError

RULES = """
version: 1
entity_type: person
table: persons
ruleset_version: 1
inputs:
  name: {path: name, type: text}
  mail: {path: mail, type: text}
  mails: {path: mails, type: texts}
  pattern: {path: pattern, type: text}
sources: [{name: only}]
identity:
  values: {plain: SQUASH(name), short: "LEFT(plain, 3)"}
  keys:
    - {name: name, rule: short, when: mail IS NULL}
    - {name: mail, each: mails, rule: "LOWER(COALESCE(item, mail))"}
  exclusive: [{name: pattern, rule: "CASE WHEN REGEXP_LIKE(name, pattern) THEN pattern END"}]
fields: {name: {type: text, rule: name}}
"""
PERSON = parse_entity(RULES, name="persons.yaml")


def head(document: dict[str, Any] | None, record_id: str = "a/1", external_id: str = "1") -> Head:
    text = None if document is None else json.dumps(document)
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    return Head(record_id, "a", external_id, 1, document is None, moment, text)


def keys(document: dict[str, Any]) -> list[tuple[str, str]]:
    return sorted(keys_of(PERSON, [head(document)])["a/1"].keys)


def test_values_build_on_each_other_and_a_condition_takes_keys_away() -> None:
    assert keys({"name": "Élodie O'Neil"}) == [("name", "elo")]
    assert keys({"name": "Élodie O'Neil", "mail": "E@x"}) == [("mail", "e@x")]


def test_a_list_gives_a_key_per_item_and_blank_ones_say_nothing() -> None:
    assert keys({"mails": ["A@x", "b@x", " "], "mail": "c@x"}) == [("mail", "a@x"), ("mail", "b@x")]
    assert keys({"mails": [], "name": "--"}) == []


def test_a_long_value_is_kept_as_its_hash() -> None:
    (found,) = keys({"mail": "x" * 500})
    assert found[1].startswith("sha256:")
    assert len(found[1]) == 71


def test_several_heads_of_one_record_add_up() -> None:
    first = head({"mail": "a@x", "mails": None})
    second = head({"mail": "b@x"}, external_id="2")
    assert keys_of(PERSON, [first, second])["a/1"].keys == {("mail", "a@x"), ("mail", "b@x")}


def test_a_record_without_a_document_has_no_keys() -> None:
    assert keys_of(PERSON, [head(None)]) == {"a/1": Keys()}


@pytest.mark.covers("S2-28")
def test_a_rule_that_fails_on_one_record_costs_the_others_nothing() -> None:
    good = head({"name": "Ann", "pattern": "A"}, "a/1")
    bad = head({"name": "Bob", "pattern": "["}, "a/2")
    found = keys_of(PERSON, [good, bad])
    assert found["a/1"] == Keys(frozenset({("name", "ann")}), frozenset({("pattern", "A")}))
    assert found["a/2"] == Keys()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("rule: short", "rule: shoe", r"identity.keys.name.rule: `shoe` is no column here"),
        ("short: ", "mail: ", r"identity.values.mail: the name is taken"),
        ("each: mails", "each: mail", r"identity.keys.mail.each: `mail` is no input of type"),
        ("mail IS NULL", "mail", r"identity.keys.name.when: gives String"),
        ("THEN pattern END", "THEN 1 END", r"identity.exclusive.pattern: gives Int32"),
        ("{name: mail, each", "{name: name, each", r"`name` stands twice"),
    ],
)
def test_identity_that_cannot_be_used_is_refused_at_start(old: str, new: str, reason: str) -> None:
    with pytest.raises((RuleError, ConfigError), match=reason):
        parse_entity(RULES.replace(old, new), name="persons.yaml")


def test_an_entity_without_identity_has_no_keys() -> None:
    text = RULES[: RULES.index("identity:")] + RULES[RULES.index("fields:") :]
    entity = parse_entity(text, name="persons.yaml")
    assert keys_of(entity, [head({"mail": "a@x"})]) == {"a/1": Keys()}
