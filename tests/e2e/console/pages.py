"""Every page of the console, on a database full of plausible state."""

from collections.abc import Mapping
from dataclasses import dataclass

from chassis.db import Database
from tests.support.console_seed.__main__ import seed_everything
from tests.support.databases import opened

_ADDRESSES = {
    "overview": "select '/'",
    "runs": "select '/runs'",
    "run": "select '/runs/' || run_id from meta.runs order by (status = 'running') desc, queued_at "
    "desc limit 1",
    "services": "select '/services'",
    "sources": "select '/sources'",
    "source": "select '/sources/' || source from scanner.held_deletions limit 1",
    "tables": "select '/tables'",
    "table": "select '/tables/' || table_key from refresher.refreshes limit 1",
    "plan": "select '/tables/' || target || '/plans/' || plan_id from refresher.plans "
    "order by (status = 'waiting') desc, created_at desc limit 1",
    "datasets": "select '/datasets'",
    "dataset": "select '/datasets/' || dataset from wrds_sync.restatements limit 1",
    "entities": "select '/entities'",
    "records": "select '/entities/users'",
    "record": "select '/entities/users/record?id=' || entity_id from silver.heads "
    "where entity_type = 'user' and status = 'live' order by version desc, entity_id limit 1",
    "dead-letters": "select '/dead-letters'",
    "dead-letter": "select '/dead-letters/' || id from meta.dead_letters "
    "order by failed_at desc limit 1",
    "drifts": "select '/drifts'",
    "drift": "select '/drifts/' || id from meta.drifts order by (status = 'waiting') desc limit 1",
    "audit": "select '/audit'",
    "users": "select '/users'",
}


@dataclass(frozen=True, slots=True)
class Pages:
    """The addresses of pages by name."""

    addresses: Mapping[str, str]

    @classmethod
    async def seed(cls, database_url: str) -> "Pages":
        """Fill an empty database, and find something to look at on each page."""
        await seed_everything(database_url)
        async with opened(database_url, "pages") as database:
            return cls({name: await _value(database, query) for name, query in _ADDRESSES.items()})


async def _value(database: Database, query: str) -> str:
    async with database.connection() as connection:
        found = await connection.fetchval(query)
    assert isinstance(found, str), query
    return found
