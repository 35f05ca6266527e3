"""What keeps tests that share servers apart: own databases, own topics, own keys."""

import asyncio
import threading
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import asyncpg
import pytest

from chassis.migrations import migrate
from tests.support.addresses import PostgresAddress


@pytest.fixture
def unique() -> str:
    """A name no other test has: lower case, fit for topics, keys, databases and folders."""
    return f"t{uuid.uuid4().hex[:10]}"


@pytest.fixture
def topic_prefix(unique: str) -> str:
    return f"{unique}."


@pytest.fixture
def blob_prefix(unique: str) -> str:
    return f"{unique}/"


@pytest.fixture(scope="session")
def template_database(postgres: PostgresAddress) -> str:
    """The name of a database to which all migrations were applied, to be cloned."""
    name = f"template_{uuid.uuid4().hex[:10]}"

    async def create() -> None:
        await _execute(postgres.url, f"create database {name}")
        await migrate(postgres.database(name))

    _run_apart(create)
    return name


@pytest.fixture
async def database_url(
    postgres: PostgresAddress, template_database: str, unique: str
) -> AsyncGenerator[str]:
    """A migrated database of the test's own."""
    # By copying files: half the work of the default, which writes every page to the log as well.
    await _execute(
        postgres.url,
        f"create database {unique} template {template_database} strategy file_copy",
    )
    yield postgres.database(unique)
    await _execute(postgres.url, f"drop database {unique} with (force)")


@pytest.fixture
async def empty_database_url(postgres: PostgresAddress, unique: str) -> AsyncGenerator[str]:
    """A database of the test's own with nothing in it."""
    name = f"{unique}_empty"
    await _execute(postgres.url, f"create database {name}")
    yield postgres.database(name)
    await _execute(postgres.url, f"drop database {name} with (force)")


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute(statement)
    finally:
        await connection.close(timeout=10)


def _run_apart(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine in a thread, where it disturbs no test's event loop."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001 - carried to the caller
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
