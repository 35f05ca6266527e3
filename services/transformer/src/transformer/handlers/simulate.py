"""What other rules would make of the same bronze; writes nothing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chassis.db import Connection
from contracts.runs import RunCounts
from transformer.domain.chunks import ChunkLimits, cut
from transformer.domain.entity import Entity
from transformer.domain.records import Merged, Outcome
from transformer.handlers.identify import Identify
from transformer.ports import BronzeReader, Merger


@dataclass(frozen=True, slots=True)
class Difference:
    """A record that would be another."""

    entity_id: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    """The values that differ; no value at all stands for a record that is not in silver."""

    def as_json(self) -> dict[str, Any]:
        """Return it in words that JSON has."""
        return {
            "entity_id": self.entity_id,
            "before": {name: _plain(value) for name, value in self.before.items()},
            "after": {name: _plain(value) for name, value in self.after.items()},
        }


@dataclass(slots=True)
class Comparison:
    """What other rules would change."""

    processed: int = 0
    differences: list[Difference] = field(default_factory=list)

    def counts(self) -> RunCounts:
        """Return it as a run reports it."""
        changed = len(self.differences)
        return RunCounts(
            processed=self.processed, changed=changed, unchanged=self.processed - changed
        )


class Simulate:
    """Merges the same heads by two sets of rules."""

    def __init__(
        self, bronze: BronzeReader, *, identify: Identify, merger: Merger, limits: ChunkLimits
    ) -> None:
        self._bronze = bronze
        self._identify = identify
        self._merger = merger
        self._limits = limits

    async def compare(
        self,
        connection: Connection,
        present: Entity,
        other: Entity,
        *,
        entity_ids: Sequence[str],
        once: bool = False,
    ) -> Comparison:
        """Compare what present and other rules make of entities, as bronze is now.

        `once` leaves out entities that a page of lower ids has compared.
        """
        found = Comparison()
        plan = await self._identify.preview(connection, present, entity_ids, once=once)
        sizes = await self._bronze.sizes(connection, present.entity_type, plan.records_of(plan.ids))
        for chunk in cut(plan.ids, plan.sum_by_entity(sizes), self._limits):
            records = plan.records_of(chunk)
            heads = plan.assign(await self._bronze.heads(connection, present.entity_type, records))
            before = await self._merger.merge(present, chunk, heads)
            after = await self._merger.merge(other, chunk, heads)
            found.processed += len(chunk)
            found.differences.extend(_differences(present, before, after))
        return found


def _differences(
    entity: Entity, before: Sequence[Outcome], after: Sequence[Outcome]
) -> Iterator[Difference]:
    for old, new in zip(before, after, strict=True):
        left, right = _values(entity, old), _values(entity, new)
        if left != right:
            names = [name for name in left | right if left.get(name) != right.get(name)]
            yield Difference(
                old.entity_id,
                {name: left[name] for name in names if name in left},
                {name: right[name] for name in names if name in right},
            )


def _values(entity: Entity, outcome: Outcome) -> dict[str, Any]:
    if not isinstance(outcome, Merged):
        return {}
    values = dict(zip(entity.columns, outcome.values, strict=True))
    return values | {"data_quality_score": outcome.score, "quality_flags": list(outcome.flags)}


def _plain(value: Any) -> Any:
    return value if isinstance(value, (str, int, float, list)) or value is None else str(value)
