"""The transformer on many small records: a full run against the bare expression, and 1 % changed.

Entities have a record in one to three of three sources (1.44 on average), in a bronze filled by
SQL. Ours is the `transform` run itself: worker, checkpoints, locks, merge, row, history, origins,
quality, heads and an event per entity, in pages and chunks of the service's defaults. Two baselines
in the same run, on the same server with the same settings (durability off for all, as in tests):
`expression + COPY` reads the same pages, parses the records, picks winners with polars and copies
the rows into a table like silver's with the same indexes, and does nothing else; `COPY of all rows`
copies, in addition, exactly the rows that we wrote into every other table, into tables with the
same indexes. They take turns, so that all see the same load of the machine: a run of ours does
fifty pages, then the baselines do the same ones.
Then 1 % of the entities change, and an incremental run is compared with the full one.

Beside the ratios of time stands the processor time of client and server for each entity: on a
machine with other work it says more.

Smaller, to try it: `BENCH_RECORDS=50000`.
"""

import os
import resource
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import polars as pl
import uvloop

from chassis.clock import SystemClock
from chassis.db import Connection
from chassis.migrations import migrate
from chassis.process import calm_garbage_collection
from chassis.runs import RunWorker, submit
from tests.benchmarks.report import Result
from tests.benchmarks.server import CACHE, filled_server
from tests.integration.transformer.hub import Hub, open_hub
from transformer.adapters.entity_files import parse_entity
from transformer.adapters.postgres_bronze import PostgresBronze
from transformer.settings import TransformerPart

DEFAULTS = TransformerPart.model_validate({})
CHANGED = 0.01
PAGES_A_TURN = 50

RULES = """
version: 1
entity_type: person
table: people
ruleset_version: 1
inputs:
  name: {path: name, type: text}
  email: {path: email, type: text}
  department: {path: department, type: text}
  phone: {path: phone, type: text}
  salary: {path: salary, type: numeric}
  hired: {path: hired, type: date}
sources: [{name: a, system: a}, {name: b, system: b}, {name: c, system: c}]
fields:
  name: {type: text, rule: name}
  email: {type: text, rule: LOWER(email)}
  department: {type: text, rule: department}
  phone: {type: text, rule: phone}
  salary: {type: numeric, rule: salary}
  hired: {type: date, rule: hired}
validations: [{name: has_at, rule: "STRPOS(email, '@') > 0", message: the e-mail has no @}]
quality:
  sources: [{name: a}, {name: b}]
  key_fields: [name, email, department]
  mismatches: [{field: email}]
  informational: [{flag: no_phone_number, when: phone IS NULL}]
"""

_FILL = """
with raw as (
    insert into bronze.raw_entities (entity_type, entity_id, source_system, external_id, version,
        operation, raw_data, content_hash)
    select 'person', 'P/' || to_char(n, 'FM0000000'), s.name, 'p/' || n, 1, 'stored',
        jsonb_build_object('name', 'Person ' || n, 'email', s.name || n || '@Example.edu',
            'department', 'D' || n % 400, 'phone', case when n % 2 = 0 then '555-' || n end,
            'salary', 1000.25 + n, 'hired', '2024-01-02', 'office', 'B' || n % 50), md5(n::text)
    from generate_series(0, $1::integer - 1) n
    join (values ('a', 1), ('b', 3), ('c', 9)) s (name, every) on n % s.every = 0
    returning *)
insert into bronze.heads (entity_type, source_system, external_id, entity_id, version,
    content_hash, is_deleted, ingested_at, raw_id)
select entity_type, source_system, external_id, entity_id, 1, content_hash, false, ingested_at, id
from raw
"""

_CHANGE = """
with raw as (
    insert into bronze.raw_entities (entity_type, entity_id, source_system, external_id, version,
        operation, raw_data, content_hash)
    select r.entity_type, r.entity_id, r.source_system, r.external_id, 2, 'stored',
        r.raw_data || '{"department": "moved"}', md5(r.external_id)
    from bronze.heads h
    join bronze.raw_entities r on r.ingested_at = h.ingested_at and r.id = h.raw_id
    where h.source_system = 'a' and substr(h.external_id, 3)::integer % 100 = 7
    returning *)
update bronze.heads h set version = 2, ingested_at = raw.ingested_at, raw_id = raw.id
from raw where h.entity_type = raw.entity_type and h.source_system = raw.source_system
    and h.external_id = raw.external_id
"""

_PAGE = """
select h.entity_id, h.source_system, h.external_id, h.ingested_at, r.raw_data::text as document
from bronze.heads h
join bronze.raw_entities r on r.ingested_at = h.ingested_at and r.id = h.raw_id
where h.entity_type = 'person' and h.entity_id > $1 and h.entity_id <= $2
"""

_OF_PAGE = "entity_id > $1 and entity_id <= $2"
WRITTEN = {
    "silver.people_history": _OF_PAGE,
    "silver.heads": _OF_PAGE,
    "silver.origins": _OF_PAGE,
    "quality.history": _OF_PAGE,
}
"""What we write beside the rows themselves, and which of it belongs to a page."""

_OF_TURN = {"meta.outbox": "id > (select coalesce(max(id), 0) from bare_outbox)"}
"""The same, of the pages of a turn: their events are mixed."""


@dataclass(slots=True)
class Cost:
    """What a phase has taken so far, in seconds."""

    elapsed: float = 0.0
    client: float = 0.0
    server: float = 0.0

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(
            self.elapsed - other.elapsed, self.client - other.client, self.server - other.server
        )

    def add(self, other: "Cost") -> None:
        """Count more."""
        self.elapsed += other.elapsed
        self.client += other.client
        self.server += other.server

    def each(self, count: int) -> str:
        """Say what one of `count` entities has cost."""
        each = 1e6 / count
        return f"{self.client * each:.0f} + {self.server * each:.0f} µs"


class Meter:
    """Reads the clock, and the processor time of this process and of the server."""

    def __init__(self, backend: int) -> None:
        self._server = int(_stat(backend)[1])

    def read(self) -> Cost:
        """Return what all has taken until now."""
        processes = [int(item.name) for item in Path("/proc").iterdir() if item.name.isdigit()]
        ticks = sum(self._ticks(process) for process in processes)
        return Cost(time.perf_counter(), time.process_time(), ticks / os.sysconf("SC_CLK_TCK"))

    def _ticks(self, process: int) -> int:
        try:
            stat = _stat(process)
        except (FileNotFoundError, ProcessLookupError):
            return 0
        # Of the server itself also that of its children that have ended.
        if process == self._server:
            return sum(map(int, stat[11:15]))
        return sum(map(int, stat[11:13])) if int(stat[1]) == self._server else 0

    @contextmanager
    def into(self, cost: Cost) -> Generator[None]:
        """Count what is done inside."""
        before = self.read()
        yield
        cost.add(self.read() - before)


def _stat(process: int) -> list[str]:
    """Return the fields of `/proc/<process>/stat` from the third on."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()


class Baselines(PostgresBronze):
    """The baselines, and bronze for our runs: each is given the pages of one turn."""

    def __init__(self, meter: Meter, connection: Connection, folder: Path) -> None:
        super().__init__()
        self._meter = meter
        self._connection = connection
        self._dump = folder / "dump"
        self._lasts: list[str] = []
        """The last ids of the pages of this turn."""

        self._done = ""
        """The last id of the turn before."""

        self._total: int | None = None
        self.bare = Cost()
        self.rows = Cost()
        """Of that, the COPY."""

        self.extra = Cost()

    async def prepare(self) -> None:
        """Make tables like ours."""
        for name in ("silver.people", *WRITTEN, *_OF_TURN):
            table = _bare(name)
            await self._connection.execute(f"create table {table} (like {name} including all)")

    async def page(
        self,
        connection: Connection,
        entity_type: str,
        *,
        after: str,
        limit: int,
        changed_since: datetime | None = None,
    ) -> list[str]:
        """Return the next page of the turn."""
        if changed_since is not None:
            return await super().page(
                connection, entity_type, after=after, limit=limit, changed_since=changed_since
            )
        if len(self._lasts) == PAGES_A_TURN:
            return []
        after = after or self._done
        ids = await super().page(connection, entity_type, after=after, limit=limit)
        self._lasts.extend(ids[-1:])
        return ids

    async def count(
        self, connection: Connection, entity_type: str, *, changed_since: datetime | None = None
    ) -> int:
        """Count what there is to do; for a full transform once, as if all turns were one run."""
        if changed_since is None and self._total is not None:
            return self._total
        found = await super().count(connection, entity_type, changed_since=changed_since)
        self._total = found if changed_since is None else self._total
        return found

    async def catch_up(self) -> None:
        """Do the pages of the turn that our run has done."""
        for last in self._lasts:
            await self._do(last)
        for name, condition in _OF_TURN.items():
            await self._copy(name, condition)
        self._done = self._lasts[-1]
        self._lasts.clear()

    async def _do(self, last: str) -> None:
        first = await self._connection.fetchval("select max(entity_id) from bare_people") or ""
        await self._merge(first, last)
        for name, condition in WRITTEN.items():
            await self._copy(name, condition, first, last)

    async def _merge(self, first: str, last: str) -> None:
        """Read, merge and copy the rows, and nothing else."""
        with self._meter.into(self.bare):
            merged = _merge(await self._connection.fetch(_PAGE, first, last))
            with self._meter.into(self.rows):
                await self._connection.copy_records_to_table(
                    "bare_people", records=merged.iter_rows(), columns=merged.columns
                )

    async def _copy(self, name: str, condition: str, *of_page: str) -> None:
        """Copy what we wrote beside the rows into a table of the same form."""
        query = f"select * from {name} where {condition}"
        await self._connection.copy_from_query(query, *of_page, output=self._dump, format="binary")
        with self._meter.into(self.extra):
            await self._connection.copy_to_table(_bare(name), source=self._dump, format="binary")


def _bare(name: str) -> str:
    schema, _, table = name.partition(".")
    return f"bare_quality_{table}" if schema == "quality" else f"bare_{table}"


def main() -> list[Result]:
    """Start PostgreSQL, measure, and return the ratios."""
    count = int(os.environ.get("BENCH_RECORDS", "1000000"))  # noqa: TID251 - a script's option
    with filled_server() as (url, folder):
        return uvloop.run(_measure(url, count, folder))


async def _measure(url: str, count: int, folder: Path) -> list[Result]:
    await migrate(url)
    calm_garbage_collection()
    entity = parse_entity(RULES, name="people.yaml")
    async with _connected(url) as connection:
        meter = Meter(connection.get_server_pid())
        turns = Baselines(meter, connection, folder)
        async with open_hub(
            url,
            {"person": entity},
            chunk=DEFAULTS.chunk_entities,
            page=DEFAULTS.page_entities,
            chunk_bytes=DEFAULTS.chunk_bytes,
            bronze=turns,
        ) as hub:
            await turns.prepare()
            await connection.execute(_FILL.replace("$1::integer", str(count)))
            await connection.execute("analyze")
            before = _peak_megabytes()
            full = Cost()
            for start in range(0, count, PAGES_A_TURN * DEFAULTS.page_entities):
                with meter.into(full):
                    part = min(count - start, PAGES_A_TURN * DEFAULTS.page_entities)
                    await _run(hub, expected=part)
                await turns.catch_up()
            peak = _peak_megabytes()
            assert await connection.fetchval("select count(*) from bare_people") == count
            await connection.execute("vacuum analyze")
            # By the time, because a short run lies within the overlap of an incremental one.
            since = await connection.fetchval("select clock_timestamp()")
            await connection.execute(_CHANGE)
            few = Cost()
            with meter.into(few):
                moved = len(range(7, count, 100))
                await _run(hub, expected=moved, changed_since=since.isoformat())
    return _results(count, full, few, turns, memory=f"{peak:.0f} MB at most, {before:.0f} before")


def _results(count: int, full: Cost, few: Cost, turns: Baselines, *, memory: str) -> list[Result]:
    all_rows = turns.bare.elapsed + turns.extra.elapsed
    return [
        Result(
            name=f"full transform of {count:,} entities, speed",
            baseline="the bare polars expression + COPY of the rows",
            ratio=turns.bare.elapsed / full.elapsed,
            target=0.5,
            better="higher",
            detail=f"ours {count / full.elapsed:,.0f}/s, bare {count / turns.bare.elapsed:,.0f}/s; "
            f"processor, client + server: {full.each(count)} against {turns.bare.each(count)}; "
            f"process {memory}; a cache of {CACHE}",
        ),
        Result(
            name=f"full transform of {count:,} entities, speed",
            baseline="the bare polars expression + COPY of all that we write",
            ratio=all_rows / full.elapsed,
            target=0.5,
            better="higher",
            detail=f"COPY alone of all that we write: {turns.rows.each(count)} (rows) and "
            f"{turns.extra.each(count)} (the rest)",
        ),
        Result(
            name=f"incremental transform of {CHANGED:.0%} changed, time",
            baseline="our full run",
            ratio=few.elapsed / full.elapsed,
            target=0.05,
            better="lower",
            detail=f"{few.elapsed:.2f} s against {full.elapsed:.1f} s",
        ),
    ]


@asynccontextmanager
async def _connected(url: str) -> AsyncGenerator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


async def _run(hub: Hub, *, expected: int, **parameters: Any) -> None:
    """Execute a `transform` run as a worker does."""
    async with hub.database.transaction() as transaction:
        await submit(
            transaction,
            service="transformer",
            kind="transform",
            target="person",
            parameters={"entity_type": "person"} | parameters,
        )
    worker = RunWorker(hub.database, {"transform": hub.job}, clock=SystemClock())
    assert await worker.step()
    (row,) = await hub.rows(
        "select status, counts, message from meta.runs order by queued_at desc limit 1"
    )
    assert row["status"] == "completed", row
    assert row["counts"]["new"] + row["counts"]["changed"] == expected, row


def _merge(rows: Sequence[asyncpg.Record]) -> pl.DataFrame:
    parsed = [orjson.loads(row["document"]) for row in rows]
    fields = ("name", "email", "department", "phone", "salary", "hired")
    frame = pl.DataFrame(
        {
            "entity_id": [row["entity_id"] for row in rows],
            "source": [row["source_system"] for row in rows],
            "external_id": [row["external_id"] for row in rows],
            "updated_at": [row["ingested_at"] for row in rows],
            **{name: [item[name] for item in parsed] for name in fields},
        }
    ).with_columns(
        pl.col("email").str.to_lowercase(),
        pl.col("salary").cast(pl.Decimal(38, 12)),
        pl.col("hired").str.to_date(),
    )
    return (
        frame.sort("entity_id", "source")
        .group_by("entity_id", maintain_order=True)
        .agg(
            *(pl.col(name).drop_nulls().first() for name in fields),
            pl.len().cast(pl.Int32).alias("version_count"),
            pl.col("external_id").alias("version_ids"),
            pl.col("updated_at").max(),
            pl.col("email").n_unique().alias("emails"),
        )
        .with_columns(
            pl.when(pl.col("emails") > 1)
            .then(pl.lit("0.95"))
            .otherwise(pl.lit("1.00"))
            .cast(pl.Decimal(3, 2))
            .alias("data_quality_score"),
            pl.lit([], dtype=pl.List(pl.String)).alias("quality_flags"),
            pl.lit(1).alias("version"),
            pl.lit("").alias("content_hash"),
            pl.lit(1).alias("ruleset_version"),
        )
        .drop("emails")
    )


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
