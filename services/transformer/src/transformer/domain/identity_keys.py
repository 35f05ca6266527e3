"""The keys of records, computed set-wise by the rules."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl
from polars.exceptions import PolarsError

from transformer.domain.documents import parse_document
from transformer.domain.entity import Entity
from transformer.domain.frames import ROW, input_frame
from transformer.domain.identity import KeyValue
from transformer.domain.identity_compiler import ITEM, IdentityRules, KeyRule
from transformer.domain.records import Head

MAX_VALUE = 200
"""Longer values are kept as their hash: an index holds them."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What a record says about whom it is about."""

    keys: frozenset[KeyValue] = frozenset()
    exclusive: frozenset[KeyValue] = frozenset()


def keys_of(entity: Entity, heads: Sequence[Head]) -> dict[str, Keys]:
    """Return the keys of records by entity id of bronze; several heads of one add up.

    A head without a document has none. A record on which a rule fails has none either; its merge
    fails on its own and is listed (S2-28).
    """
    found: dict[str, Keys] = {head.entity_id: Keys() for head in heads}
    described = [head for head in heads if head.document is not None]
    if entity.identity is None:
        return found
    for row, keys in _isolated(entity, entity.identity, described):
        record_id = described[row].entity_id
        known = found[record_id]
        found[record_id] = Keys(known.keys | keys.keys, known.exclusive | keys.exclusive)
    return found


def _isolated(
    entity: Entity, rules: IdentityRules, heads: Sequence[Head]
) -> Iterator[tuple[int, Keys]]:
    try:
        yield from _compute(entity, rules, heads).items()
    except PolarsError:
        if len(heads) == 1:
            return
        for row, head in enumerate(heads):
            for _, keys in _isolated(entity, rules, [head]):
                yield row, keys


def _compute(entity: Entity, rules: IdentityRules, heads: Sequence[Head]) -> dict[int, Keys]:
    if not heads:
        return {}
    frame = input_frame(
        entity, list(heads), [parse_document(head.document or "null") for head in heads]
    )
    for name, expression in rules.values.items():
        frame = frame.with_columns(expression.alias(name))
    keys: dict[int, set[KeyValue]] = defaultdict(set)
    for rule in rules.keys:
        for row, value in _values(frame, rule).rows():
            keys[row].add((rule.config.name, _bounded(value)))
    exclusive: dict[int, set[KeyValue]] = defaultdict(set)
    for name, expression in rules.exclusive.items():
        for row, value in frame.select(ROW, expression.alias("value")).rows():
            if value is not None and value.strip():
                exclusive[row].add((name, _bounded(value)))
    return {
        row: Keys(frozenset(keys.get(row, ())), frozenset(exclusive.get(row, ())))
        for row in range(len(heads))
    }


def _values(frame: pl.DataFrame, rule: KeyRule) -> pl.DataFrame:
    if rule.condition is not None:
        frame = frame.filter(rule.condition)
    if rule.config.each is not None:
        items = pl.col(rule.config.each)
        # A record without items is looked at once all the same, with a null for the item.
        none = pl.lit([None], dtype=pl.List(pl.String()))
        frame = frame.with_columns(
            pl.when(items.list.len() > 0).then(items).otherwise(none).alias(ITEM)
        ).explode(ITEM)
    values = frame.select(ROW, rule.value.alias("value"))
    return values.filter(pl.col("value").str.strip_chars().str.len_bytes() > 0)


def _bounded(value: str) -> str:
    if len(value) <= MAX_VALUE:
        return value
    return f"sha256:{hashlib.sha256(value.encode()).hexdigest()}"
