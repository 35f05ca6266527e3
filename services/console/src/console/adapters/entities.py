"""Silver records and their origins.

`silver.entities` says which tables there are; no name that a client sent becomes part of a
statement.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from chassis.db import Connection, Database
from console.adapters.entities_sql import (
    BRONZE,
    BY_ID,
    CHAIN,
    HEAD,
    HISTORY,
    KINDS,
    QUALITY,
    SEARCH,
    VALUES,
)
from console.domain.paging import PAGE_SIZE, Page, decode_cursor, encode_cursor, page_of
from console.domain.values import shown
from console.ports.entities import (
    RAW_CHARACTERS,
    VALUE_CHARACTERS,
    BronzePlace,
    BronzeVersion,
    EntityKind,
    FieldValue,
    LineageStep,
    Loser,
    RecordDetail,
    RecordFilter,
    RecordLine,
    Version,
    VersionFilter,
)

_LINEAGE = 200
_POINTS = 300
_STATES = 20
_NAME_CHARACTERS = 100
_UNTOLD = frozenset(
    {
        "entity_id",
        "version",
        "content_hash",
        "ruleset_version",
        "updated_at",
        "operation",
        "valid_from",
        "valid_to",
        "known_from",
    }
)
"""Columns of a history that say nothing about the record itself."""


class PostgresEntities:
    """Records, their values, histories and origins."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def kinds(self) -> Sequence[EntityKind]:
        """Return every kind, by table."""
        async with self._database.connection() as connection:
            return [EntityKind(**row) for row in await connection.fetch(KINDS, None)]

    async def kind(self, table: str) -> EntityKind | None:
        """Return a kind by its table."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(KINDS, table)
        return EntityKind(**row) if row else None

    async def list(self, kind: EntityKind, wanted: RecordFilter) -> Page[RecordLine]:
        """Return records by id, or those that a search means."""
        async with self._database.connection() as connection:
            if wanted.q:
                rows = await _search(connection, kind, wanted)
            else:
                place = decode_cursor(wanted.cursor, parts=1)
                after = place[0] if place else None
                rows = await connection.fetch(
                    BY_ID, kind.entity_type, wanted.status, after, PAGE_SIZE + 1
                )
            names = await _names(connection, kind, [row["entity_id"] for row in rows])
        items = [RecordLine(**row, names=names.get(row["entity_id"], ())) for row in rows]
        return page_of(items, lambda record: (record.entity_id,))

    async def find(self, kind: EntityKind, entity_id: str) -> RecordDetail | None:
        """Return a record."""
        key = (kind.entity_type, entity_id)
        async with self._database.connection() as connection:
            head = await connection.fetchrow(HEAD, *key)
            if head is None:
                return None
            told = await connection.fetchval(
                f"select to_jsonb(t) from {_table(kind)} t where entity_id = $1",  # noqa: S608
                entity_id,
            )
            chain = [LineageStep(**row) for row in await connection.fetch(CHAIN, *key, _LINEAGE)]
            rows = await connection.fetch(VALUES, *key)
            names = await _names(connection, kind, [entity_id])
            quality = await connection.fetch(QUALITY, *key, _POINTS)
        return RecordDetail(
            kind=kind,
            line=RecordLine(
                **{name: value for name, value in head.items() if name != "rejected_because"},
                names=names.get(entity_id, ()),
            ),
            rejected_because=head["rejected_because"],
            values=_values(rows, told or {}, chain),
            lineage=chain,
            quality=[(row["valid_from"], row["score"]) for row in reversed(quality)],
        )

    async def history(self, kind: EntityKind, wanted: VersionFilter) -> Page[Version]:
        """Return the states of a record, the newest first."""
        place = decode_cursor(wanted.cursor, parts=1)
        before = int(place[0]) if place and place[0].isdecimal() else None
        query = HISTORY.format(table=_table(kind, "_history"))
        async with self._database.connection() as connection:
            rows = await connection.fetch(query, wanted.id, before, _STATES + 1)
        states = [row["state"] for row in rows]
        items = [
            Version(
                **{name: value for name, value in row.items() if name != "state"},
                changes=_changes(states[place + 1] if place + 1 < len(states) else {}, row),
            )
            for place, row in enumerate(rows[:_STATES])
        ]
        return Page(items, encode_cursor(items[-1].version) if len(rows) > _STATES else None)

    async def bronze(self, kind: EntityKind, place: BronzePlace) -> BronzeVersion | None:
        """Return a version of a bronze record."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                BRONZE,
                kind.entity_type,
                place.source_system,
                place.external_id,
                place.version,
                RAW_CHARACTERS + 1,
            )
        if row is None:
            return None
        raw = row["raw"]
        return BronzeVersion(
            **{name: value for name, value in row.items() if name != "raw"},
            raw=raw and raw[:RAW_CHARACTERS],
            is_cut=raw is not None and len(raw) > RAW_CHARACTERS,
        )


async def _search(connection: Connection, kind: EntityKind, wanted: RecordFilter) -> Sequence[Any]:
    by_column = " or ".join(f"lower({_quoted(name)}::text) = lower($2)" for name in kind.find_by)
    query = SEARCH.format(table=_table(kind), by_column=by_column or "false")
    rows: Sequence[Any] = await connection.fetch(
        query, kind.entity_type, wanted.q, wanted.status, PAGE_SIZE
    )
    return rows


async def _names(
    connection: Connection, kind: EntityKind, entity_ids: Sequence[str]
) -> Mapping[str, Sequence[str]]:
    """Return the natural keys of records; those that are not live have none."""
    if not kind.find_by:
        return {}
    columns = ", ".join(f"left({_quoted(name)}::text, {_NAME_CHARACTERS})" for name in kind.find_by)
    rows = await connection.fetch(
        f"select entity_id, array_remove(array[{columns}], null) as names "  # noqa: S608
        f"from {_table(kind)} where entity_id = any($1::text[])",
        entity_ids,
    )
    return {row["entity_id"]: row["names"] for row in rows}


def _table(kind: EntityKind, suffix: str = "") -> str:
    return f"silver.{_quoted(kind.table + suffix)}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _values(
    rows: Sequence[Any], told: Mapping[str, Any], chain: Sequence[LineageStep]
) -> list[FieldValue]:
    ages = {
        (step.source_system, step.external_id): step.source_modified_at or step.stored_at
        for step in chain
    }
    return [
        FieldValue(
            **{name: value for name, value in row.items() if name != "losers"},
            value=told.get(row["field"]),
            as_of=ages.get((row["source_system"], row["external_id"])),
            losers=[_loser(item) for item in row["losers"]],
        )
        for row in rows
    ]


def _loser(item: Mapping[str, Any]) -> Loser:
    return Loser(
        source=str(item.get("source")),
        source_system=item.get("source_system"),
        external_id=str(item.get("external_id")),
        bronze_version=item.get("bronze_version"),
        value=item.get("value"),
    )


def _changes(before: Mapping[str, Any], row: Any) -> list[tuple[str, str | None, str | None]]:
    now = row["state"]
    return [
        (name, shown(before.get(name), VALUE_CHARACTERS), shown(now[name], VALUE_CHARACTERS))
        for name in now
        if name not in _UNTOLD and now[name] != before.get(name)
    ]
