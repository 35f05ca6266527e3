"""Commands through the console's API: what a token may, and what becomes of it."""

import json

import pytest

from console.domain.roles import Role
from tests.integration.cli.conftest import ELSEWHERE, CommandLine
from tests.support.console_seed.datasets import seed_datasets
from tests.support.console_seed.inbox import seed_drifts, seed_letters
from tests.support.console_seed.silver import seed_silver
from tests.support.console_seed.tables import seed_tables


async def test_a_token_asks_for_what_its_role_may_and_for_nothing_more(line: CommandLine) -> None:
    viewer, operator = await line.token(Role.VIEWER), await line.token(Role.OPERATOR)
    cases = [
        (viewer, ("scan", "nas"), "operator; yours is viewer"),
        (viewer, ("flow", "daily-market"), "operator; yours is viewer"),
        (viewer, ("refresh", "--table", "orders"), "operator; yours is viewer"),
        (operator, ("refresh", "--table", "orders", "--force"), "approver; yours is operator"),
        (operator, ("scan", "nas", "--release-held-deletions"), "approver; yours is operator"),
        (operator, ("users", "list"), "admin; yours is operator"),
    ]
    for token, arguments, told in cases:
        sentence = await line.refused(*arguments, PENSTOCK_TOKEN=token)
        assert f"This needs the role {told}." in sentence, arguments
        assert "PENSTOCK_TOKEN" in sentence
    assert await line.console.outbox() == []

    asked = await line.run("scan", "nas", "--mode", "full", PENSTOCK_TOKEN=operator)
    assert asked.stdout.startswith("Asked for a scan of nas (command ")
    for _ in range(2):
        named = ("--command-id", "cron/orders-1")
        asked = await line.run("refresh", "--table", "orders", *named, PENSTOCK_TOKEN=operator)
        assert asked.stdout == "Asked for a refresh of orders (command cron/orders-1).\n"
    assert "is the id of another command" in await line.refused("flow", "daily", *named)
    scan, refresh = await line.console.outbox()
    assert (scan["source"], scan["mode"], scan["requester"]) == ("nas", "full", "root/operator")
    assert (refresh["table"], refresh["command_id"]) == ("orders", "cron/orders-1")


async def test_values_are_for_operators_and_every_look_through_a_token_is_audited(
    line: CommandLine,
) -> None:
    async with line.console.database.connection() as connection, connection.transaction():
        await seed_letters(connection, count=120)
        drifts = await seed_drifts(connection)
    viewer, operator = await line.token(Role.VIEWER), await line.token(Role.OPERATOR)
    listed = await line.tell("dlq", "list", "--limit", "1000", PENSTOCK_TOKEN=viewer)
    assert await line.tell("dlq", "list", "--limit", "1000", **ELSEWHERE) == listed
    groups = await line.tell("dlq", "list", "--groups", PENSTOCK_TOKEN=viewer)
    assert sum(group["count"] for group in groups) == len(listed) > 50
    letter = listed[0]["id"]
    events = [item["event_id"] for item in listed[:2]]
    chosen = ("dlq", "list", "--event", events[0], "--event", events[1])
    assert await line.tell(*chosen, PENSTOCK_TOKEN=viewer) == listed[:2]

    hidden = await line.tell("dlq", "show", letter[:13], PENSTOCK_TOKEN=viewer)
    shown = await line.tell("dlq", "show", letter, PENSTOCK_TOKEN=operator)
    assert shown == await line.tell("dlq", "show", letter, **ELSEWHERE)
    assert ("value_base64" in hidden, "value_base64" in shown) == (False, True)
    one = await line.tell("drift", "show", str(drifts[0])[:18], PENSTOCK_TOKEN=viewer)
    whole = await line.tell("drift", "show", str(drifts[0]), PENSTOCK_TOKEN=operator)
    assert (one["sample"], one | {"sample": whole["sample"]}) == (None, whole)
    assert whole == await line.tell("drift", "show", str(drifts[0]), **ELSEWHERE)
    decide = ("drift", "reject", str(drifts[0]), "--reason", "no")
    assert "needs the role approver" in await line.refused(*decide, PENSTOCK_TOKEN=operator)

    looks = [entry for entry in await line.console.audit() if entry["action"].endswith(".viewed")]
    assert [(entry["actor"], entry["action"]) for entry in looks] == [
        ("root/operator", "dead-letter.viewed"),
        ("root/operator", "drift-sample.viewed"),
    ]


@pytest.mark.covers("S2-26")
async def test_silver_and_plans_are_told_alike_by_both_ways(
    line: CommandLine, database_url: str
) -> None:
    (entity_id, *_) = await seed_silver(line.console.database, database_url, people=3)
    async with line.console.database.connection() as connection, connection.transaction():
        await seed_datasets(connection)
        plans = await seed_tables(connection)
    for arguments in (
        ("explain", "users", entity_id),
        ("runs", "--last", "5"),
        ("refresh", "history"),
        ("refresh", "status"),
        ("refresh", "plan", "--show", next(iter(plans.values()))),
        ("wrds", "status", "--via-hub"),
    ):
        told = await line.tell(*arguments)
        assert await line.tell(*arguments, **ELSEWHERE) == told, arguments
    status = await line.tell("refresh", "status")
    assert (status["waiting"][0]["why"], bool(status["databases"])) != ([], False)
    assert "there is no data set `nothing`" in await line.refused(
        "wrds", "status", "--via-hub", "--dataset", "nothing"
    )
    explained = await line.tell("explain", "users", entity_id)
    titles = [value for value in explained["values"] if value["field"] == "title"]
    assert titles[0]["losers"][0]["source"] == "tdx"
    assert json.dumps(explained["score"]).startswith('"')


async def test_without_any_address_the_missing_variable_is_named(line: CommandLine) -> None:
    nowhere = ELSEWHERE | {"DATABASE_URL": None, "PENSTOCK_STATE_DIR": "/nowhere"}
    assert "`DATABASE_URL` is missing" in await line.refused("drift", "list", **nowhere)
    nowhere |= {"KAFKA_BOOTSTRAP_SERVERS": None}
    told = await line.refused("scan", "nas", **nowhere)
    assert "`KAFKA_BOOTSTRAP_SERVERS` is missing" in told
    half = {"PENSTOCK_TOKEN": None}
    assert "`PENSTOCK_TOKEN` is missing" in await line.refused("drift", "list", **half)
