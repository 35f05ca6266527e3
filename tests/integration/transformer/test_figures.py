"""How much silver there is, is read from the tables."""

from tests.support.databases import opened
from transformer import metrics
from transformer.adapters.figures import SilverFigures


async def test_entities_are_counted_by_type_and_status(database_url: str) -> None:
    async with opened(database_url, "transformer") as database:
        async with database.connection() as connection:
            await connection.execute(
                "insert into silver.heads (entity_type, entity_id, status, updated_at) values "
                "('person', 'a', 'live', to_timestamp(100)), "
                "('person', 'b', 'live', to_timestamp(300)), "
                "('person', 'c', 'retired', to_timestamp(200))"
            )

        await SilverFigures(database, ["person", "department"]).measure()

    counts = {
        (kind, status): metrics.ENTITIES.labels(kind, status)._value.get()
        for kind in ("person", "department")
        for status in ("live", "retired")
    }
    assert counts == {
        ("person", "live"): 2,
        ("person", "retired"): 1,
        ("department", "live"): 0,
        ("department", "retired"): 0,
    }
    assert metrics.WRITTEN_AT.labels("person")._value.get() == 300
    assert metrics.WRITTEN_AT.labels("department")._value.get() == 0
