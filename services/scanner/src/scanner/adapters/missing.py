"""What is missing and what of it is held, in PostgreSQL; the same for files and for records."""

from collections.abc import Sequence
from datetime import datetime
from typing import Self

from chassis.db import Database, Transaction
from scanner.adapters.rows import readable
from scanner.ports import Belief, Mark


class PostgresMissing:
    """`Missing` on a view of missing things and the table `scanner.held_deletions`."""

    def __init__(self, database: Database, view: str, *, key: str, misses: str) -> None:
        self._database = database
        believed = (
            f"from {view} where source = $1 and missing_mark = $2 "
            f"and {misses} >= $3 and missing_since <= $4"
        )
        self._count = f"select count(*) {believed} and is_held = $5"
        self._page = (
            f"select {key} as key {believed} and is_held = $5 "
            f'and ($6::text is null or {key} > $6::text collate "C") order by {key} limit $7'
        )
        self._hold = (
            "insert into scanner.held_deletions (source, path, scan_id, reason, held_at) "
            f"select source, {key}, $5::uuid, $6, clock_timestamp() {believed} and not is_held "
            "on conflict do nothing"
        )

    @classmethod
    def files(cls, database: Database) -> Self:
        """Return what is missing of file sources."""
        return cls(database, "scanner.missing_files", key="path", misses="missing_scans")

    @classmethod
    def records(cls, database: Database) -> Self:
        """Return what is missing of record sources."""
        return cls(database, "scanner.missing_records", key="external_id", misses="missing_polls")

    async def count(self, mark: Mark, belief: Belief, *, held: bool) -> int:
        """Return how many are believed gone: those that are held, or those that are not."""
        async with self._database.connection() as connection:
            with readable():
                count: int = await connection.fetchval(self._count, *_arguments(mark, belief), held)
        return count

    async def page(
        self, mark: Mark, belief: Belief, *, held: bool, after: str | None, limit: int
    ) -> Sequence[str]:
        """Return a page of their keys, in order."""
        async with self._database.connection() as connection:
            with readable():
                rows = await connection.fetch(
                    self._page, *_arguments(mark, belief), held, after, limit
                )
        return [row["key"] for row in rows]

    async def hold(
        self, transaction: Transaction, mark: Mark, belief: Belief, *, reason: str
    ) -> int:
        """Hold all that are believed gone; return how many were not held before."""
        status = await transaction.connection.execute(
            self._hold, *_arguments(mark, belief), mark.scan_id, reason
        )
        return int(status.rpartition(" ")[2])

    async def held(self, source: str) -> int:
        """Return how many deletions of a source are held."""
        async with self._database.connection() as connection:
            count: int = await connection.fetchval(
                "select count(*) from scanner.held_deletions where source = $1", source
            )
        return count


async def release(transaction: Transaction, source: str, keys: Sequence[str]) -> None:
    """Hold these no longer: they were announced, or are back."""
    await transaction.connection.execute(
        "delete from scanner.held_deletions where source = $1 and path = any($2::text[])",
        source,
        keys,
    )


def _arguments(mark: Mark, belief: Belief) -> tuple[str, str, int, datetime]:
    return mark.source, str(mark), belief.misses, belief.first_missed_before
