"""A sync that finds nothing new asks the archive the same few questions, however much there is."""

import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.support.wrds_mirror import CRSP, TestMirror, open_mirror
from tests.support.wrds_server import WrdsServer
from tests.support.wrds_server_client import opened
from tests.support.wrds_server_tables import DAILY
from wrds_sync.domain.datasets import Dataset

LIMIT_SECONDS = 2.0


class Statements(Counter[str]):
    """Counts what is sent to the server, by the driver's call."""

    def spy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("execute", "fetch", "copy_from_query"):
            monkeypatch.setattr(asyncpg.Connection, name, self._counting(name))

    def _counting(self, name: str) -> Any:
        original = getattr(asyncpg.Connection, name)

        async def call(connection: Any, *args: Any, **options: Any) -> Any:
            self[name] += 1
            return await original(connection, *args, **options)

        return call


@pytest.fixture
async def server(empty_database_url: str) -> WrdsServer:
    server = await WrdsServer.create(empty_database_url)
    await server.fill_daily(date(2020, 12, 1), date(2024, 1, 31), securities=2)
    return server


async def unchanged(mirror: TestMirror, datasets: list[Dataset], sent: Statements) -> Counter[str]:
    """Sync twice; return what the second time cost."""
    for dataset in datasets:
        await mirror.manager.full_sync(dataset)
    sent.clear()
    # Processor time: how long others keep the machine is not the mirror's doing.
    started = time.process_time()
    for dataset in datasets:
        outcome = await mirror.manager.incremental_sync(dataset)
        assert outcome.copied == ()
    assert time.process_time() - started < LIMIT_SECONDS
    return Counter(sent)


async def test_the_number_of_statements_does_not_grow(
    server: WrdsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = Statements()
    sent.spy(monkeypatch)
    async with opened(server) as client:

        def mirror(name: str) -> TestMirror:
            return open_mirror(tmp_path / name, client)

        one_year = replace(CRSP, start_year=2024)
        of_one = await unchanged(mirror("one"), [one_year], sent)
        all_years = replace(CRSP, start_year=2020)
        many = mirror("many")
        of_five_years = await unchanged(many, [all_years], sent)
        manifest = await many.storage.read_manifest(CRSP.name)
        assert manifest is not None
        assert len(manifest.partitions) == 5
        five = [replace(all_years, name=f"crsp_{n}", frequency=f"daily_{n}") for n in range(5)]
        of_five_sets = await unchanged(mirror("five"), five, sent)
        # The archive says when the table was modified, and need not count.
        await server.say_modified(DAILY, datetime(2024, 2, 1, tzinfo=UTC))
        of_a_dated_one = await unchanged(mirror("dated"), [all_years], sent)

    # Two transactions; the catalogue in each, because it may change in between, and the counts.
    assert of_one == {"execute": 4, "fetch": 3}
    assert of_five_years == of_one
    assert of_five_sets == {name: 5 * count for name, count in of_one.items()}
    assert of_a_dated_one == {"execute": 2, "fetch": 1}
