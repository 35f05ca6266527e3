"""Changed schemas of tables: the table stops, the rest goes on, and a person decides."""

import itertools
from typing import Any

import pytest

from chassis.clock import SystemClock
from chassis.drift import decision_handler
from contracts.topics import SCHEMA_DECISION_REQUESTED
from refresher.adapters.ledger import PostgresLedger
from refresher.handlers.decisions import Decisions
from tests.integration.refresher.conftest import Open
from tests.integration.refresher.estate import Estate
from tests.integration.refresher.hub import Hub
from tests.support.batches import bare, batch_of

_offsets = itertools.count()


async def make(estate: Estate, *, things: str) -> None:
    """Make `things` with these columns in production, and a table beside it that fits."""
    await estate.production_does(
        f"create table things ({things})",
        "insert into things (id) values (1)",
        "create table notes (id int primary key)",
        "insert into notes values (1), (2)",
    )
    await estate.uat_does(
        "create table things (id int primary key, name text)",
        "insert into things values (7, 'kept?')",
        "create table notes (id int primary key)",
    )


async def decide(hub: Hub, **body: Any) -> list[str]:
    """Send a decision as any Kafka client would; return why it was refused, if it was."""
    delivery = bare(SCHEMA_DECISION_REQUESTED, body, offset=next(_offsets))
    batch = batch_of(hub.database, [delivery])
    decisions = Decisions(PostgresLedger())
    handler = decision_handler(
        decisions.accept,
        service="refresher",
        clock=SystemClock(),
        on_reject=decisions.reject,
    )
    await handler(batch)
    return [str(error) for _, error in batch.rejected.values()]


async def drift_of(hub: Hub) -> dict[str, Any]:
    (drift,) = await hub.rows("select * from meta.drifts")
    return drift | {"id": str(drift["id"])}


async def in_uat(estate: Estate, table: str) -> list[tuple[Any, ...]]:
    return await estate.rows(estate.uat_url, f"select * from {table} order by 1")


TABLES = [{"name": "things"}, {"name": "notes"}]


@pytest.mark.covers("S4-02")
@pytest.mark.parametrize(
    ("things", "change"),
    [
        (
            "id int primary key",
            {"field": "name", "effect": "removed", "old": "text", "new": None},
        ),
        (
            "id int primary key, name int",
            {"field": "name", "effect": "retyped", "old": "text", "new": "integer"},
        ),
    ],
)
async def test_a_table_that_changed_is_left_out_until_its_schema_is_accepted(
    estate: Estate, opening: Open, things: str, change: dict[str, str | None]
) -> None:
    await make(estate, things=things)
    async with opening(TABLES) as hub:
        row = await hub.run("refresh", "all", table="all")
        assert (row["status"], row["counts"]["quarantined"]) == ("completed-with-errors", 1)
        assert await in_uat(estate, "notes") == [(1,), (2,)]
        assert await in_uat(estate, "things") == [(7, "kept?")]
        drift = await drift_of(hub)
        assert (drift["dataset"], drift["status"], drift["changes"]) == (
            "things",
            "waiting",
            [change],
        )
        assert drift["run_id"] == row["run_id"]

        assert await decide(hub, drift_id=drift["id"], decision="accept", requester="ops") == []
        (queued,) = await hub.rows("select * from meta.runs where status = 'queued'")
        assert (queued["target"], queued["requester"]) == ("things", "ops")
        assert await hub.work()
        assert (await hub.row(str(queued["run_id"])))["status"] == "completed"
        assert await in_uat(estate, "things") == [(1, None)]
        # From now on nobody is asked.
        again = await hub.refresh()
        assert again["counts"]["quarantined"] == 0
        assert (await drift_of(hub))["status"] == "accepted"


@pytest.mark.parametrize(("decision", "status"), [("accept", "stale"), ("reject", "rejected")])
async def test_a_decision_about_the_schema_ends_the_plan_that_waited(
    estate: Estate, opening: Open, decision: str, status: str
) -> None:
    await make(estate, things="id int primary key")
    async with opening([{"name": "things"}]) as hub:
        row = await hub.refresh("things")
        assert (await hub.plan_of(row))[1] == "waiting"
        assert await decide(hub, drift_id=(await drift_of(hub))["id"], decision=decision) == []
        plan, found = await hub.plan_of(row)
        assert found == status
        while await hub.work():
            pass
        late = await hub.run("refresh-apply", "things", plan=plan.plan_id)
        assert f"is {status}: only one that waits is approved" in late["message"]


async def test_a_rejected_schema_stops_the_table_and_says_why(
    estate: Estate, opening: Open
) -> None:
    await make(estate, things="id int primary key")
    async with opening(TABLES) as hub:
        await hub.run("refresh", "all", table="all")
        drift = await drift_of(hub)
        assert (
            await decide(
                hub, drift_id=drift["id"], decision="reject", requester="ops", reason="put it back"
            )
            == []
        )
        assert await hub.rows("select * from meta.runs where status = 'queued'") == []
        row = await hub.run("refresh", "things", table="things")
        assert row["status"] == "failed"
        assert f"schema drift {drift['id']}" in row["message"]
        assert "rejected by ops: put it back" in row["message"]
        (refusal,) = await decide(hub, drift_id=drift["id"], decision="accept")
        assert "was rejected by ops" in refusal
        assert await in_uat(estate, "things") == [(7, "kept?")]


@pytest.mark.covers("S4-02")
async def test_a_new_column_is_noted_once(estate: Estate, opening: Open) -> None:
    await make(estate, things="id int primary key, name text, born date")
    async with opening([{"name": "things"}]) as hub:
        for _ in range(2):
            await hub.refresh("things", dry_run=True)
        await hub.refresh("things")
        drift = await drift_of(hub)
        assert (drift["kind"], drift["status"]) == ("additive", "noted")
        announced = await hub.rows("select 1 from meta.outbox where topic = 'schema.drifted'")
        assert len(announced) == 1
