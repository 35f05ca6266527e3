"""Where silver values come from: which record won each field, which lost, and by which rule.

Written as text once per entity and not per value, because that is most of what a transformation
writes. `silver.provenance` is the view that tells it value by value.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from transformer.domain.entity import Entity
from transformer.domain.frames import ENTITY, RANK, ROW, Candidates, winner_of
from transformer.domain.records import Origins
from transformer.domain.rules import ColumnType

_RECORD = "@record"
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


def origins_of(entity: Entity, candidates: Candidates, merged: pl.DataFrame) -> dict[str, Origins]:
    """Return, by entity, the contributing records and who of them won what."""
    texts = _record_texts(entity, candidates)
    units = [pl.col(winner_of(unit)) - pl.col(_FIRST) for unit in entity.config.units()]
    winners = merged.join(texts, on=ENTITY, how="left", maintain_order="left").select(
        ENTITY, _RECORD, *(expression.alias(f"@{place}") for place, expression in enumerate(units))
    )
    return {entity_id: Origins(text, tuple(won)) for entity_id, text, *won in winners.rows()}


def _record_texts(entity: Entity, candidates: Candidates) -> pl.DataFrame:
    """Write the records of each entity as a JSON list, strongest first."""
    config = entity.config
    sources = pl.Series([source.name for source in config.sources])
    heads = candidates.heads
    stored = [name for name in entity.columns if name in config.fields]
    values = pl.struct(_readable(config.fields[name].type, name) for name in stored)
    described = candidates.frame.with_columns(
        pl.Series("source", sources.gather(candidates.frame[RANK])),
        pl.Series("source_system", [head.source_system for head in heads], dtype=pl.String),
        pl.Series("external_id", [head.external_id for head in heads], dtype=pl.String),
        pl.Series("bronze_version", [head.version for head in heads], dtype=pl.Int64),
        values.struct.json_encode().alias("@values"),
    )
    who = pl.struct("source", "source_system", "external_id", "bronze_version").struct.json_encode()
    # The values of a record that stands alone are those of the entity.
    claims = (
        pl.when(pl.len().over(ENTITY) > 1)
        .then(pl.concat_str(pl.lit(',"values":'), "@values", pl.lit("}")))
        .otherwise(pl.lit("}"))
    )
    texts = described.select(
        ENTITY, ROW, pl.concat_str(who.str.strip_suffix("}"), claims).alias(_RECORD)
    )
    return (
        texts.group_by(ENTITY, maintain_order=True)
        .agg(pl.col(_RECORD).str.join(","), pl.col(ROW).first().alias(_FIRST))
        .with_columns(pl.concat_str(pl.lit("["), _RECORD, pl.lit("]")).alias(_RECORD))
    )


def _readable(kind: ColumnType, name: str) -> pl.Expr:
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
