"""The transformation itself: bronze heads and rules in, one outcome per entity out.

Pure, set-wise and deterministic: the order of the heads, their grouping into calls and earlier
results make no difference.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl
from polars.exceptions import PolarsError

from transformer.domain import quality
from transformer.domain.entity import Entity, mismatch_flag, source_flag
from transformer.domain.frames import (
    ENTITY,
    EXTERNAL_ID,
    RANK,
    ROW,
    Candidates,
    child_frame,
    moments,
    rank_candidates,
    winner_of,
)
from transformer.domain.hashing import hash_contents
from transformer.domain.outcomes import (
    BRONZE_AT,
    BRONZE_VERSIONS,
    CONTENT_HASH,
    FLAGS,
    SCORE,
    VERSION_IDS,
    Outcomes,
    lay_out,
    no_records,
)
from transformer.domain.provenance import origins_of
from transformer.domain.records import Head
from transformer.domain.rules import ColumnType, Disagreement

POINTS = "@points"


@dataclass(frozen=True, slots=True)
class _Computed:
    """What was made of the entities that have live records."""

    records: pl.DataFrame
    children: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    rejected: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Why others have no record."""

    def __add__(self, other: "_Computed") -> "_Computed":
        tables = self.children.keys() | other.children.keys()
        parts = (self.children, other.children)
        return _Computed(
            pl.concat([self.records, other.records]),
            {name: pl.concat(part[name] for part in parts if name in part) for name in tables},
            {**self.rejected, **other.rejected},
        )


def merge(entity: Entity, entity_ids: Iterable[str], heads: Sequence[Head]) -> Outcomes:
    """Compute the silver state of entities.

    Args:
        entity: The rules.
        entity_ids: Which; each gets one outcome, in sorted order.
        heads: All their bronze heads, tombstones included, in any order.
    """
    bases = _bases(sorted(set(entity_ids)), heads)
    computed = _merge_isolated(entity, [head for head in heads if not head.is_deleted])
    frame = lay_out(entity, bases, computed.records, rejected=computed.rejected)
    return Outcomes(entity, frame, computed.children)


def _merge_isolated(entity: Entity, live: Sequence[Head]) -> _Computed:
    """Merge together; if a strange value breaks an expression, its record alone fails (S2-28)."""
    try:
        return _merge(entity, live)
    except PolarsError as error:
        ids = sorted({head.entity_id for head in live})
        if len(ids) == 1:
            reason = f"a rule failed: {str(error).strip().splitlines()[0]}"
            return _Computed(no_records(entity), rejected={ids[0]: (reason,)})
        # Halved, so that one strange record among thousands costs a few merges and not thousands.
        first = set(ids[: len(ids) // 2])
        return _merge_isolated(
            entity, [head for head in live if head.entity_id in first]
        ) + _merge_isolated(entity, [head for head in live if head.entity_id not in first])


def _merge(entity: Entity, live: Sequence[Head]) -> _Computed:
    if not live:
        return _Computed(no_records(entity))
    candidates = rank_candidates(entity, live)
    merged = _survivors(entity, candidates.frame)
    children = _children(entity, candidates, merged)
    merged = _roll_up(entity, merged, children)
    for name, expression in entity.derived.items():
        merged = merged.with_columns(expression.alias(name))
    merged = merged.with_columns(
        quality.flags_of(entity).alias(FLAGS), quality.points_of(entity).alias(POINTS)
    )
    rejected = _failures(entity, merged)
    contributing = set(merged[ENTITY].to_list())
    for entity_id in {head.entity_id for head in live} - contributing:
        rejected[entity_id] = ("no source of the rules takes the record",)
    passed = merged.filter(~pl.col(ENTITY).is_in(list(rejected))) if rejected else merged
    return _Computed(_records(entity, candidates, passed, children), children, rejected)


def _survivors(entity: Entity, frame: pl.DataFrame) -> pl.DataFrame:
    """Pick every field's winner: a row per entity, strongest record first."""
    units = entity.config.units()
    claims = frame.with_columns(_claim(entity, unit, members) for unit, members in units.items())
    sources = [
        (pl.col(RANK) == index).any().alias(source_flag(source.name))
        for index, source in enumerate(entity.config.sources)
    ]
    ids = pl.col(EXTERNAL_ID).alias(VERSION_IDS)
    count = pl.len().cast(pl.Int32).alias("version_count")
    strongest = [pl.col(winner_of(unit)).min() % frame.height for unit in units]
    merged = claims.group_by(ENTITY, maintain_order=True).agg(*strongest, *sources, count, ids)
    values = [
        frame[name].gather(merged[winner_of(unit)])
        for unit, members in units.items()
        for name in members
    ]
    merged = merged.with_columns(values)
    for item in entity.config.quality.mismatches:
        if isinstance(item, Disagreement):
            merged = merged.join(_disagreement(frame, entity, item.field), on=ENTITY, how="left")
    return merged


def _claim(entity: Entity, unit: str, members: Sequence[str]) -> pl.Expr:
    """Return how strong a record's claim to a unit is: the lower, the stronger; null is none.

    That is the place of its source for the unit, and then its own among all records; so the lowest
    claim also tells whose it is.
    """
    names = [source.name for source in entity.config.sources]
    places = {
        names.index(name): place for place, name in enumerate(entity.config.priority_of(unit))
    }
    has_value = pl.any_horizontal(pl.col(member).is_not_null() for member in members)
    place = pl.col(RANK).replace_strict(places, default=None, return_dtype=pl.Int64)
    return pl.when(has_value).then(place * pl.len() + pl.col(ROW)).alias(winner_of(unit))


def _disagreement(frame: pl.DataFrame, entity: Entity, field: str) -> pl.DataFrame:
    """Compare the best value of each source, without regard to case; null says nothing (C-17)."""
    value = pl.col(field)
    if entity.config.fields[field].type is ColumnType.TEXT:
        value = value.str.to_lowercase()
    best = (
        frame.filter(pl.col(field).is_not_null())
        .group_by(ENTITY, RANK, maintain_order=True)
        .agg(value.first())
    )
    differs = (pl.col(field).n_unique() > 1).alias(mismatch_flag(field))
    return best.group_by(ENTITY, maintain_order=True).agg(differs)


def _children(
    entity: Entity, candidates: Candidates, merged: pl.DataFrame
) -> dict[str, pl.DataFrame]:
    frames = {}
    for rules in entity.children:
        winner = winner_of(f"group {rules.config.of}")
        winners = merged.select(ENTITY, winner).drop_nulls().rows()
        frames[rules.config.table] = child_frame(rules, candidates, winners)
    return frames


def _roll_up(
    entity: Entity, merged: pl.DataFrame, children: Mapping[str, pl.DataFrame]
) -> pl.DataFrame:
    for table, frame in children.items():
        of_table = [
            entity.rollups[name].alias(name)
            for name, rollup in entity.config.rollups.items()
            if rollup.of == table
        ]
        sums = frame.group_by(ENTITY, maintain_order=True).agg(of_table)
        merged = merged.join(sums, on=ENTITY, how="left")
    return merged.with_columns(pl.col(name).fill_null(0) for name in entity.rollups)


def _failures(entity: Entity, merged: pl.DataFrame) -> dict[str, tuple[str, ...]]:
    """Return why records break validations (S2-27)."""
    rules = entity.config.validations
    if not rules:
        return {}
    names = [f"@{index}" for index in range(len(rules))]
    checks = merged.select(
        ENTITY, *(item.alias(name) for name, item in zip(names, entity.validations, strict=True))
    ).filter(~pl.all_horizontal(names))
    return {
        entity_id: tuple(
            f"{rule.name}: {rule.message}"
            for rule, passed in zip(rules, results, strict=True)
            if not passed
        )
        for entity_id, *results in checks.rows()
    }


def _records(
    entity: Entity,
    candidates: Candidates,
    merged: pl.DataFrame,
    children: Mapping[str, pl.DataFrame],
) -> pl.DataFrame:
    """Add what is written beside the values: score, provenance, hash."""
    hashes = hash_contents(merged, (*entity.columns, VERSION_IDS, FLAGS, POINTS), children)
    origins = origins_of(entity, candidates, merged)
    score = quality.score_of(POINTS).alias(SCORE)
    return merged.with_columns(hashes.alias(CONTENT_HASH), score, *origins).select(
        no_records(entity).columns
    )


def _bases(entity_ids: Iterable[str], heads: Sequence[Head]) -> pl.DataFrame:
    """Return the newest time and the sum of the versions behind each entity."""
    newest: dict[str, datetime] = {}
    versions: dict[str, int] = dict.fromkeys(entity_ids, 0)
    for head in heads:
        entity_id = head.entity_id
        versions[entity_id] += head.version
        if entity_id not in newest or newest[entity_id] < head.stored_at:
            newest[entity_id] = head.stored_at
    return pl.DataFrame(
        {
            ENTITY: list(versions),
            BRONZE_AT: moments([newest.get(entity_id) for entity_id in versions]),
            BRONZE_VERSIONS: list(versions.values()),
        },
        schema_overrides={ENTITY: pl.String()},
    )
