"""References between silver tables (S2-27): a record that names what is not there is left out."""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import polars as pl

from transformer.domain.changes import Changes
from transformer.domain.entity import Entity
from transformer.domain.frames import ENTITY
from transformer.domain.identity_rules import Reference
from transformer.domain.outcomes import (
    BRONZE_AT,
    BRONZE_VERSIONS,
    STATUS,
    Outcomes,
    lay_out,
    no_records,
)
from transformer.domain.records import Status
from transformer.errors import RuleError


@dataclass(frozen=True, slots=True)
class Use:
    """An entity's need of a value in another table."""

    entity_id: str
    reference: Reference
    value: str

    @property
    def need(self) -> tuple[str, str]:
        """The reference's name and the value."""
        return self.reference.name, self.value


def check_references(entity: Entity, entities: Mapping[str, Entity]) -> None:
    """Prove that the tables and columns to which an entity refers are described.

    Raises:
        RuleError: names the reference that cannot be followed.
    """
    for item in entity.config.references:
        place = f"`{entity.entity_type}`: references.{item.name}"
        target = entities.get(item.entity_type)
        if target is None:
            raise RuleError(
                f"{place}.entity_type: `{item.entity_type}` has no rules; "
                f"known: {', '.join(sorted(entities))}"
            )
        if item.column not in target.columns:
            raise RuleError(
                f"{place}.column: `{item.column}` is no column of `{target.config.table}`"
            )


def in_order(entities: Mapping[str, Entity]) -> list[str]:
    """Return the entity types, those that others refer to first; else, and in circles, by name."""
    ordered: dict[str, None] = {}

    def visit(entity_type: str, path: frozenset[str]) -> None:
        if entity_type in ordered or entity_type in path or entity_type not in entities:
            return
        references = entities[entity_type].config.references
        for target in sorted({item.entity_type for item in references}):
            visit(target, path | {entity_type})
        ordered[entity_type] = None

    for entity_type in sorted(entities):
        visit(entity_type, frozenset())
    return list(ordered)


def uses_of(entity: Entity, outcomes: Outcomes) -> list[Use]:
    """Return what merged records refer to."""
    live = outcomes.frame.filter(pl.col(STATUS) == Status.LIVE)
    return [
        Use(entity_id, reference, str(value))
        for reference in entity.config.references
        for entity_id, value in live.select(ENTITY, reference.field).drop_nulls().iter_rows()
    ]


def reject_dangling(
    entity: Entity,
    outcomes: Outcomes,
    uses: Iterable[Use],
    *,
    missing: AbstractSet[tuple[str, str]],
) -> Outcomes:
    """Turn records that refer to missing values into rejected ones."""
    reasons: dict[str, tuple[str, ...]] = {}
    for use in uses:
        if use.need in missing:
            reason = f"{use.reference.name}: {use.reference.message}: {use.value}"
            reasons[use.entity_id] = (*reasons.get(use.entity_id, ()), reason)
    if not reasons:
        return outcomes
    is_dangling = pl.col(ENTITY).is_in(list(reasons))
    bases = outcomes.frame.filter(is_dangling).select(ENTITY, BRONZE_AT, BRONZE_VERSIONS)
    rejected = lay_out(entity, bases, no_records(entity), rejected=reasons)
    frame = pl.concat([outcomes.frame.filter(~is_dangling), rejected]).sort(ENTITY)
    return Outcomes(entity, frame, outcomes.children)


def values_after(changes: Changes, columns: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield columns and values of the records that changes leave in the table."""
    for column in columns:
        for value in changes.upserted[column].drop_nulls():
            yield column, str(value)
