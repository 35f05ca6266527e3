import pytest

from console.domain.roles import Role
from tests.integration.console.browser import Console, visible
from tests.support.console_seed.datasets import seed_datasets


@pytest.fixture
async def seeded(console: Console) -> Console:
    async with console.database.connection() as connection, connection.transaction():
        await seed_datasets(connection)
    return console


@pytest.mark.covers("S5-29", "S5-31")
async def test_data_sets_tell_partitions_vintages_restatements_writers_and_the_disk(
    seeded: Console,
) -> None:
    viewer = await seeded.login()
    page = visible(await viewer.page("/datasets"))
    assert "84 %" in page
    assert "damaged ff_factors not a manifest: ValidationError" in page
    assert "failed ibes_summary" in page
    found = await viewer.read("/datasets/crsp_daily")
    assert (len(found["partitions"]), found["partitions"][0]["year"]) == (26, 2026)
    assert (found["lease"]["token"], found["line"]["lock"]["fencing"]) == (41, 41)
    assert [item["rows_added"] for item in found["restatements"]] == [300, 300, 300]
    vintages = await viewer.read("/datasets/crsp_daily/vintages")
    assert [item["is_kept"] for item in vintages["items"]] == [True] * 3 + [False] * 9
    page = visible(await viewer.page("/datasets/crsp_daily"))
    assert "wrds/crsp/daily/2026.parquet" in page
    assert "wrds-sync-7c9f, process 4711" in page
    assert (await viewer.get("/datasets/nothing")).status_code == 404


async def test_an_operator_syncs_one_or_all(seeded: Console) -> None:
    operator, viewer = await seeded.login(Role.OPERATOR), await seeded.login()
    await operator.command("/datasets/crsp_daily/sync", {"mode": "full", "start_year": "2010"})
    await operator.command("/datasets/all/sync", {"mode": "verify"})
    one, every = await seeded.outbox()
    assert (one["dataset"], one["mode"], one["start_year"]) == ("crsp_daily", "full", 2010)
    assert (every["dataset"], every["mode"]) == ("all", "verify")
    assert (await viewer.post("/datasets/all/sync", {"mode": "verify"})).status_code == 403
    assert (await operator.post("/datasets/nothing/sync")).status_code == 404
