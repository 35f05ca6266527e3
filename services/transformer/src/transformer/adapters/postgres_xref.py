"""Identity in PostgreSQL: the links between records, and the keys that made them."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import asyncpg

from chassis.db import Connection
from transformer.adapters import postgres_xref_sql as sql
from transformer.adapters.postgres_bronze import head_of
from transformer.domain.identity import KeyValue, Link, Record
from transformer.domain.neighbourhood import Known, Resolution
from transformer.domain.records import FirstSeen


class PostgresXref:
    """The tables `meta.entity_xref`, `meta.entity_keys` and `meta.refused_keys`, or their like.

    Args:
        place: Makes a statement about other tables of the same form out of one about these.
    """

    def __init__(self, place: Callable[[str], str] = str) -> None:
        self._place = place

    async def lock(self, connection: Connection, entity_type: str) -> None:
        """Have the identity of a type to oneself until the transaction ends."""
        await connection.execute(self._place(sql.LOCK), entity_type)

    async def records(
        self, connection: Connection, entity_type: str, record_ids: Sequence[str]
    ) -> list[FirstSeen]:
        """Return records with what they say, or last said before they were deleted."""
        rows = await connection.fetch(self._place(sql.RECORDS), entity_type, list(record_ids))
        return [FirstSeen(head_of(row), row["first_raw_id"]) for row in rows]

    async def holders(
        self,
        connection: Connection,
        entity_type: str,
        changed: Mapping[str, Record],
        *,
        limits: Mapping[str, int],
    ) -> dict[KeyValue, list[str]]:
        """Return who else has the old and the new key values of records, up to the limits."""
        keys = sorted({key for record in changed.values() for key in record.keys})
        rows = await connection.fetch(
            self._place(sql.HOLDERS),
            entity_type,
            list(changed),
            *_columns(keys, 2),
            list(limits),
            list(limits.values()),
        )
        found: dict[KeyValue, list[str]] = defaultdict(list)
        for row in rows:
            others = found[row["key"], row["value"]]
            if row["record_id"] is not None:
                others.append(row["record_id"])
        return dict(found)

    async def known(
        self, connection: Connection, entity_type: str, record_ids: Sequence[str]
    ) -> dict[str, Known]:
        """Return all records of the groups to which records belong."""
        rows = await connection.fetch(self._place(sql.KNOWN), entity_type, list(record_ids))
        return {row["record_id"]: _known(row) for row in rows}

    async def members(
        self, connection: Connection, entity_type: str, entity_ids: Sequence[str]
    ) -> dict[str, list[str]]:
        """Return the records of entities; none for an entity that is part of another."""
        found: dict[str, list[str]] = {entity_id: [] for entity_id in entity_ids}
        for row in await connection.fetch(self._place(sql.MEMBERS), entity_type, list(entity_ids)):
            found[row["entity_id"]].append(row["record_id"])
        return found

    async def standing(
        self, connection: Connection, entity_type: str, record_ids: Sequence[str]
    ) -> list[str]:
        """Return the records that silver has as entities, whether they belong to others or not."""
        rows = await connection.fetch(self._place(sql.STANDING), entity_type, list(record_ids))
        return [row["entity_id"] for row in rows]

    async def save(
        self,
        connection: Connection,
        entity_type: str,
        changed: Mapping[str, Record],
        resolution: Resolution,
    ) -> int:
        """Write keys, links and refusals; return how many values are refused for the first time."""
        keys = [(item.record_id, *key) for item in changed.values() for key in sorted(item.keys)]
        columns = _columns(keys, 3)
        await connection.execute(self._place(sql.DELETE_KEYS), entity_type, list(changed), *columns)
        await connection.execute(self._place(sql.INSERT_KEYS), entity_type, *columns)
        links = [
            (
                item.record_id,
                item.entity_id,
                item.group_id,
                item.rule,
                item.linked_to,
                resolution.records[item.record_id].order,
                json.dumps(sorted(resolution.records[item.record_id].exclusive)),
            )
            for item in resolution.moved
        ]
        await connection.execute(self._place(sql.SAVE_LINKS), entity_type, *_columns(links, 7))
        refused = [item.key for item in resolution.refusals]
        settled = sorted(resolution.settled)
        await connection.execute(
            self._place(sql.DELETE_REFUSALS),
            entity_type,
            *_columns(settled, 2),
            *_columns(refused, 2),
        )
        refusals = [
            (*item.key, item.reason.value, json.dumps(item.records)) for item in resolution.refusals
        ]
        rows = await connection.fetch(
            self._place(sql.SAVE_REFUSALS), entity_type, *_columns(refusals, 4)
        )
        return sum(row["is_new"] for row in rows)

    async def point_to_survivors(
        self, connection: Connection, entity_type: str, entity_ids: Sequence[str]
    ) -> None:
        """Note beside entities which other one they are part of now."""
        await connection.execute(self._place(sql.POINT_TO_SURVIVORS), entity_type, list(entity_ids))


def _known(row: asyncpg.Record) -> Known:
    keys = list(zip(row["keys"] or (), row["values"] or (), strict=True))
    commons = row["commons"] or ()
    return Known(
        record=Record(
            record_id=row["record_id"],
            order=row["first_raw_id"],
            keys=frozenset(keys),
            exclusive=frozenset((name, value) for name, value in row["exclusive"]),
        ),
        link=Link(
            record_id=row["record_id"],
            entity_id=row["entity_id"],
            group_id=row["group_id"],
            rule=row["rule"],
            linked_to=row["linked_to"],
        ),
        common=frozenset(key for key, is_common in zip(keys, commons, strict=True) if is_common),
    )


def _columns(rows: Sequence[Sequence[object]], width: int) -> list[list[object]]:
    """Turn rows into the arrays that `unnest` takes."""
    return [[row[index] for row in rows] for index in range(width)]
