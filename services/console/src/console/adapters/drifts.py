"""The inbox of schema changes, in PostgreSQL."""

import uuid
from typing import Any

from chassis.db import Database
from console.domain.paging import PAGE_SIZE, Page, decode_moment, id_range, page_of
from console.ports.drifts import (
    COUNTED,
    DriftDetail,
    DriftFilter,
    DriftLine,
)

_CHANGES = 500

_LINE = f"""
id, service, dataset, kind, status,
jsonb_path_query_array(changes, '$[0 to {_CHANGES - 1}]') as changes,
jsonb_path_query_array(affected, '$[0 to {_CHANGES - 1}]') as affected,
detected_at, decided_at, decided_by, run_id, reason, (
    select count(*) from (
        select from meta.dead_letters l
        where l.drift_id = d.id and l.status = 'open' limit {COUNTED + 1}) few) as held_letters
"""  # noqa: S608 - a constant of this module

_LIST = f"""
select {_LINE} from meta.drifts d
where ($1::text is null or status = $1) and ($2 = '' or service = $2)
  and ($3 = '' or strpos(lower(dataset), lower($3)) > 0)
  and ($4::uuid is null or id between $4 and $5::uuid)
  and ($6::timestamptz is null or (detected_at, id) < ($6, $7::uuid))
order by detected_at desc, id desc limit $8
"""  # noqa: S608 - the parts are constants of this module

_FIND = f"""
select {_LINE}, old, new
from meta.drifts d where id = $1
"""  # noqa: S608 - as above

_SAMPLE = "select sample from meta.drifts where id = $1"


class PostgresDrifts:
    """Changes of schemas."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, wanted: DriftFilter) -> Page[DriftLine]:
        """Return changes, the newest first."""
        place = decode_moment(wanted.cursor) or (None, None)
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                _LIST,
                wanted.status,
                wanted.service,
                wanted.dataset,
                *id_range(wanted.id),
                *place,
                PAGE_SIZE + 1,
            )
        return page_of([_line(row) for row in rows], lambda drift: (drift.detected_at, drift.id))

    async def waiting(self) -> int:
        """Return how many wait for a decision."""
        async with self._database.connection() as connection:
            found: int = await connection.fetchval(
                "select count(*) from meta.drifts where status = 'waiting'"
            )
        return found

    async def find(self, drift_id: uuid.UUID) -> DriftDetail | None:
        """Return a change."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_FIND, drift_id)
        if row is None:
            return None
        return DriftDetail(line=_line(row), old=row["old"], new=row["new"])

    async def sample(self, drift_id: uuid.UUID) -> Any:
        """Return the record that showed it; None where none was kept."""
        async with self._database.connection() as connection:
            return await connection.fetchval(_SAMPLE, drift_id)


def _line(row: Any) -> DriftLine:
    return DriftLine(**{name: row[name] for name in DriftLine.__slots__})
