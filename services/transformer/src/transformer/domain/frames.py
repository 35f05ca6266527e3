"""Bronze heads as frames: a row per contributing record, strongest first within its entity."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from transformer.domain.documents import child_scopes, parse_document, read_input, read_inputs
from transformer.domain.entity import (
    INPUT_TYPES,
    MOMENT,
    NUMERIC,
    RECORD_COLUMNS,
    ChildRules,
    Entity,
)
from transformer.domain.records import Head
from transformer.domain.rules import InputType

ENTITY = "@entity"
ROW = "@row"
RANK = "@rank"
SOURCE_SYSTEM = "@source_system"
EXTERNAL_ID = "@external_id"
BRONZE_VERSION = "@bronze_version"
"""Columns of the machinery; rules cannot name them."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def winner_of(unit: str) -> str:
    """Return the column that holds the place of the record that wins a unit of fields."""
    return f"@winner.{unit}"


@dataclass(frozen=True, slots=True)
class Candidates:
    """The records that contribute, in order of entity and strength."""

    documents: list[dict[str, Any]]
    frame: pl.DataFrame
    """One row each: entity, place in the list above, source's rank, who it is, field values."""


def rank_candidates(entity: Entity, heads: Sequence[Head]) -> Candidates:
    """Assign each live record to its source, order them, and evaluate the fields on each.

    A record that belongs to no source of the rules does not contribute. Without any regard to the
    order of `heads`.
    """
    live = [head for head in heads if not head.is_deleted and head.document is not None]
    documents = [parse_document(head.document or "null") for head in live]
    ranked = _ranked(entity, input_frame(entity, live, documents))
    order: list[int] = ranked[ROW].to_list()
    frame = ranked.with_columns(pl.int_range(pl.len()).alias(ROW)).select(
        ENTITY,
        ROW,
        RANK,
        pl.col("source_system").alias(SOURCE_SYSTEM),
        pl.col("external_id").alias(EXTERNAL_ID),
        BRONZE_VERSION,
        *(expression.alias(name) for name, expression in entity.fields.items()),
    )
    return Candidates(
        documents=[documents[index] for index in order],
        frame=frame,
    )


def input_frame(entity: Entity, heads: list[Head], documents: list[dict[str, Any]]) -> pl.DataFrame:
    """Lay out the inputs of records, a row each, in their order."""
    inputs = entity.config.inputs
    data: dict[str, Any] = {
        ENTITY: [head.entity_id for head in heads],
        ROW: range(len(heads)),
        BRONZE_VERSION: [head.version for head in heads],
        "source_system": [head.source_system for head in heads],
        "external_id": [head.external_id for head in heads],
    }
    for name, item in inputs.items():
        data[name] = _column(read_inputs(documents, item), item.type)
    schema = {
        ENTITY: pl.String(),
        ROW: pl.Int64(),
        BRONZE_VERSION: pl.Int64(),
        **RECORD_COLUMNS,
        **{name: INPUT_TYPES[item.type] for name, item in inputs.items()},
    }
    return pl.DataFrame(data, schema=schema)


def _ranked(entity: Entity, inputs: pl.DataFrame) -> pl.DataFrame:
    rank = pl.coalesce(
        pl.when(condition).then(pl.lit(index, dtype=pl.Int32))
        for index, condition in enumerate(entity.sources)
    )
    newest_first = entity.config.newest_first
    ascending_after = ["source_system", "external_id"]
    return (
        inputs.with_columns(rank.alias(RANK))
        .filter(pl.col(RANK).is_not_null())
        .sort(
            ENTITY,
            RANK,
            *newest_first,
            *ascending_after,
            descending=[False, False, *(True for _ in newest_first), False, False],
            nulls_last=True,
        )
    )


def _column(values: list[Any], kind: InputType) -> list[Any] | pl.Series:
    """Lay out values; polars reads times and decimals several times faster as numbers and texts."""
    match INPUT_TYPES[kind]:
        case pl.Datetime():
            return moments(values)
        case pl.Decimal():
            texts = [None if value is None else str(value) for value in values]
            return pl.Series(texts, dtype=pl.String()).cast(NUMERIC)
        case _:
            return values


def moments(values: Iterable[datetime | None]) -> pl.Series:
    """Lay out times."""
    return pl.Series(
        [None if value is None else (value - _EPOCH) // _MICROSECOND for value in values],
        dtype=pl.Int64(),
    ).cast(MOMENT)


def child_frame(
    rules: ChildRules, candidates: Candidates, winners: Sequence[tuple[str, int]]
) -> pl.DataFrame:
    """Lay out a child table: the entity, the number, and the columns, a row per item.

    Args:
        rules: The child table's.
        candidates: What the rows are taken from.
        winners: Entities, each with the place of the record whose document counts.
    """
    child = rules.config
    entities: list[str] = []
    numbers: list[int] = []
    values: dict[str, list[Any]] = {name: [] for name in child.inputs}
    for entity_id, row in winners:
        for number, scope in enumerate(child_scopes(candidates.documents[row], child), start=1):
            entities.append(entity_id)
            numbers.append(number)
            for name, item in child.inputs.items():
                values[name].append(read_input(scope, item))
    schema = {
        ENTITY: pl.String(),
        child.number: pl.Int32(),
        **{name: INPUT_TYPES[item.type] for name, item in child.inputs.items()},
    }
    frame = pl.DataFrame({ENTITY: entities, child.number: numbers, **values}, schema=schema)
    return frame.select(
        ENTITY,
        child.number,
        *(expression.alias(name) for name, expression in rules.fields.items()),
    )
