"""The archive as the sync sees it: WRDS, which is a PostgreSQL server.

Every call takes one token of the rate limit for each attempt, has a deadline after which the
statement is cancelled at the server, and is repeated when the connection is lost.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TypeVar

import polars as pl
import pyarrow as pa

from chassis.clock import Clock
from chassis.db import Connection
from chassis.logs import get_logger
from chassis.retry import backoff_seconds
from wrds_sync.adapters import parquet_writer
from wrds_sync.adapters.postgres_copy import CopyEngine, Parser
from wrds_sync.adapters.postgres_copy_binary import BinaryParser
from wrds_sync.adapters.postgres_copy_text import BlockParser
from wrds_sync.adapters.rate_limit import TokenBucket
from wrds_sync.adapters.wrds_client_catalog import column_infos, describe, tables
from wrds_sync.adapters.wrds_client_frames import to_frame
from wrds_sync.adapters.wrds_client_pool import ANSWER_SECONDS, ConnectionPool, Sleep
from wrds_sync.domain.columns import (
    hash_method,
    infinite_dates_statement,
    is_worth_binary,
    plan_columns,
    select_statement,
    statistics_statement,
)
from wrds_sync.domain.tables import (
    CatalogEntry,
    CopyResult,
    PartitionRange,
    PartitionStatistics,
    Selection,
    TableInfo,
    TableRef,
)
from wrds_sync.domain.types import ColumnPlan, Wire
from wrds_sync.errors import SourceUnavailableError, UnstorableValueError
from wrds_sync.ports import Credentials, OnRows
from wrds_sync.settings.environment import WRDSConfig

ATTEMPTS = 4
"""The first, and three more after a lost connection."""

_HASH_PATIENCE = 12
"""A statement that hashes all of a table may take so many times the limit of others: an hour."""

_RETRY_BASE_SECONDS = 0.5

T = TypeVar("T")


class WrdsClient:
    """Implements `wrds_sync.ports.Source`."""

    def __init__(
        self,
        config: WRDSConfig,
        credentials: Credentials,
        *,
        clock: Clock,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._config = config
        self._sleep = sleep
        self._pool = ConnectionPool(config, credentials, sleep=sleep)
        self._bucket = TokenBucket(config.rate_limit_queries_per_minute, clock, sleep=sleep)
        self._engine = CopyEngine()

    @property
    def pool_size(self) -> int:
        """Connections open now."""
        return self._pool.size

    async def close(self) -> None:
        """Give back the connections; at most a few seconds."""
        await self._pool.close()
        self._engine.close()

    async def list_tables(self, schemas: Sequence[str]) -> list[CatalogEntry]:
        """Return the tables and views of schemas, with this account's right to read."""
        return await self._query(lambda connection: tables(connection, schemas))

    async def table_info(
        self, table: TableRef, *, types: Mapping[str, str] | None = None
    ) -> TableInfo:
        """Return columns, types, comment and estimates."""
        found = await self._query(lambda connection: describe(connection, table, types=types))
        return found.info

    async def execute_query(self, sql: str, parameters: Sequence[object] = ()) -> pl.DataFrame:
        """Run a read-only statement with `$1`-style parameters and return its rows."""
        return await self._query(lambda connection: to_frame(connection, sql, parameters))

    async def statistics(
        self, selection: Selection, *, with_hash: bool = False, since_year: int | None = None
    ) -> list[PartitionStatistics]:
        """Return row counts by year, ascending, and hashes if asked for."""
        seconds = self._config.query_timeout_seconds * (_HASH_PATIENCE if with_hash else 1)

        async def read(connection: Connection) -> list[PartitionStatistics]:
            described = await describe(connection, selection.table)
            method = hash_method(connection.get_server_version().major) if with_hash else None
            statement = statistics_statement(
                selection,
                plans=plan_columns(selection, described.columns),
                catalog=described.columns,
                hash_method=method,
                since_year=since_year,
            )
            rows = await connection.fetch(statement, timeout=seconds + ANSWER_SECONDS)
            return [
                _statistics(selection, row["year"], row["rows"], _named(method, row["hash"]))
                for row in rows
            ]

        return await self._query(read, seconds=seconds)

    async def copy(
        self,
        selection: Selection,
        partition: PartitionRange,
        *,
        target: Path,
        on_rows: OnRows | None = None,
    ) -> CopyResult:
        """Write one partition to a new Parquet file, in bounded memory, types exact."""

        async def run() -> CopyResult:
            async with self._reading(selection, partition) as read:
                rows = await self._engine.write(
                    read.connection,
                    read.statement,
                    parser=read.parser,
                    target=target,
                    silence_seconds=self._config.query_timeout_seconds,
                    on_rows=on_rows,
                )
            lower, upper, size = await asyncio.to_thread(_look_at, target, selection.date_column)
            return CopyResult(
                rows=rows,
                columns=column_infos(read.plans),
                size_bytes=size,
                lower=lower,
                upper=upper,
            )

        return await self._repeated(run)

    async def stream(
        self, selection: Selection, partition: PartitionRange
    ) -> AsyncGenerator[pa.RecordBatch]:
        """Yield one partition's rows as Arrow batches; not repeated once begun."""
        await self._bucket.take()
        async with self._reading(selection, partition) as read:
            batches = self._engine.stream(
                read.connection,
                read.statement,
                parser=read.parser,
                silence_seconds=self._config.query_timeout_seconds,
            )
            async with contextlib.aclosing(batches):
                async for batch in batches:
                    yield batch

    @contextlib.asynccontextmanager
    async def _reading(
        self, selection: Selection, partition: PartitionRange
    ) -> AsyncGenerator["_Reading"]:
        """Plan a partition's statement in the transaction that will run it."""
        plans: tuple[ColumnPlan, ...] = ()
        try:
            async with self._pool.transaction() as connection:
                described = await describe(connection, selection.table)
                plans = plan_columns(selection, described.columns)
                is_binary = is_worth_binary(plans, described.info.estimated_row_bytes)
                yield _Reading(
                    connection=connection,
                    statement=select_statement(
                        selection, partition, plans=plans, is_binary=is_binary
                    ),
                    plans=plans,
                    parser=BinaryParser(plans) if is_binary else BlockParser(plans),
                )
        except UnstorableValueError as error:
            if "column" in error.facts:
                raise
            raise await self._infinite(selection, partition, plans) or error from error

    async def _infinite(
        self, selection: Selection, partition: PartitionRange, plans: Sequence[ColumnPlan]
    ) -> UnstorableValueError | None:
        """Find the date column with an infinite value, which the server does not name."""
        dates = [plan.name for plan in plans if plan.wire is Wire.DAYS]
        if not dates:
            return None
        statement = infinite_dates_statement(selection, partition, names=dates)
        row = (await self._query(lambda connection: connection.fetch(statement)))[0]
        for name, is_infinite in zip(dates, row, strict=True):
            if is_infinite:
                return UnstorableValueError(
                    f"`{name}` holds an infinite date, which no date type of Parquet can hold; "
                    f"declare `string` for it",
                    column=name,
                )
        return None

    async def _query(
        self, run: Callable[[Connection], Awaitable[T]], *, seconds: float | None = None
    ) -> T:
        """Run short statements in one transaction, each ended by the server when it takes long."""
        limit = self._config.query_timeout_seconds if seconds is None else seconds

        async def in_transaction() -> T:
            async with self._pool.transaction(limit) as connection:
                return await run(connection)

        return await self._repeated(in_transaction)

    async def _repeated(self, call: Callable[[], Awaitable[T]]) -> T:
        for attempt in range(1, ATTEMPTS):
            await self._bucket.take()
            try:
                return await call()
            except SourceUnavailableError as error:
                if "attempts" in error.facts:
                    raise  # connecting was repeated already
                get_logger().warning("wrds_query_repeated", attempt=attempt, error=str(error))
            await self._sleep(backoff_seconds(attempt, base=_RETRY_BASE_SECONDS))
        await self._bucket.take()
        return await call()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """A partition's statement, and the connection that is to run it."""

    connection: Connection
    statement: str
    plans: tuple[ColumnPlan, ...]
    parser: Parser


def _named(method: str | None, value: str | None) -> str | None:
    return None if method is None or value is None else f"{method}:{value}"


def _statistics(
    selection: Selection, year: int | None, rows: int, content_hash: str | None
) -> PartitionStatistics:
    if year is None:
        raise UnstorableValueError(
            f"{rows} rows of {selection.table} have no date in `{selection.date_column}`",
            column=selection.date_column,
        )
    return PartitionStatistics(year=year, rows=rows, content_hash=content_hash)


def _look_at(path: Path, column: str | None) -> tuple[date | None, date | None, int]:
    return *parquet_writer.bounds(path, column), path.stat().st_size
