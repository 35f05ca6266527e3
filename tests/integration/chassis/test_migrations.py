"""Migrations on a real server: in order, once, whole or not at all."""

import asyncio
import importlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from chassis.errors import TransientError, UnavailableError
from chassis.migrations import OWNERS, MigrationError, migrate, pending
from penstock.stack.ports import free_port
from tests.support.databases import with_user

Package = Callable[..., str]
_numbers = itertools.count()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """Make (or extend) a package with SQL files and return its name."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(files: dict[str, str], name: str | None = None) -> str:
        name = name or f"migrated_{next(_numbers)}"
        (tmp_path / name / "sql").mkdir(parents=True, exist_ok=True)
        (tmp_path / name / "__init__.py").touch()
        for file, text in files.items():
            (tmp_path / name / "sql" / file).write_text(text)
        importlib.invalidate_caches()
        return name

    return make


async def query(url: str, statement: str, *arguments: Any) -> list[Any]:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return [tuple(row) for row in await connection.fetch(statement, *arguments)]
    finally:
        await connection.close(timeout=10)


LEDGER = "select owner, version, phase, name from meta.migrations order by applied_at, owner"


async def test_everything_that_is_shipped_applies_to_an_empty_database_and_only_once(
    empty_database_url: str,
) -> None:
    first = await migrate(empty_database_url)
    second = await migrate(empty_database_url)

    assert first[0].owner == "chassis"
    assert list(dict.fromkeys(item.owner for item in first)) == [
        owner for owner in OWNERS if owner in {item.owner for item in first}
    ]
    assert second == []
    tables = await query(
        empty_database_url,
        "select table_name from information_schema.tables where "
        "table_schema = 'meta' and table_type = 'BASE TABLE' order by 1",
    )
    assert [name for (name,) in tables] == [
        "audit",
        "commands",
        "consumer_positions",
        "dead_letters",
        "drifts",
        "entity_keys",
        "entity_references",
        "entity_xref",
        "leases",
        "migrations",
        "outbox",
        "proposed_links",
        "rate_budgets",
        "record_errors",
        "refused_keys",
        "runs",
        "schemas",
    ]


async def test_owners_and_numbers_give_the_order(empty_database_url: str, package: Package) -> None:
    base = package({"0001_pre_a.sql": "create table a (x int)"})
    user = package(
        {
            "0002_post_c.sql": "insert into b select x from a",
            "0001_pre_b.sql": "create table b as select * from a",
        }
    )

    await migrate(empty_database_url, owners=(base, user))

    assert await query(empty_database_url, LEDGER) == [
        (base, 1, "pre", "a"),
        (user, 1, "pre", "b"),
        (user, 2, "post", "c"),
    ]


async def test_post_waits_until_it_is_asked_for(empty_database_url: str, package: Package) -> None:
    owner = package(
        {
            "0001_pre_a.sql": "create table a (x int, y int)",
            "0002_post_b.sql": "alter table a drop column y",
            "0003_pre_c.sql": "create table c (x int)",
        }
    )

    before = await migrate(empty_database_url, owners=(owner,), phases=("pre",))
    after = await migrate(empty_database_url, owners=(owner,))

    assert [item.name for item in before] == ["a", "c"]
    assert [item.name for item in after] == ["b"]


async def test_a_file_that_changed_after_it_was_applied_is_refused(
    empty_database_url: str, package: Package
) -> None:
    owner = package({"0001_pre_a.sql": "create table a (x int)"})
    await migrate(empty_database_url, owners=(owner,))
    package({"0001_pre_a.sql": "create table a (x bigint)", "0002_pre_b.sql": "select 1"}, owner)

    with pytest.raises(MigrationError, match=f"{owner}/0001 was changed after it was applied"):
        await migrate(empty_database_url, owners=(owner,))

    assert await query(empty_database_url, LEDGER) == [(owner, 1, "pre", "a")]


async def test_a_file_that_fails_leaves_nothing_and_those_before_it_stay(
    empty_database_url: str, package: Package
) -> None:
    owner = package(
        {
            "0001_pre_a.sql": "create table a (x int)",
            "0002_pre_b.sql": "create table b (x int); insert into b values (1); select nonsense",
            "0003_pre_c.sql": "create table c (x int)",
        }
    )

    with pytest.raises(MigrationError, match='0002_b failed: column "nonsense" does not exist'):
        await migrate(empty_database_url, owners=(owner,))

    assert await query(empty_database_url, LEDGER) == [(owner, 1, "pre", "a")]
    assert await query(empty_database_url, "select to_regclass('b'), to_regclass('c')") == [
        (None, None)
    ]

    package({"0002_pre_b.sql": "create table b (x int)"}, owner)
    assert [item.name for item in await migrate(empty_database_url, owners=(owner,))] == ["b", "c"]


async def test_a_misnamed_file_stops_everything_before_it_starts(
    empty_database_url: str, package: Package
) -> None:
    good = package({"0001_pre_a.sql": "create table a (x int)"})
    bad = package({"oops.sql": "select 1"})

    with pytest.raises(MigrationError, match=r"oops\.sql"):
        await migrate(empty_database_url, owners=(good, bad))

    assert await query(empty_database_url, "select to_regclass('a')") == [(None,)]


async def test_of_two_that_migrate_at_once_one_works_and_the_other_waits(
    empty_database_url: str, package: Package
) -> None:
    owner = package(
        {
            "0001_pre_a.sql": "create table a (x int); select pg_sleep(1)",
            "0002_pre_b.sql": "select 1",
        }
    )

    results = await asyncio.gather(
        *(migrate(empty_database_url, owners=(owner,)) for _ in range(3))
    )

    assert sorted(len(done) for done in results) == [0, 0, 2]


async def test_what_is_pending_is_what_the_new_code_needs(
    empty_database_url: str, package: Package
) -> None:
    owner = package({"0001_pre_a.sql": "select 1", "0002_post_b.sql": "select 1"})

    async def names() -> list[str]:
        connection = await asyncpg.connect(empty_database_url, timeout=10)
        try:
            return [item.name for item in await pending(connection, (owner,))]
        finally:
            await connection.close(timeout=10)

    assert await names() == ["a"]
    await migrate(empty_database_url, owners=(owner,), phases=("pre",))
    assert await names() == []
    package({"0003_pre_c.sql": "select 1"}, owner)
    assert await names() == ["c"]


async def test_a_database_that_is_not_there_is_an_outage() -> None:
    with pytest.raises(UnavailableError, match="does not answer"):
        await migrate(f"postgresql://u@127.0.0.1:{free_port()}/x")


async def test_a_role_that_may_not_migrate_is_told_so(empty_database_url: str, unique: str) -> None:
    role = f"{unique}_reader"
    await query(empty_database_url, f"create role {role} login password 'secret'")

    try:
        with pytest.raises(TransientError, match="permission denied for database"):
            await migrate(with_user(empty_database_url, role, "secret"))
    finally:
        await query(empty_database_url, f"drop role {role}")
