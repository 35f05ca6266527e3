"""The shipped rules on people in three disagreeing sources, against the truth."""

import functools
import json
from collections import Counter
from datetime import UTC, datetime

import pytest

from tests.support.paths import PROJECT
from tests.support.people import (
    SourceRecord,
    load_people,
    pairs,
    precision_and_recall,
    true_pairs,
    withhold,
)
from transformer.adapters.entity_files import load_entities
from transformer.domain.entity import Entity
from transformer.domain.identity import Linked, Record, link
from transformer.domain.identity_keys import keys_of
from transformer.domain.records import Head

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@functools.cache
def users() -> Entity:
    return load_entities(PROJECT / "config")["user"]


def identify(records: list[SourceRecord]) -> Linked:
    rules = users().identity
    assert rules is not None
    heads = [
        Head(
            entity_id=item.record_id,
            source_system=item.source_system,
            external_id=item.external_id,
            version=1,
            is_deleted=False,
            stored_at=MOMENT,
            document=json.dumps(item.document),
        )
        for item in records
    ]
    keys = keys_of(users(), heads)
    found = [
        Record(item.record_id, order, keys[item.record_id].keys, keys[item.record_id].exclusive)
        for order, item in enumerate(records)
    ]
    holders = Counter(key for item in found for key in item.keys)
    common = {key for key, count in holders.items() if count > rules.limits[key[0]]}
    return link(tuple(rules.limits), found, common)


def found_pairs(linked: Linked) -> set[tuple[str, str]]:
    groups: dict[str, list[str]] = {}
    for item in linked.links.values():
        groups.setdefault(item.entity_id, []).append(item.record_id)
    return pairs(list(groups.values()))


@pytest.mark.covers("C-16")
def test_with_ids_everybody_is_found_and_nobody_is_confused() -> None:
    records = load_people()
    linked = identify(records)
    assert len(records) == 1417 + 1453 + 1370
    assert precision_and_recall(found_pairs(linked), true_pairs(records)) == (1.0, 1.0)
    assert len({item.entity_id for item in linked.links.values()}) == 1500
    assert linked.contradictions == ()


def test_without_ids_names_and_addresses_find_nine_of_ten_pairs_and_no_wrong_one() -> None:
    records = withhold(load_people())
    linked = identify(records)
    precision, recall = precision_and_recall(found_pairs(linked), true_pairs(records))
    assert precision >= 0.999
    assert recall >= 0.90


def test_every_link_says_which_rule_made_it() -> None:
    rules = users().identity
    assert rules is not None
    linked = identify(withhold(load_people()))
    for item in linked.links.values():
        is_anchor = item.record_id == item.entity_id
        assert (item.rule is None) is is_anchor
        assert is_anchor or item.rule in rules.limits
    used = Counter(item.rule for item in linked.links.values())
    assert {"uniqname", "employee_id", "email"}.isdisjoint(used)
