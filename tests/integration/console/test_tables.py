import pytest

from console.domain.roles import Role
from tests.integration.console.browser import Browser, Console, visible
from tests.support.console_seed.ledger import HOSTILE, add_run
from tests.support.console_seed.tables import add_preview, seed_tables

NARROW = "\N{NARROW NO-BREAK SPACE}"


@pytest.fixture
async def plans(console: Console) -> dict[str, str]:
    """Ids of plans by their status; the waiting one is about `orders`."""
    async with console.database.connection() as connection, connection.transaction():
        return await seed_tables(connection)


async def status_of(browser: Browser, path: str, **fields: str) -> int:
    return (await browser.post(path, fields)).status_code


@pytest.mark.covers("S4-19", "S4-22")
async def test_both_databases_the_difference_and_the_history_of_a_table_are_told(
    console: Console, plans: dict[str, str]
) -> None:
    viewer = await console.login()
    tables = {table["key"]: table for table in await viewer.read("/tables")}
    assert list(tables)[:3] == ["countries", "customers", "orders"]
    customers = tables["customers"]
    assert (customers["source"]["rows"], customers["target"]["rows"]) == (249, 237)
    assert customers["drift"] == ["+ loyalty_tier text: will be added"]
    assert tables["orders"]["waiting"] == plans["waiting"]
    assert tables["payments"]["source"]["is_estimate"] is True

    page = visible(await viewer.page("/tables")).replace(NARROW, " ")
    assert "customers smart sync 249 237 \N{MINUS SIGN}12 differs" in page
    assert "waiting orders" in page
    assert "running payments payments: 412000 rows, 83 MB" in page
    assert "connection refused by production.example.org" in page

    detail = await viewer.read("/tables/customers")
    assert (len(detail["runs"]), len(detail["history"])) == (50, 48)
    page = await viewer.page("/tables/customers")
    assert page.count("<rect") == 50
    assert HOSTILE not in page
    assert "Watermark" in visible(page)


@pytest.mark.covers("S4-21")
async def test_a_refresh_wants_a_reason_and_a_full_one_the_name(
    console: Console, plans: dict[str, str]
) -> None:
    del plans
    operator = await console.login(Role.OPERATOR)
    path = "/tables/orders/refresh"
    assert await status_of(operator, path, mode="incremental") == 409
    assert await status_of(operator, path, mode="full_replace", reason="all of it") == 409
    assert await status_of(await console.login(), path, mode="incremental", reason="x y") == 403
    await operator.command(path, {"mode": "incremental", "reason": "release 4.3"})
    await operator.command(
        path, {"mode": "full_replace", "reason": "all of it", "confirm": "orders"}
    )
    await operator.command(path, {"mode": "full_replace", "reason": "look", "dry_run": "true"})
    await operator.command("/tables/all/count")
    sent = await console.outbox()
    assert [(item["topic"], item["table"]) for item in sent] == [
        ("refresh.requested", "orders"),
        ("refresh.requested", "orders"),
        ("refresh.requested", "orders"),
        ("refresh.preview-requested", "all"),
    ]
    assert [item.get("mode") for item in sent[:3]] == [
        "incremental",
        "full_replace",
        "full_replace",
    ]
    assert [item["dry_run"] for item in sent[:3]] == [False, False, True]
    assert {item["requester"] for item in sent} == {operator.name}


@pytest.mark.covers("S4-23")
async def test_a_plan_shows_what_it_destroys_and_is_approved_and_undone_by_those_who_may(
    console: Console, plans: dict[str, str]
) -> None:
    operator, approver = await console.login(Role.OPERATOR), await console.login(Role.APPROVER)
    waiting = f"/tables/orders/plans/{plans['waiting']}"
    page = visible(await operator.page(waiting))
    assert "all 88123 rows of the target are replaced" in page
    assert "legacy_code: the source does not have it any more" in page
    assert 'lock table "public"."orders"' in page
    assert "Needs the role approver" in page
    assert await status_of(operator, f"{waiting}/approve", reason="looked at it") == 403
    assert await status_of(approver, f"{waiting}/approve") == 409
    await approver.command(f"{waiting}/approve", {"reason": "looked at it"})
    assert await status_of(approver, f"{waiting}/undo", reason="no need") == 409

    applied = f"/tables/customers/plans/{plans['applied']}"
    assert await status_of(approver, f"{applied}/approve", reason="again") == 409
    await operator.command(f"{applied}/undo", {"reason": "the release is off"})
    approve, undo = await console.outbox()
    assert (approve["topic"], approve["plan"]) == ("refresh.approve-requested", plans["waiting"])
    assert (undo["topic"], undo["plan"]) == ("refresh.undo-requested", plans["applied"])
    assert (approve["table"], undo["table"]) == ("orders", "customers")
    refused = visible(await operator.page(f"/tables/all/plans/{plans['refused']}"))
    assert "`REFRESHER_MASKING_KEY` is not set" in refused
    assert (await operator.get("/tables/customers/plans/nothing")).status_code == 404


@pytest.mark.covers("S4-20", "C-43")
async def test_rows_are_fetched_by_the_refresher_and_every_look_at_them_is_audited(
    console: Console, plans: dict[str, str]
) -> None:
    del plans
    operator, viewer = await console.login(Role.OPERATOR), await console.login()
    assert await status_of(viewer, "/tables/customers/preview", side="source", reason="abc") == 403
    command_id = await operator.command(
        "/tables/customers/preview", {"side": "source", "reason": "ticket 12"}
    )
    path = f"/tables/customers/previews/{command_id}"
    assert "On its way to the refresher" in visible(await operator.page(path))
    (command,) = await console.outbox()
    assert (command["topic"], command["side"]) == ("refresh.preview-requested", "source")

    async with console.database.connection() as connection:
        await add_preview(connection, command_id, actor=operator.name)
    page = await operator.page(path)
    assert "masked: person" in visible(page)
    assert HOSTILE not in page
    assert len((await operator.read(path))["rows"]) == 50
    assert (await viewer.get(path)).status_code == 403
    assert (await operator.get(f"/tables/orders/previews/{command_id}")).status_code == 404
    entries = [(entry["actor"], entry["action"]) for entry in await console.audit()]
    assert entries == [
        (operator.name, "refresh.preview-requested"),
        (operator.name, "preview.viewed"),
        (operator.name, "preview.viewed"),
    ]

    async with console.database.connection() as connection:
        await connection.execute("update refresher.previews set expires_at = now()")
    assert "kept for some minutes only" in visible(await operator.page(path))


async def test_an_approval_is_not_given_again_by_somebody_who_may_not_approve(
    console: Console, plans: dict[str, str]
) -> None:
    operator, approver = await console.login(Role.OPERATOR), await console.login(Role.APPROVER)
    async with console.database.connection() as connection:
        run_id = await add_run(connection, "refresher", "refresh-apply", "orders", status="failed")
        await connection.execute(
            "insert into meta.commands (service, topic, command_id, target, requester, body, "
            "outcome, run_id) values ('refresher', 'refresh.approve-requested', 'c', 'orders', "
            "'carla', $1, 'accepted', $2)",
            {"plan": plans["waiting"], "table": "orders"},
            run_id,
        )
    assert await status_of(operator, f"/runs/{run_id}/retry") == 409
    assert await console.outbox() == []
    await approver.command(f"/runs/{run_id}/retry")
    (command,) = await console.outbox()
    assert (command["topic"], command["requester"]) == ("refresh.approve-requested", approver.name)
