"""The difference between what silver holds and what it should hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from transformer.domain.entity import Entity
from transformer.domain.frames import ENTITY
from transformer.domain.outcomes import CONTENT_HASH, FLAGS, SCORE, STATE_HASH, STATUS, Outcomes
from transformer.domain.records import Status

__all__ = [
    "IS_NEW_QUALITY",
    "IS_VISIBLE",
    "VERSION",
    "WAS",
    "Changes",
    "State",
    "Status",
    "compare",
]

VERSION = "@version"
"""Which state of the record readers see after the change."""

WAS = "@was"
"""The status before it."""

IS_VISIBLE = "@is_visible"
"""Whether readers see a difference: then there is an event and a line in the history."""

IS_NEW_QUALITY = "@is_new_quality"
"""Whether the score, the flags or the rules differ from the last ones."""

_STATE = {
    WAS: pl.String(),
    "@was_version": pl.Int32(),
    "@was_content": pl.String(),
    "@was_state": pl.String(),
    "@was_quality": pl.String(),
}


@dataclass(frozen=True, slots=True)
class State:
    """What silver remembers about an entity."""

    status: Status = Status.RETIRED
    version: int = 0
    """Counts the states that readers have seen; 0 before the first."""

    content_hash: str | None = None
    state_hash: str | None = None
    quality: tuple[Decimal, tuple[str, ...], int] | None = None
    """Score, flags and ruleset version of the last record."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be written about several entities; whoever has no row stays as is."""

    frame: pl.DataFrame
    """The outcomes that differ from what silver holds, in order, with the columns above."""

    children: Mapping[str, pl.DataFrame]
    unchanged: int

    @property
    def upserted(self) -> pl.DataFrame:
        """Records to write; who is not visible differs in basis, rules or provenance only."""
        return self.frame.filter(pl.col(STATUS) == Status.LIVE)

    @property
    def absent(self) -> pl.DataFrame:
        """Records that do not stand in silver from now on."""
        return self.frame.filter(pl.col(STATUS) != Status.LIVE)

    @property
    def rejected(self) -> pl.DataFrame:
        """Those of them that break validations."""
        return self.frame.filter(pl.col(STATUS) == Status.REJECTED)

    @property
    def visible(self) -> pl.DataFrame:
        """What readers see."""
        return self.frame.filter(IS_VISIBLE)


def compare(states: Mapping[str, State], outcomes: Outcomes, *, is_repair: bool = False) -> Changes:
    """Find out what must be written.

    An outcome equal to the stored state, down to the bronze versions behind it, needs nothing:
    that is what makes redelivered events harmless. A repair does not rely on it.
    """
    differs = pl.lit(is_repair) | pl.col("@was_state").ne_missing(pl.col(STATE_HASH))
    stored = _lay_out(states, outcomes.frame[ENTITY])
    changed = (
        outcomes.frame.join(stored, on=ENTITY, how="left", maintain_order="left")
        .filter(differs)
        .with_columns(
            pl.col(WAS).fill_null(Status.RETIRED.value), pl.col("@was_version").fill_null(0)
        )
    )
    is_live, was_live = pl.col(STATUS) == Status.LIVE, pl.col(WAS) == Status.LIVE
    is_other = pl.col("@was_content").ne_missing(pl.col(CONTENT_HASH))
    is_visible = pl.when(is_live).then(~was_live | is_other).otherwise(was_live)
    frame = changed.with_columns(
        is_visible.alias(IS_VISIBLE),
        (pl.col("@was_version") + is_visible.cast(pl.Int32)).alias(VERSION),
        (is_live & pl.col("@was_quality").ne_missing(_quality(outcomes.entity))).alias(
            IS_NEW_QUALITY
        ),
    )
    return Changes(frame, outcomes.children, len(outcomes) - frame.height)


def _lay_out(states: Mapping[str, State], entity_ids: pl.Series) -> pl.DataFrame:
    ids = [entity_id for entity_id in entity_ids if entity_id in states]
    found = [states[entity_id] for entity_id in ids]
    columns = (
        ids,
        [state.status.value for state in found],
        [state.version for state in found],
        [state.content_hash for state in found],
        [state.state_hash for state in found],
        [_quality_of(state) for state in found],
    )
    schema = {ENTITY: pl.String(), **_STATE}
    return pl.DataFrame(dict(zip(schema, columns, strict=True)), schema=schema)


def _quality_of(state: State) -> str | None:
    if state.quality is None:
        return None
    score, flags, ruleset_version = state.quality
    return f"{score} {','.join(flags)} {ruleset_version}"


def _quality(entity: Entity) -> pl.Expr:
    """Return the quality of outcomes in the form in which `_quality_of` has that of a state."""
    rules = pl.lit(str(entity.config.ruleset_version))
    return pl.concat_str(SCORE, pl.col(FLAGS).list.join(","), rules, separator=" ")
