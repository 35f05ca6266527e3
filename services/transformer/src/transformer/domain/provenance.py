"""Where silver values come from: which record won each field, which lost, and by which rule.

Written as text once per entity and not per value, because that is most of what a transformation
writes. `silver.provenance` is the view that tells it value by value.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from transformer.domain.entity import Entity
from transformer.domain.frames import (
    BRONZE_VERSION,
    ENTITY,
    EXTERNAL_ID,
    RANK,
    ROW,
    SOURCE_SYSTEM,
    Candidates,
    winner_of,
)
from transformer.domain.outcomes import RECORDS, WINNERS
from transformer.domain.rules import ColumnType

_FIRST = "@first"


@dataclass(frozen=True, slots=True)
class ColumnRule:
    """How one column is filled."""

    field: str
    rule: str
    """For people: the expression, and who may win it."""

    unit: int | None
    """The place, from 0, of what it is won with in `Origins.winners`; None for derived values."""

    has_claims: bool
    """Whether every record has a value of its own for it."""


def column_rules(entity: Entity) -> Iterator[ColumnRule]:
    """Yield the rule of every stored column, in order."""
    config = entity.config
    units = list(config.units())
    for name in entity.columns:
        if name in config.fields:
            yield ColumnRule(name, _rule_of(entity, name), units.index(config.unit_of(name)), True)
        elif name in config.rollups:
            rollup = config.rollups[name]
            group = next(child.of for child in config.children if child.table == rollup.of)
            rule = f"{rollup.rule} over {rollup.of}"
            yield ColumnRule(name, rule, units.index(f"group {group}"), False)
        else:
            yield ColumnRule(name, config.derived[name].rule, None, False)


def origins_of(entity: Entity, candidates: Candidates, merged: pl.DataFrame) -> pl.DataFrame:
    """Return the contributing records of each entity, and who of them won what, row by row."""
    texts = _record_texts(entity, candidates)
    places = [pl.col(winner_of(unit)) - pl.col(_FIRST) for unit in entity.config.units()]
    return merged.join(texts, on=ENTITY, how="left", maintain_order="left").select(
        RECORDS, pl.concat_list(places).alias(WINNERS)
    )


def _record_texts(entity: Entity, candidates: Candidates) -> pl.DataFrame:
    """Write the records of each entity as a JSON list, strongest first."""
    config = entity.config
    sources = pl.Series([source.name for source in config.sources])
    stored = [name for name in entity.columns if name in config.fields]
    values = pl.struct(readable(config.fields[name].type, name) for name in stored)
    described = candidates.frame.with_columns(
        pl.Series("source", sources.gather(candidates.frame[RANK])),
        values.struct.json_encode().alias("@values"),
    )
    who = pl.struct(
        "source",
        pl.col(SOURCE_SYSTEM).alias("source_system"),
        pl.col(EXTERNAL_ID).alias("external_id"),
        pl.col(BRONZE_VERSION).alias("bronze_version"),
    ).struct.json_encode()
    # The values of a record that stands alone are those of the entity.
    claims = (
        pl.when(pl.len().over(ENTITY) > 1)
        .then(pl.concat_str(pl.lit(',"values":'), "@values", pl.lit("}")))
        .otherwise(pl.lit("}"))
    )
    texts = described.select(
        ENTITY, ROW, pl.concat_str(who.str.strip_suffix("}"), claims).alias(RECORDS)
    )
    return (
        texts.group_by(ENTITY, maintain_order=True)
        .agg(pl.col(RECORDS).str.join(","), pl.col(ROW).first().alias(_FIRST))
        .with_columns(pl.concat_str(pl.lit("["), RECORDS, pl.lit("]")).alias(RECORDS))
    )


def readable(kind: ColumnType, name: str) -> pl.Expr:
    """Return a column without the zeros to which polars pads decimals."""
    value = pl.col(name)
    if kind is not ColumnType.NUMERIC:
        return value
    return value.cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")


def _rule_of(entity: Entity, name: str) -> str:
    config = entity.config
    order = " > ".join(config.priority_of(config.unit_of(name)))
    if config.newest_first:
        order += f", then highest {', '.join(config.newest_first)}"
    return f"{config.fields[name].rule}; {config.unit_of(name)} by {order}"
