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


async def test_a_command_is_audited_leaves_through_the_outbox_and_is_followed(
    console: Console,
) -> None:
    operator, viewer = await console.login(Role.OPERATOR), await console.login(Role.VIEWER)
    (run_id,) = await add_runs(console.database, status="running")

    assert "Cancel" not in visible(await viewer.page(f"/runs/{run_id}"))
    answer = await operator.post(f"/runs/{run_id}/cancel", {"requester": "somebody else"})
    assert answer.headers["location"] == f"/runs/{run_id}?asked=cancel"
    (sent,) = await console.outbox()
    assert (sent["topic"], sent["run_id"]) == ("run.cancel-requested", str(run_id))
    assert sent["requester"] == operator.name
    (entry,) = await console.audit()
    assert (entry["actor"], entry["subject"]) == (operator.name, str(run_id))
    assert entry["details"]["command_id"] == sent["command_id"]

    path = f"/commands/{sent['command_id']}"
    assert "On its way" in visible(await viewer.page(path))
    async with console.database.connection() as connection:
        await connection.execute(
            "insert into meta.commands (service, topic, command_id, target, requester, body, "
            "outcome, run_id) values ('scanner', $1, $2, 'x', 'x', '{}', 'accepted', $3)",
            sent["topic"],
            sent["command_id"],
            run_id,
        )
    assert (await viewer.get(path)).headers["location"] == f"/runs/{run_id}"
    assert (await viewer.read(path))["outcome"] == "accepted"


async def test_a_run_is_asked_for_again_as_it_was_by_whoever_asks_now(console: Console) -> None:
    operator = await console.login(Role.OPERATOR)
    (run_id,) = await add_runs(console.database, status="failed", command_id="c1")
    (scheduled,) = await add_runs(console.database, status="failed", target="scheduled")
    (running,) = await add_runs(console.database, status="running", target="running")
    body = {"source": "nas", "mode": "full", "requester": "ann", "command_id": "c1"}
    async with console.database.connection() as connection:
        await connection.execute(
            "insert into meta.commands (service, topic, command_id, target, requester, body, "
            "outcome, run_id) values ('scanner', 'scan.requested', 'c1', 'nas', 'ann', $1, "
            "'accepted', $2)",
            body,
            run_id,
        )
    command_id = await operator.command(f"/runs/{run_id}/retry")
    (sent,) = await console.outbox()
    assert (sent["source"], sent["mode"]) == ("nas", "full")
    assert (sent["requester"], sent["command_id"]) == (operator.name, command_id)
    for other in (scheduled, running):
        assert (await operator.post(f"/runs/{other}/retry")).status_code == 409
    assert (await operator.post(f"/runs/{run_id}/cancel")).status_code == 409
