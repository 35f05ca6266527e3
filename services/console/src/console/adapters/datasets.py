"""The mirror of WRDS, as its tables in PostgreSQL tell it."""

from collections.abc import Sequence
from typing import Any

from chassis.db import Connection, Database
from console.adapters.run_lines import COLUMNS, recent_runs, run_line
from console.domain.paging import PAGE_SIZE, Page, decode_cursor, page_of
from console.ports.datasets import (
    DatasetDetail,
    DatasetLine,
    Restatement,
    Vintage,
    VintageFilter,
    Volume,
    WriterLease,
)

_SERVICE, _KIND = "wrds_sync", "wrds-sync"
_DATASETS = 1000
_RUNS = 50
_RESTATEMENTS = 20
_YEARS = 60

_LIST = """
select s.dataset, s.vendor, s.frequency, s.source_table, s.vintage, s.is_complete, s.synced_at,
    s.rows, s.size_bytes, jsonb_array_length(s.partitions) as partition_count, s.source_modified,
    s.progress, s.lock, s.problem, s.observed_at,
    (select max(t.found_at) from wrds_sync.restatements t where t.dataset = s.dataset)
        as restated_at
from wrds_sync.states s
where $1::text is null or s.dataset = $1
order by s.vendor, s.dataset limit $2
"""

_NEWEST_RUNS = f"""
select {COLUMNS} from unnest($1::text[]) as t (name) cross join lateral (
    select * from meta.runs r
    where r.service = 'wrds_sync' and r.kind = 'wrds-sync' and r.target = t.name
    order by r.queued_at desc limit 1) r
"""  # noqa: S608 - the parts are constants of this module

_RESTATED = f"""
select vintage, previous, found_at, rows_added, rows_removed, rows_changed,
    jsonb_path_query_array(report, '$.partitions[0 to {_YEARS - 1}]') as partitions
from wrds_sync.restatements where dataset = $1 order by vintage desc limit {_RESTATEMENTS}
"""  # noqa: S608 - as above

_VINTAGES = """
select v.vintage, v.previous, v.written_at, v.synced_at, v.rows, v.size_bytes, v.partitions,
    v.source_modified, coalesce(v.vintage = any(s.kept), false) as is_kept,
    t.rows_added, t.rows_removed, t.rows_changed
from wrds_sync.vintages v
left join wrds_sync.states s on s.dataset = v.dataset
left join wrds_sync.restatements t on t.dataset = v.dataset and t.vintage = v.vintage
where v.dataset = $1 and ($2::text is null or v.vintage < $2)
order by v.vintage desc limit $3
"""

_LEASE = """
select holder, token, acquired_at, expires_at from meta.leases
where name = 'wrds_sync/' || $1 and expires_at > clock_timestamp()
"""

_VOLUMES = "select name, total_bytes, free_bytes, level, observed_at from wrds_sync.volumes"


class PostgresDatasets:
    """Data sets, vintages, restatements and disks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self) -> Sequence[DatasetLine]:
        """Return every data set of the configuration, by vendor and name."""
        async with self._database.connection() as connection:
            return await _lines(connection, None)

    async def volumes(self) -> Sequence[Volume]:
        """Return the disks."""
        async with self._database.connection() as connection:
            return [Volume(**row) for row in await connection.fetch(_VOLUMES)]

    async def find(self, dataset: str) -> DatasetDetail | None:
        """Return a data set."""
        async with self._database.connection() as connection:
            lines = await _lines(connection, dataset)
            if not lines:
                return None
            lease = await connection.fetchrow(_LEASE, dataset)
            return DatasetDetail(
                line=lines[0],
                partitions=await connection.fetchval(
                    "select partitions from wrds_sync.states where dataset = $1", dataset
                ),
                restatements=[
                    Restatement(**row) for row in await connection.fetch(_RESTATED, dataset)
                ],
                runs=await recent_runs(
                    connection,
                    _SERVICE,
                    [_KIND],
                    targets=[dataset, lines[0].vendor, "all"],
                    limit=_RUNS,
                ),
                lease=WriterLease(**lease) if lease else None,
            )

    async def vintages(self, dataset: str, wanted: VintageFilter) -> Page[Vintage]:
        """Return what was published, the newest first."""
        place = decode_cursor(wanted.cursor, parts=1)
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                _VINTAGES, dataset, place[0] if place else None, PAGE_SIZE + 1
            )
        return page_of([Vintage(**row) for row in rows], lambda item: (item.vintage,))


async def _lines(connection: Connection, dataset: str | None) -> list[DatasetLine]:
    rows = await connection.fetch(_LIST, dataset, _DATASETS)
    names = {row["dataset"] for row in rows} | {row["vendor"] for row in rows} | {"all"}
    runs = {
        row["target"]: run_line(row) for row in await connection.fetch(_NEWEST_RUNS, sorted(names))
    }

    def newest(row: Any) -> Any:
        mine = (runs.get(name) for name in (row["dataset"], row["vendor"], "all"))
        return max((run for run in mine if run), key=lambda run: run.queued_at, default=None)

    return [DatasetLine(**row, run=newest(row)) for row in rows]
