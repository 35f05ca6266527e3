"""`bronze.stored` → silver: every entity that a batch names is recomputed once."""

from collections.abc import Mapping
from typing import Any

from chassis.bus.delivery import Batch
from chassis.logs import get_logger
from contracts.envelope import Event
from contracts.layers import BronzeOperation, BronzeStored
from transformer import metrics
from transformer.domain.entity import Entity
from transformer.domain.references import in_order
from transformer.handlers.recompute import Recompute


class TransformBatch:
    """Applies a batch of `bronze.stored`.

    Events are hints: what is written comes from the bronze heads as they are now. So repeated,
    late and reordered events change nothing, and many events of one entity cost one merge.
    """

    def __init__(self, entities: Mapping[str, Entity], recompute: Recompute) -> None:
        self._entities = entities
        self._order = in_order(entities)
        self._recompute = recompute

    async def __call__(self, batch: Batch[BronzeStored]) -> None:
        """Recompute what the batch names, in one transaction."""
        causes = self._group(batch)
        tallies = {}
        async with batch.transaction() as transaction:
            # One order for all batches, so that their locks cannot block each other in a circle;
            # what others refer to comes first, because then nobody has to be looked at twice.
            for entity_type in (item for item in self._order if item in causes):
                tallies[entity_type] = await self._recompute.apply(
                    transaction,
                    self._entities[entity_type],
                    causes[entity_type],
                    causes=causes[entity_type],
                )
        for entity_type, tally in tallies.items():
            tally.publish(entity_type)

    def _group(self, batch: Batch[BronzeStored]) -> dict[str, dict[str, Event[Any]]]:
        """Return the last event of every entity, by type; types without rules are passed over."""
        causes: dict[str, dict[str, Event[Any]]] = {}
        for delivery in batch.accepted:
            data = delivery.data
            if data.operation is BronzeOperation.UNCHANGED:
                continue
            if data.entity_type not in self._entities:
                metrics.IGNORED.inc()
                get_logger().debug("entity_type_without_rules", entity_type=data.entity_type)
                continue
            causes.setdefault(data.entity_type, {})[data.entity_id] = delivery.event
        return causes
