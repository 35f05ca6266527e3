"""The transformer on many small records: a full run against the bare expression, and 1 % changed.

Entities have a record in one to three of three sources (1.44 on average), in a bronze filled by
SQL. Ours is the `transform` run itself: worker, checkpoints, locks, merge, row, history, origins,
quality, heads and an event per entity. Two baselines in the same run, over the same pages of the
same bronze: `expression + COPY` parses the records, picks winners with polars and copies the rows
into a table like silver's, and does nothing else; `COPY of all rows` copies, in addition, exactly
the rows that we wrote into every other table, into tables with the same keys. Then 1 % of the
entities change, and an incremental run is compared with the full one.

Smaller, to try it: `BENCH_RECORDS=50000`.
"""

import os
import resource
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import orjson
import polars as pl
import uvloop

from chassis.clock import SystemClock
from chassis.migrations import migrate
from chassis.process import calm_garbage_collection
from chassis.runs import RunWorker, submit
from penstock.stack import PartName, Stack, read_settings
from tests.benchmarks.report import Result
from tests.integration.transformer.hub import Hub, open_hub
from transformer.adapters.entity_files import parse_entity

PAGE = 5000
CHUNK = 2500
CHANGED = 0.01

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
where h.entity_type = 'person' and h.entity_id >= $1 and h.entity_id < $2
"""

WRITTEN = (
    "silver.people_history",
    "silver.heads",
    "silver.origins",
    "quality.history",
    "meta.outbox",
)
"""What we write beside the rows themselves."""


def main() -> list[Result]:
    """Start PostgreSQL, measure, and return the ratios."""
    count = int(os.environ.get("BENCH_RECORDS", "1000000"))  # noqa: TID251 - a script's option
    with TemporaryDirectory(prefix="penstock-bench-") as folder:
        stack = Stack(settings=read_settings().in_folder(Path(folder)), fast=True)
        running = stack.up([PartName.POSTGRES], tied=True)
        try:
            return uvloop.run(_measure(running.env["DATABASE_URL"], count, Path(folder)))
        finally:
            stack.down()


async def _measure(url: str, count: int, folder: Path) -> list[Result]:
    await migrate(url)
    calm_garbage_collection()
    entity = parse_entity(RULES, name="people.yaml")
    async with (
        open_hub(url, {"person": entity}, chunk=CHUNK, page=PAGE, chunk_bytes=2**25) as hub,
        _connected(url) as connection,
    ):
        await connection.execute(_FILL.replace("$1::integer", str(count)))
        await connection.execute("analyze")
        bare = await _bare(connection, count)
        before = _peak_megabytes()
        full = await _run(hub, expected=count)
        peak = _peak_megabytes()
        extra = await _copy_everything(connection, folder)
        await connection.execute("vacuum analyze")
        # By the time, because a short run lies within the overlap of an incremental one.
        since = await connection.fetchval("select clock_timestamp()")
        await connection.execute(_CHANGE)
        changed = await _run(
            hub, expected=len(range(7, count, 100)), changed_since=since.isoformat()
        )
    memory = f"process {peak:.0f} MB at most, {before:.0f} MB before"
    return [
        Result(
            name=f"full transform of {count:,} entities, speed",
            baseline="the bare polars expression + COPY of the rows",
            ratio=bare / full,
            target=0.5,
            better="higher",
            detail=f"ours {count / full:,.0f}/s, bare {count / bare:,.0f}/s; {memory}",
        ),
        Result(
            name=f"full transform of {count:,} entities, speed",
            baseline="the bare polars expression + COPY of all that we write",
            ratio=(bare + extra) / full,
            target=0.5,
            better="higher",
            detail=f"the further COPYs took {extra:.1f} s",
        ),
        Result(
            name=f"incremental transform of {CHANGED:.0%} changed, time",
            baseline="our full run",
            ratio=changed / full,
            target=0.05,
            better="lower",
            detail=f"{changed:.2f} s against {full:.1f} s",
        ),
    ]


@asynccontextmanager
async def _connected(url: str) -> AsyncGenerator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


async def _run(hub: Hub, *, expected: int, **parameters: Any) -> float:
    """Execute a `transform` run as a worker does; return the seconds."""
    async with hub.database.transaction() as transaction:
        await submit(
            transaction,
            service="transformer",
            kind="transform",
            target="person",
            parameters={"entity_type": "person"} | parameters,
        )
    worker = RunWorker(hub.database, {"transform": hub.job}, clock=SystemClock())
    started = time.perf_counter()
    assert await worker.step()
    elapsed = time.perf_counter() - started
    (row,) = await hub.rows(
        "select status, counts, message from meta.runs order by queued_at desc limit 1"
    )
    assert row["status"] == "completed", row
    assert row["counts"]["new"] + row["counts"]["changed"] == expected, row
    return elapsed


async def _bare(connection: "asyncpg.Connection[asyncpg.Record]", count: int) -> float:
    """Read, merge and copy the rows, and nothing else; return the seconds."""
    await connection.execute("create table bare (like silver.people including all)")
    started = time.perf_counter()
    for start in range(0, count, PAGE):
        rows = await connection.fetch(_PAGE, f"P/{start:07}", f"P/{start + PAGE:07}")
        merged = _merge(rows)
        await connection.copy_records_to_table(
            "bare", records=merged.iter_rows(), columns=merged.columns
        )
    elapsed = time.perf_counter() - started
    assert await connection.fetchval("select count(*) from bare") == count
    return elapsed


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


async def _copy_everything(connection: "asyncpg.Connection[asyncpg.Record]", folder: Path) -> float:
    """Copy what we wrote beside the rows into tables of the same form; return the seconds."""
    elapsed = 0.0
    for name in WRITTEN:
        schema, _, table = name.partition(".")
        dump = folder / table
        await connection.copy_from_table(table, schema_name=schema, output=dump, format="binary")
        await connection.execute(f"create table bare_other (like {name} including all)")
        started = time.perf_counter()
        await connection.copy_to_table("bare_other", source=dump, format="binary")
        elapsed += time.perf_counter() - started
        await connection.execute("drop table bare_other")
        dump.unlink()
    return elapsed


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
