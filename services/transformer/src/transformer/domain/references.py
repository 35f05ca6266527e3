"""References between silver tables (S2-27): a record that names what is not there is left out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from transformer.domain.changes import Changes
from transformer.domain.entity import Entity
from transformer.domain.hashing import hash_state
from transformer.domain.identity_rules import Reference
from transformer.domain.records import Merged, Outcome, Rejected
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


def uses_of(entity: Entity, outcomes: Iterable[Outcome]) -> list[Use]:
    """Return what merged records refer to."""
    places = {item.name: entity.columns.index(item.field) for item in entity.config.references}
    return [
        Use(outcome.entity_id, reference, str(value))
        for outcome in outcomes
        if isinstance(outcome, Merged)
        for reference in entity.config.references
        if (value := outcome.values[places[reference.name]]) is not None
    ]


def reject_dangling(
    entity: Entity,
    outcomes: Sequence[Outcome],
    uses: Iterable[Use],
    *,
    missing: AbstractSet[tuple[str, str]],
) -> list[Outcome]:
    """Turn records that refer to missing values into rejected ones."""
    reasons: dict[str, list[str]] = {}
    for use in uses:
        if use.need in missing:
            reason = f"{use.reference.name}: {use.reference.message}: {use.value}"
            reasons.setdefault(use.entity_id, []).append(reason)
    return [
        _rejected(entity, outcome, tuple(reasons[outcome.entity_id]))
        if outcome.entity_id in reasons
        else outcome
        for outcome in outcomes
    ]


def _rejected(entity: Entity, outcome: Outcome, reasons: tuple[str, ...]) -> Rejected:
    content = "rejected: " + "; ".join(reasons)
    state_hash = hash_state(entity, outcome.basis, content=content)
    return Rejected(outcome.entity_id, outcome.basis, reasons, state_hash)


def values_after(
    entity: Entity, changes: Changes, columns: Iterable[str]
) -> Iterator[tuple[str, str]]:
    """Yield columns and values of the records that changes leave in the table."""
    places = [(column, entity.columns.index(column)) for column in columns]
    for _, record in changes.upserted:
        for column, place in places:
            value = record.values[place]
            if value is not None:
                yield column, str(value)
