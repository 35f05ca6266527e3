"""A refresh of a few rows asks few questions: their number would else decide how long it takes."""

import contextlib
from collections.abc import AsyncGenerator
from urllib.parse import urlsplit

import pytest

from tests.integration.refresher.counting import Counted, counting
from tests.integration.refresher.estate import Estate
from tests.integration.refresher.hub import Hub, configuration, open_hub

TABLE = (
    "create table orders (id int primary key, note text, changed_at timestamptz not null)",
    "create index on orders (changed_at)",
)
INCREMENTAL = {
    "name": "orders",
    "sync_mode": "incremental",
    "incremental_column": "changed_at",
    "incremental_type": "datetime",
}
MOST = {"source": 12, "target": 25, "ours": 62}
"""Round trips of one incremental refresh of one table, by database. What is sent at once counts
once; a statement that a connection meets for the first time counts twice. Ours has the queueing of
the run, its events and its leases besides."""


@contextlib.asynccontextmanager
async def opened(
    estate: Estate, database_url: str
) -> AsyncGenerator[tuple[Hub, dict[str, Counted]]]:
    ours = urlsplit(database_url)
    async with (
        counting(estate.host, estate.port) as source,
        counting(estate.host, estate.port) as target,
        counting(ours.hostname or "", ours.port or 5432) as ledger,
    ):
        config = configuration(estate, [INCREMENTAL])
        config["databases"]["source"]["port"] = source.port
        config["databases"]["target"]["port"] = target.port
        for database in config["databases"].values():
            database["server"] = "127.0.0.1"
        login, _, _ = ours.netloc.rpartition("@")
        url = ours._replace(netloc=f"{login}@127.0.0.1:{ledger.port}").geturl()
        async with open_hub(estate, url, config) as hub:
            yield hub, {"source": source, "target": target, "ours": ledger}


@pytest.mark.covers("S4-07")
async def test_an_incremental_refresh_asks_few_questions(estate: Estate, database_url: str) -> None:
    await estate.production_does(
        *TABLE, "insert into orders select n, 'x', '2026-01-01' from generate_series(1, 500) n"
    )
    await estate.uat_does(*TABLE)
    await estate.give_to_roles()
    async with opened(estate, database_url) as (hub, counted):
        await hub.refresh("orders", mode="full_replace")
        await estate.production_does(
            "update orders set note = 'y', changed_at = '2026-02-01' where id <= 5"
        )
        for proxy in counted.values():
            proxy.reset()
        await hub.refresh("orders", mode="incremental")
    assert await estate.in_uat("select count(*) from orders where note = 'y'") == 5
    found = {name: proxy.round_trips for name, proxy in counted.items()}
    assert all(found[name] <= most for name, most in MOST.items()), found
    # The connection that holds the snapshot is the one that reads.
    assert counted["source"].connections == counted["target"].connections == 1
