"""What was seen of tables, and rows that were fetched to be looked at, in our own database."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from chassis.db import Connection
from refresher.domain.observations import TableObservation
from refresher.domain.previews import Preview

_REGISTER = """
insert into refresher.table_states (table_key, position, settings) values ($1, $2, $3)
on conflict (table_key) do update
    set position = excluded.position, settings = excluded.settings
    where (table_states.position, table_states.settings)
        is distinct from (excluded.position, excluded.settings)
"""
_OBSERVE = """
update refresher.table_states
set source_rows = $2, source_is_estimate = $3, source_bytes = $4, source_hash = $5,
    target_rows = $6, target_is_estimate = $7, target_bytes = $8, target_hash = $9,
    drift = $10, problem = $11, observed_at = clock_timestamp()
where table_key = $1
"""
_FAIL = "update refresher.table_states set problem = $2 where table_key = any($1::text[])"
_KEEP = """
insert into refresher.previews (run_id, table_key, side, requester, columns, rows, expires_at)
values ($1::uuid, $2, $3, $4, $5, $6, clock_timestamp() + $7)
on conflict (run_id) do nothing
"""


class PostgresObservations:
    """The tables `refresher.table_states` and `refresher.previews`."""

    async def register(
        self, connection: Connection, tables: Sequence[tuple[str, Mapping[str, Any]]]
    ) -> None:
        """Say which tables there are, in their order; others are forgotten."""
        await connection.execute(
            "delete from refresher.table_states where not table_key = any($1::text[])",
            [key for key, _ in tables],
        )
        await connection.executemany(
            _REGISTER,
            [(key, position, dict(facts)) for position, (key, facts) in enumerate(tables)],
        )

    async def observe(self, connection: Connection, seen: Sequence[TableObservation]) -> None:
        """Remember what was seen."""
        await connection.executemany(
            _OBSERVE,
            [
                (
                    item.key,
                    item.source.rows,
                    item.source.is_estimate,
                    item.source.bytes,
                    item.source.columns_hash,
                    item.target.rows,
                    item.target.is_estimate,
                    item.target.bytes,
                    item.target.columns_hash,
                    list(item.drift),
                    item.problem,
                )
                for item in seen
            ],
        )

    async def fail(self, connection: Connection, keys: Collection[str], problem: str) -> None:
        """Say that tables could not be looked at; what was seen before stays."""
        await connection.execute(_FAIL, list(keys), problem)

    async def keep(
        self,
        connection: Connection,
        run_id: str,
        preview: Preview,
        *,
        of: tuple[str, str],
        requester: str,
        lasting: timedelta,
    ) -> None:
        """Keep rows for somebody to look at; `of` is the table's key and the side."""
        columns = [
            {"name": item.name, "type": item.type, "mask": item.mask_class}
            for item in preview.columns
        ]
        await connection.execute(
            _KEEP,
            run_id,
            *of,
            requester,
            columns,
            [list(row) for row in preview.rows],
            lasting,
        )

    async def purge(self, connection: Connection) -> None:
        """Delete rows whose time is over."""
        await connection.execute(
            "delete from refresher.previews where expires_at < clock_timestamp()"
        )
