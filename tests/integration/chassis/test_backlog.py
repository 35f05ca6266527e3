"""What waits is measured in the tables, by whoever looks."""

from chassis import metrics
from chassis.backlog import Backlog
from chassis.runs import submit
from tests.support.databases import opened


async def test_the_outbox_and_the_queue_are_measured_with_their_ages(database_url: str) -> None:
    async with opened(database_url, "scanner") as database:
        backlog = Backlog(database, kinds=("scan", "flow"))
        async with database.transaction() as transaction:
            await submit(
                transaction, service="scanner", kind="scan", target="papers", requester="test"
            )
        async with database.connection() as connection:
            await connection.execute("delete from meta.outbox")
            await connection.execute(
                "insert into meta.outbox (id, service, topic, key, value, created_at) "
                "select n, 'scanner', 'file.changed', '', '', now() - n * interval '1 minute' "
                "from generate_series(1, 3) n"
            )
            await connection.execute(
                "update meta.runs set available_at = now() - interval '5 minutes'"
            )

        await backlog.measure()

    assert metrics.OUTBOX_PENDING.labels("scanner")._value.get() == 3
    assert 180 <= metrics.OUTBOX_OLDEST.labels("scanner")._value.get() < 240
    assert metrics.RUNS_QUEUED.labels("scanner", "scan")._value.get() == 1
    assert 300 <= metrics.RUNS_OLDEST_QUEUED.labels("scanner", "scan")._value.get() < 360
    assert metrics.RUNS_QUEUED.labels("scanner", "flow")._value.get() == 0
