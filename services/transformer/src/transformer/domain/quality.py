"""Scores and flags, exactly as S2-20 to S2-26, in whole hundredths so that 0.85 is 0.85 (C-45)."""

from collections.abc import Iterator

import polars as pl

from transformer.domain.entity import Entity, FlagRule

FULL_SCORE = 100
MISSING_SOURCE_COST = 10
MISSING_FIELD_COST = 5
MISMATCH_COST = 5


def flags_of(entity: Entity) -> pl.Expr:
    """Return the expression of a merged record's flags, in the order of the rules."""
    raised = [
        pl.when(rule.condition).then(pl.lit(rule.flag)) for rule, _ in _rules_with_costs(entity)
    ]
    if not raised:
        return pl.lit([], dtype=pl.List(pl.String()))
    return pl.concat_list(raised).list.drop_nulls()


def points_of(entity: Entity) -> pl.Expr:
    """Return the expression of a merged record's score in hundredths, never below 0."""
    costs = [
        pl.when(rule.condition).then(pl.lit(cost)).otherwise(pl.lit(0))
        for rule, cost in _rules_with_costs(entity)
    ]
    return pl.max_horizontal(pl.lit(FULL_SCORE) - pl.sum_horizontal(pl.lit(0), *costs), pl.lit(0))


def score_of(points: str) -> pl.Expr:
    """Return hundredths as the stored score: text of two places."""
    hundredths = pl.col(points)
    return pl.concat_str(
        (hundredths // FULL_SCORE).cast(pl.String),
        pl.lit("."),
        (hundredths % FULL_SCORE).cast(pl.String).str.zfill(2),
    )


def _rules_with_costs(entity: Entity) -> Iterator[tuple[FlagRule, int]]:
    for rule in entity.missing_sources:
        yield rule, MISSING_SOURCE_COST
    for field in entity.config.quality.key_fields:
        yield FlagRule(f"missing_{field}", pl.col(field).is_null()), MISSING_FIELD_COST
    for rule in entity.mismatches:
        yield rule, MISMATCH_COST
    for rule in entity.informational:
        yield rule, 0
