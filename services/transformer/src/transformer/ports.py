"""What the transformation asks of the outside; adapters provide it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from chassis.db import Connection
from transformer.domain.changes import Changes, State
from transformer.domain.entity import Entity
from transformer.domain.identity import KeyValue, Record
from transformer.domain.identity_keys import Keys
from transformer.domain.neighbourhood import Known, Resolution
from transformer.domain.outcomes import Outcomes
from transformer.domain.records import FirstSeen, Head, Outcome
from transformer.domain.references import Use
from transformer.domain.shadow import Compared, Shadow, Slice


class BronzeReader(Protocol):
    """Reads what bronze knows; never writes."""

    async def heads(
        self, connection: Connection, entity_type: str, entity_ids: Sequence[str]
    ) -> list[Head]:
        """Return the heads of entities, tombstones included, as of now, in one statement."""
        ...

    async def heads_within(
        self, connection: Connection, entity_type: str, entity_ids: Sequence[str], *, limit: int
    ) -> list[Head] | None:
        """Return the same if the records have no more bytes than that, about; else None."""
        ...

    async def sizes(
        self, connection: Connection, entity_type: str, entity_ids: Sequence[str]
    ) -> dict[str, int]:
        """Return how many bytes the records behind each entity have, about."""
        ...

    async def page(
        self,
        connection: Connection,
        entity_type: str,
        *,
        after: str,
        limit: int,
        changed_since: datetime | None = None,
    ) -> list[str]:
        """Return the next `limit` entity ids behind `after`, in order; empty is before all.

        With `changed_since` only those of which bronze stored a version at that time or later.
        """
        ...

    async def count(
        self, connection: Connection, entity_type: str, *, changed_since: datetime | None = None
    ) -> int:
        """Return how many entities `page` will give."""
        ...


class LinkStore(Protocol):
    """Keeps which records are one entity; every call is set-wise, in the caller's transaction."""

    async def lock(self, connection: Connection, entity_type: str) -> None:
        """Have the identity of a type to oneself until the transaction ends."""
        ...

    async def records(
        self, connection: Connection, entity_type: str, record_ids: Sequence[str]
    ) -> list[FirstSeen]:
        """Return records with what they say, or last said before they were deleted."""
        ...

    async def holders(
        self,
        connection: Connection,
        entity_type: str,
        changed: Mapping[str, Record],
        *,
        limits: Mapping[str, int],
    ) -> dict[KeyValue, list[str]]:
        """Return who else has the stored and the new key values of records.

        One more than the limit at the most, the first ones by id.
        """
        ...

    async def known(
        self, connection: Connection, entity_type: str, record_ids: Sequence[str]
    ) -> dict[str, Known]:
        """Return all records of the groups to which records belong."""
        ...

    async def members(
        self, connection: Connection, entity_type: str, entity_ids: Sequence[str]
    ) -> dict[str, list[str]]:
        """Return the records of entities; none for an entity that is part of another."""
        ...

    async def standing(
        self, connection: Connection, entity_type: str, record_ids: Sequence[str]
    ) -> list[str]:
        """Return the records that silver has as entities, whether they belong to others or not."""
        ...

    async def save(
        self,
        connection: Connection,
        entity_type: str,
        changed: Mapping[str, Record],
        resolution: Resolution,
    ) -> int:
        """Write keys, links and refusals; return how many values are refused for the first time."""
        ...

    async def point_to_survivors(
        self, connection: Connection, entity_type: str, entity_ids: Sequence[str]
    ) -> None:
        """Note beside entities which other one they are part of now."""
        ...


class ReferenceStore(Protocol):
    """Keeps which entities refer to which values of other silver tables."""

    async def hold(self, connection: Connection, entity_type: str) -> None:
        """Keep the values of a type from coming and going until the transaction ends."""
        ...

    async def own(self, connection: Connection, entity_type: str) -> None:
        """Wait for all who hold the values of a type, and keep others away until the end."""
        ...

    async def missing(
        self, connection: Connection, entity: Entity, uses: Sequence[Use]
    ) -> set[tuple[str, str]]:
        """Return the references (by name) and values that the tables do not have."""
        ...

    async def save(
        self,
        connection: Connection,
        entity: Entity,
        entity_ids: Sequence[str],
        *,
        uses: Sequence[Use],
    ) -> None:
        """Write down to what entities refer, and nothing else of theirs."""
        ...

    async def values(
        self,
        connection: Connection,
        entity: Entity,
        entity_ids: Sequence[str],
        *,
        columns: Iterable[str],
    ) -> set[tuple[str, str]]:
        """Return columns and values that stand in the table for entities."""
        ...

    async def users_of(
        self, connection: Connection, entity_type: str, values: Iterable[tuple[str, str]]
    ) -> dict[str, list[str]]:
        """Return the entities that refer to values, by type."""
        ...


class RunHistory(Protocol):
    """Remembers the runs of before."""

    async def last_complete(self, connection: Connection, entity_type: str) -> datetime | None:
        """Return when the latest began of the runs that brought a whole type up to date."""
        ...


class SilverStore(Protocol):
    """Keeps silver; every call is set-wise and runs in the caller's transaction."""

    async def lock(
        self, connection: Connection, entity: Entity, entity_ids: Sequence[str]
    ) -> dict[str, State]:
        """Lock entities until the transaction ends, and return what is stored about them.

        Whoever holds the lock and then reads bronze sees every version that earlier holders saw.
        Locks are taken in order, so that transactions cannot block each other in a circle.
        """
        ...

    async def states(
        self, connection: Connection, entity: Entity, entity_ids: Sequence[str]
    ) -> dict[str, State]:
        """Return what is stored about entities, without locking; unknown ones are left out."""
        ...

    async def apply(
        self,
        connection: Connection,
        entity: Entity,
        changes: Changes,
        *,
        run_id: str | None = None,
    ) -> None:
        """Write changes; readers see all of them at the commit.

        Rejected records are listed in `meta.record_errors`, under the run where there is one.
        """
        ...


class Merger(Protocol):
    """Runs the domain's computations where they do not block the event loop."""

    async def merge(
        self, entity: Entity, entity_ids: Sequence[str], heads: Sequence[Head]
    ) -> Outcomes:
        """Run `transformer.domain.merge.merge`: one outcome per entity, in sorted order."""
        ...

    async def keys(self, entity: Entity, heads: Sequence[Head]) -> dict[str, Keys]:
        """Run `transformer.domain.identity_keys.keys_of`."""
        ...


class ShadowStore(Protocol):
    """Keeps shadows of silver, one per entity type; set-wise, in the caller's transaction."""

    async def find(self, connection: Connection, entity_type: str) -> Shadow | None:
        """Lock and return the shadow of a type; None where there is none, or an expired one."""
        ...

    async def begin(
        self,
        connection: Connection,
        entity: Entity,
        part: Slice,
        *,
        run_id: str,
        requester: str,
    ) -> None:
        """Forget what is there and begin a shadow by these rules.

        Raises:
            SilverSchemaError: the tables do not fit the rules.
        """
        ...

    async def take_page(
        self, connection: Connection, entity_type: str, part: Slice, *, after: str, limit: int
    ) -> list[str]:
        """Remember the heads of bronze's next entities behind `after`; return their ids."""
        ...

    async def take(
        self, connection: Connection, entity_type: str, part: Slice, record_ids: Sequence[str]
    ) -> None:
        """Remember the heads of these of bronze's entities, unless they are remembered."""
        ...

    async def note(
        self, connection: Connection, entity_type: str, entity_ids: Sequence[str]
    ) -> None:
        """Note entities that the shadow is about."""
        ...

    async def note_stale(
        self, connection: Connection, entity_type: str, entity_ids: Sequence[str]
    ) -> None:
        """Note entities that promotion must write."""
        ...

    async def note_strangers(self, connection: Connection, entity: Entity) -> None:
        """Note what stands in silver and is not noted yet."""
        ...

    async def entities(
        self,
        connection: Connection,
        entity_type: str,
        *,
        after: str,
        limit: int,
        only_stale: bool = False,
    ) -> list[str]:
        """Return the next noted entities behind `after`, in order."""
        ...

    async def count(self, connection: Connection, entity_type: str) -> int:
        """Return how many entities are noted."""
        ...

    async def save(
        self, connection: Connection, entity: Entity, outcomes: Iterable[Outcome]
    ) -> None:
        """Write what the rules make of noted entities."""
        ...

    async def compare(
        self, connection: Connection, entity: Entity, entity_ids: Sequence[str]
    ) -> Compared:
        """Judge how entities differ from silver as it is now."""
        ...

    async def finish(
        self, connection: Connection, entity: Entity, *, examples: int
    ) -> dict[str, Any]:
        """Declare the shadow ready, and tell how silver differs, in words that JSON has."""
        ...

    async def forget(self, connection: Connection, entity: Entity) -> None:
        """Remove everything about the shadow of a type."""
        ...


class PromotionStore(Protocol):
    """What the promotion of a shadow asks beside what every transformation does."""

    async def moved(self, connection: Connection, entity_type: str) -> list[str]:
        """Return the differing entities of which bronze has stored more since."""
        ...

    async def records_of(
        self, connection: Connection, entity_type: str, entity_ids: Sequence[str]
    ) -> list[str]:
        """Return the records of entities, by the links of the shadow and by those of silver."""
        ...

    async def lock(self, connection: Connection, entity_type: str) -> None:
        """Lock all that must be written, in order, until the transaction ends."""
        ...

    async def forget_refusals(
        self, connection: Connection, entity_type: str, keys: Collection[str]
    ) -> None:
        """Forget what other keys than these refused to link: rules that are gone."""
        ...

    async def survivors(
        self, connection: Connection, entity_type: str, entity_ids: Sequence[str]
    ) -> dict[str, str]:
        """Return of which other entities these are part now."""
        ...

    async def newest(self, connection: Connection, entity_type: str) -> datetime | None:
        """Return when bronze stored the newest record of the shadow."""
        ...

    async def broken(self, connection: Connection, entity_type: str) -> list[str]:
        """Return the differing entities that are not what the shadow says."""
        ...

    async def audit(
        self,
        connection: Connection,
        entity_type: str,
        *,
        actor: str,
        action: str,
        details: Mapping[str, Any],
    ) -> None:
        """Write down who decided about a shadow."""
        ...


class HeadReader(Protocol):
    """Reads the heads of bronze, or those that somebody has remembered."""

    async def heads(
        self, connection: Connection, entity_type: str, entity_ids: Sequence[str]
    ) -> list[Head]:
        """Return the heads of entities, tombstones included."""
        ...

    async def sizes(
        self, connection: Connection, entity_type: str, entity_ids: Sequence[str]
    ) -> dict[str, int]:
        """Return how many bytes the records behind each entity have, about."""
        ...


class RulesReader(Protocol):
    """Reads the rules as they stand in the configuration now, loaded or not."""

    async def read(self) -> Mapping[str, Entity]:
        """Return the rules by entity type.

        Raises:
            RuleError: a rule cannot be used; names the file and the field.
        """
        ...
