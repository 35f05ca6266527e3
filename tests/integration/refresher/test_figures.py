"""Plans that wait and the age of tables are read from the tables."""

from refresher import metrics
from refresher.adapters.figures import RefreshFigures
from tests.support.databases import opened


async def test_waiting_plans_are_counted_with_the_age_of_the_oldest(database_url: str) -> None:
    async with opened(database_url, "refresher") as database:
        async with database.connection() as connection:
            await connection.execute(
                "insert into refresher.plans "
                "(plan_id, run_id, target, status, plan, digest, requester, created_at) "
                "select 'p' || n, gen_random_uuid(), 'all', "
                "case when n < 3 then 'waiting' else 'applied' end, '{}', '', 'test', "
                "now() - n * interval '1 hour' from generate_series(1, 3) n"
            )

        await RefreshFigures(database, ["orders"]).measure()

    assert metrics.PLANS_WAITING._value.get() == 2
    assert 7200 <= metrics.PLANS_OLDEST._value.get() < 7260
    assert metrics.REFRESHED_AT.labels("orders")._value.get() == 0
