from console.domain.roles import Role
from tests.integration.console.browser import Console, visible
from tests.integration.console.ledger import add_runs


async def test_the_list_of_runs_is_filtered_and_paged_alike_for_people_and_programs(
    console: Console,
) -> None:
    viewer = await console.login(Role.VIEWER)
    await add_runs(console.database, count=60, target="file", counts={"processed": 12})
    await add_runs(console.database, target="broken", status="failed", message="no route to host")

    page = visible(await viewer.page("/runs?state=failed"))
    assert "broken" in page
    assert "no route to host" in page
    assert "file1" not in page

    first = await viewer.read("/runs?target=file")
    assert len(first["items"]) == 50
    rest = await viewer.read(f"/runs?target=file&cursor={first['next']}")
    assert len(rest["items"]) == 10
    assert rest["next"] is None
    ids = {run["run_id"] for run in first["items"] + rest["items"]}
    assert len(ids) == 60


async def test_a_run_is_shown_with_its_course(console: Console) -> None:
    viewer = await console.login()
    (run_id,) = await add_runs(
        console.database, status="running", counts={"processed": 40, "new": 7}, total=80
    )

    page = visible(await viewer.page(f"/runs/{run_id}"))

    assert "scan transcripts" in page
    assert "40 of 80" in page
    assert "7 new" in page
    assert (await viewer.read(f"/runs/{run_id}"))["line"]["status"] == "running"


async def test_what_is_no_run_is_not_found(console: Console) -> None:
    viewer = await console.login()
    for wrong in ("nothing", "00000000-0000-0000-0000-000000000000"):
        assert (await viewer.get(f"/runs/{wrong}")).status_code == 404
        assert (await viewer.get(f"/api/v1/runs/{wrong}")).status_code == 404
