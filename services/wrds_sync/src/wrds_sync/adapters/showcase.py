"""Where the mirror stands, in PostgreSQL."""

from collections.abc import Sequence
from typing import Any

from chassis.db import Database
from wrds_sync.domain.disk import DiskSpaceStatus
from wrds_sync.domain.states import DatasetState

_SHOW = """
insert into wrds_sync.states
    (dataset, vendor, frequency, source_table, vintage, is_complete, synced_at, rows, size_bytes,
     source_modified, partitions, kept, progress, lock, problem)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
on conflict (dataset) do update set
    vendor = excluded.vendor, frequency = excluded.frequency,
    source_table = excluded.source_table, vintage = excluded.vintage,
    is_complete = excluded.is_complete, synced_at = excluded.synced_at, rows = excluded.rows,
    size_bytes = excluded.size_bytes, source_modified = excluded.source_modified,
    partitions = excluded.partitions, kept = excluded.kept, progress = excluded.progress,
    lock = excluded.lock, problem = excluded.problem, observed_at = clock_timestamp()
"""

_MEASURE = """
insert into wrds_sync.volumes (name, total_bytes, free_bytes, level) values ('mirror', $1, $2, $3)
on conflict (name) do update set
    total_bytes = excluded.total_bytes, free_bytes = excluded.free_bytes, level = excluded.level,
    observed_at = clock_timestamp()
"""


class PostgresShowcase:
    """The tables `wrds_sync.states` and `wrds_sync.volumes`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def show(self, states: Sequence[DatasetState], disk: DiskSpaceStatus) -> None:
        """Write what was seen; data sets that are configured no more are forgotten."""
        usage = disk.usage
        async with self._database.transaction() as transaction:
            connection = transaction.connection
            await connection.execute(
                "delete from wrds_sync.states where not dataset = any($1::text[])",
                [state.dataset.name for state in states],
            )
            await connection.executemany(_SHOW, [_row(state) for state in states])
            await connection.execute(
                _MEASURE, usage.total_bytes, usage.free_bytes, disk.level.value
            )


def _row(state: DatasetState) -> tuple[Any, ...]:
    dataset, manifest = state.dataset, state.manifest
    return (
        dataset.name,
        dataset.vendor,
        dataset.frequency,
        str(dataset.selection.table),
        manifest.vintage if manifest else None,
        manifest.is_complete if manifest else None,
        manifest.synced_at if manifest else None,
        manifest.rows if manifest else None,
        manifest.size_bytes if manifest else None,
        manifest.source_modified if manifest else None,
        state.partitions,
        list(state.kept),
        state.told_progress,
        state.lock,
        state.problem,
    )
