"""The known records, in PostgreSQL.

A comparison sends ids and hashes and gets differences back: what is as before costs one index
look-up in the server and nothing on the way (S2-10, C-13). The bodies of records are not kept.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime

import asyncpg

from chassis.db import Database, Transaction
from scanner.adapters.missing import release
from scanner.adapters.rows import readable
from scanner.domain.hashing import HashSpec
from scanner.domain.record_changes import KnownRecord, RecordDifference, SeenRecord
from scanner.ports import Mark
from scanner.ports.records import HashSpecs, RecordAnnouncement

_PAGE = 5000


class PostgresRecordInventory:
    """`RecordInventory` on the tables `scanner.records` and `scanner.poll_seen`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def specs(
        self, transaction: Transaction, source: str, spec: HashSpec, *, adds: bool
    ) -> HashSpecs:
        """Return the versions of a source's specifications; a new one gets the next number."""
        with readable():
            if adds:
                await transaction.connection.execute(_ADD_SPEC, source, spec.document())
            rows = await transaction.connection.fetch(
                "select version, spec from scanner.hash_specs where source = $1", source
            )
        known = {row["version"]: HashSpec.read(row["spec"]) for row in rows}
        following = max(known, default=0) + 1
        version = next(
            (number for number, item in known.items() if item.document() == spec.document()),
            following,
        )
        known.pop(version, None)
        return HashSpecs(version=version, present=spec, earlier=known)

    async def begin(self, transaction: Transaction, source: str) -> None:
        """Forget what an earlier poll was told."""
        await transaction.connection.execute(
            "delete from scanner.poll_seen where source = $1", source
        )

    async def compare(
        self,
        transaction: Transaction,
        source: str,
        *,
        records: Sequence[SeenRecord],
        version: int,
        remembers: bool,
    ) -> Sequence[RecordDifference]:
        """Return the records that are not simply as before."""
        with readable():
            rows = await transaction.connection.fetch(
                _COMPARE,
                source,
                [item.external_id for item in records],
                [item.content_hash for item in records],
                version,
                remembers,
            )
        return [_difference(row) for row in rows]

    async def announce(
        self,
        transaction: Transaction,
        mark: Mark,
        *,
        announcements: Sequence[RecordAnnouncement],
        version: int,
        now: datetime,
    ) -> None:
        """Write what is announced, in the transaction of its events."""
        ids = [item.external_id for item in announcements]
        await transaction.connection.execute(
            _ANNOUNCE,
            mark.source,
            ids,
            [item.content_hash for item in announcements],
            [item.event_id for item in announcements],
            version,
            mark.scan_id,
            now,
        )
        await release(transaction, mark.source, ids)

    async def rehash(
        self, transaction: Transaction, source: str, *, records: Sequence[SeenRecord], version: int
    ) -> None:
        """Write hashes under a new version of the specification."""
        await transaction.connection.execute(
            _REHASH,
            source,
            [item.external_id for item in records],
            [item.content_hash for item in records],
            version,
        )

    async def returned(
        self, transaction: Transaction, source: str, *, external_ids: Sequence[str]
    ) -> None:
        """Forget that these were missing, or were held as deletions."""
        await transaction.connection.execute(_RETURN, source, external_ids)
        await release(transaction, source, external_ids)

    async def keep_seen(
        self, transaction: Transaction, source: str, *, external_ids: Sequence[str]
    ) -> None:
        """Count as seen what failed: the source has it."""
        await transaction.connection.execute(
            "insert into scanner.poll_seen (source, external_id) "
            "select $1, unnest($2::text[]) on conflict do nothing",
            source,
            external_ids,
        )

    async def miss(self, transaction: Transaction, mark: Mark) -> None:
        """Count one more complete full poll that was not told them."""
        with readable():
            await transaction.connection.execute(_MISS, mark.source, str(mark), mark.started_at)

    async def conclude(
        self, transaction: Transaction, mark: Mark, *, event_ids: Mapping[str, str], now: datetime
    ) -> None:
        """Write that deletions are announced, by id, in the transaction of their events."""
        await transaction.connection.execute(
            _CONCLUDE, mark.source, list(event_ids), list(event_ids.values()), mark.scan_id, now
        )
        await release(transaction, mark.source, list(event_ids))

    async def count_present(self, source: str) -> int:
        """Return how many records consumers know to exist."""
        async with self._database.connection() as connection:
            with readable():
                count: int = await connection.fetchval(
                    "select count(*) from scanner.records where source = $1 and is_present", source
                )
        return count

    async def compare_universe(self, source: str) -> tuple[int, int]:
        """Return how many seen records are not known, and how many known ones were not seen."""
        async with self._database.connection() as connection:
            with readable():
                row = await connection.fetchrow(_COMPARE_UNIVERSE, source)
        return (row["added"], row["gone"]) if row else (0, 0)

    async def present(self, source: str) -> AsyncGenerator[Sequence[str]]:
        """Yield the ids of all records that consumers know to exist, in order, a page at a time."""
        after = ""
        while True:
            async with self._database.connection() as connection:
                rows = await connection.fetch(
                    "select external_id from scanner.records where source = $1 and is_present "
                    'and external_id > $2::text collate "C" order by external_id limit $3',
                    source,
                    after,
                    _PAGE,
                )
            if not rows:
                return
            after = rows[-1]["external_id"]
            yield [row["external_id"] for row in rows]

    async def refresh_statistics(self) -> None:
        """Have the planner look at the tables again, after they have grown."""
        async with self._database.connection() as connection:
            await connection.execute("analyze scanner.records, scanner.poll_seen")


def _difference(row: asyncpg.Record) -> RecordDifference:
    known = None
    if row["hash_spec_version"] is not None:
        known = KnownRecord(
            external_id=row["external_id"],
            content_hash=row["content_hash"],
            hash_spec_version=row["hash_spec_version"],
            is_present=row["is_present"],
            is_missed=row["is_missed"],
        )
    return RecordDifference(row["external_id"], known, is_repeated=row["is_repeated"])


# The same specification may come back after another one: it keeps its number.
_ADD_SPEC = """
insert into scanner.hash_specs (source, version, spec)
select $1, coalesce((select max(version) from scanner.hash_specs where source = $1), 0) + 1, $2
on conflict (source, spec) do nothing
"""

_COMPARE = """
with told as (
    select * from unnest($2::text[], $3::bytea[]) as t (external_id, content_hash)
), fresh as (
    insert into scanner.poll_seen (source, external_id)
    select $1, external_id from told where $5::boolean
    on conflict do nothing returning external_id
)
select t.external_id, r.content_hash, r.hash_spec_version, r.is_present,
       r.missing_mark is not null as is_missed, $5 and f.external_id is null as is_repeated
from told t
left join scanner.records r on r.source = $1 and r.external_id = t.external_id collate "C"
left join fresh f on f.external_id = t.external_id
where r.external_id is null or r.content_hash is distinct from t.content_hash
   or r.hash_spec_version <> $4 or not r.is_present or r.missing_mark is not null
   or ($5 and f.external_id is null)
"""

_ANNOUNCE = """
insert into scanner.records as r
    (source, external_id, content_hash, hash_spec_version, announced_event_id,
     announced_run_id, announced_at, first_seen_at)
select $1, t.external_id, t.content_hash, $5, t.event_id, $6::uuid, $7, $7
from unnest($2::text[], $3::bytea[], $4::text[]) as t (external_id, content_hash, event_id)
on conflict (source, external_id) do update set
    content_hash = excluded.content_hash,
    hash_spec_version = excluded.hash_spec_version,
    is_present = true,
    state = 'announced',
    announced_event_id = excluded.announced_event_id,
    announced_run_id = excluded.announced_run_id,
    announced_at = excluded.announced_at,
    announcements = case when r.content_hash is null and r.is_present
                         then r.announcements + 1 else 1 end,
    missing_mark = null, missing_since = null, missing_polls = 0
"""

_REHASH = """
update scanner.records r
set content_hash = t.content_hash, hash_spec_version = $4,
    missing_mark = null, missing_since = null, missing_polls = 0
from unnest($2::text[], $3::bytea[]) as t (external_id, content_hash)
where r.source = $1 and r.external_id = t.external_id collate "C"
"""

_RETURN = """
update scanner.records set missing_mark = null, missing_since = null, missing_polls = 0
where source = $1 and external_id = any($2::text[])
"""

_MISS = """
update scanner.records r
set missing_mark = $2, missing_polls = missing_polls + 1,
    missing_since = coalesce(missing_since, $3)
where source = $1 and is_present
  and not exists (select 1 from scanner.poll_seen s
                  where s.source = $1 and s.external_id = r.external_id)
"""

_CONCLUDE = """
update scanner.records r set
    state = 'announced',
    is_present = false,
    announced_event_id = t.event_id,
    announced_run_id = $4::uuid,
    announced_at = $5,
    announcements = 1,
    missing_mark = null, missing_since = null, missing_polls = 0
from unnest($2::text[], $3::text[]) as t (external_id, event_id)
where r.source = $1 and r.external_id = t.external_id collate "C"
"""

_COMPARE_UNIVERSE = """
select count(*) filter (where r.external_id is null) as added,
       count(*) filter (where s.external_id is null) as gone
from (select external_id from scanner.poll_seen where source = $1) s
full join (select external_id from scanner.records where source = $1 and is_present) r
    on s.external_id = r.external_id
"""
