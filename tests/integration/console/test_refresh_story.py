"""What the console asks for is what the refresher does, and what it shows is what came of it.

The console's outbox is handed to the refresher's own command handlers, without a broker between.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

import pytest

from chassis.bus.codec import decode_event
from chassis.bus.delivery import Delivery
from chassis.bus.records import Record
from chassis.clock import SystemClock
from chassis.commands import CommandSpec, command_handler
from console.domain.roles import Role
from contracts.topics import (
    REFRESH_APPROVE_REQUESTED,
    REFRESH_PREVIEW_REQUESTED,
    REFRESH_REQUESTED,
    REFRESH_UNDO_REQUESTED,
)
from refresher.app import build_looking
from refresher.jobs import APPLY, PREVIEW, REFRESH, UNDO, refresh_jobs
from tests.integration.console.browser import Browser, Console, visible
from tests.integration.refresher.estate import Estate, open_estate
from tests.integration.refresher.hub import MASKING, Hub, configuration, open_hub
from tests.support.addresses import PostgresAddress
from tests.support.batches import batch_of

TABLE = "create table customer (id int primary key, last_name text)"
NAMES = "select string_agg(last_name, ',' order by id) from customer"
KINDS = {
    topic.name: (topic, kind)
    for topic, kind in (
        (REFRESH_REQUESTED, REFRESH),
        (REFRESH_APPROVE_REQUESTED, APPLY),
        (REFRESH_UNDO_REQUESTED, UNDO),
        (REFRESH_PREVIEW_REQUESTED, PREVIEW),
    )
}


@dataclass
class Refresher:
    """The service behind the console."""

    hub: Hub

    async def answer(self) -> None:
        """Read one command from the console's outbox and carry it out."""
        (row,) = await self.hub.rows(
            "delete from meta.outbox where service = 'console' returning id, topic, key, value"
        )
        topic, kind = KINDS[row["topic"]]
        record = Record(topic.name, 0, row["id"], row["key"], row["value"], (), 0)
        handle = command_handler(
            CommandSpec(topic, kind=kind, targets=lambda: {"customer", "all"}),
            service="refresher",
            clock=SystemClock(),
        )
        delivery = Delivery(decode_event(topic, record), record)
        await handle(batch_of(self.hub.database, [delivery]))
        refresher = self.hub.refresher()
        looking = build_looking(refresher.config, self.hub.part(), refresher)
        assert await self.hub.work(refresh_jobs(refresher, looking))


@pytest.fixture
async def estate(postgres: PostgresAddress, unique: str) -> AsyncGenerator[Estate]:
    async with open_estate(postgres, unique) as opened:
        yield opened


@pytest.fixture
async def refresher(estate: Estate, database_url: str) -> AsyncGenerator[Refresher]:
    await estate.production_does(TABLE, "insert into customer values (1, 'Doe'), (2, 'Roe')")
    await estate.uat_does(TABLE, "insert into customer values (1, 'old')")
    await estate.give_to_roles()
    config = configuration(
        estate, [{"name": "customer"}], masking=MASKING, approval={"destructive": "ask"}
    )
    async with open_hub(estate, database_url, config) as hub:
        opened = hub.refresher()
        await build_looking(opened.config, hub.part(), opened).register()
        yield Refresher(hub)


async def rows_of(browser: Browser, refresher: Refresher, side: str) -> list[str]:
    """Fetch rows on the console's page; return the names, the newest first."""
    fields = {"side": side, "reason": "ticket 12"}
    command_id = await browser.command("/tables/customer/preview", fields)
    await refresher.answer()
    found = await browser.read(f"/tables/customer/previews/{command_id}")
    return [name for _, name in found["rows"]]


@pytest.mark.covers("S4-19", "S4-20", "S4-21", "S4-22", "C-43")
async def test_a_table_is_counted_refreshed_approved_looked_at_and_undone(
    console: Console, refresher: Refresher, estate: Estate
) -> None:
    operator, approver = await console.login(Role.OPERATOR), await console.login(Role.APPROVER)
    await operator.command("/tables/customer/count")
    await refresher.answer()
    assert "never refreshed customer full replace 2 1" in visible(await operator.page("/tables"))

    await operator.command("/tables/customer/refresh", {"reason": "release 4.3"})
    await refresher.answer()
    (table,) = await operator.read("/tables")
    plan = f"/tables/customer/plans/{table['waiting']}"
    page = visible(await approver.page(plan))
    assert "all 1 rows of the target are replaced" in page
    assert "Masked last_name" in page
    assert await estate.in_uat(NAMES) == "old"

    await approver.command(f"{plan}/approve", {"reason": "looked at it"})
    await refresher.answer()
    masked = (await estate.in_uat(NAMES)).split(",")
    (table,) = await operator.read("/tables")
    assert (table["target"]["rows"], table["last"]["rows_read"]) == (2, 2)
    assert "applied" in visible(await operator.page(plan))

    # Production looks exactly as a refresh has made UAT look.
    assert await rows_of(operator, refresher, "source") == masked[::-1]
    assert await rows_of(operator, refresher, "target") == masked[::-1]
    assert not {"Doe", "Roe"} & set(masked)

    await operator.command(f"{plan}/undo", {"reason": "too early"})
    await refresher.answer()
    assert await estate.in_uat(NAMES) == "old"
    assert "undone" in visible(await operator.page("/tables/customer"))
    actors = {(entry["action"], entry["actor"]) for entry in await console.audit()}
    assert ("refresh.approved", approver.name) in actors
    assert ("refresh.undone", operator.name) in actors
    assert ("preview.viewed", operator.name) in actors
