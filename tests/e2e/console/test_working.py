"""People at work, each in a browser of their own, on the real processes."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from playwright.async_api import Route

from chassis.db import Database
from tests.e2e.console.browsing import chromium
from tests.e2e.console.hub import customers, open_shop, open_site
from tests.support.addresses import KafkaAddress
from tests.support.console_seed.silver import seed_silver
from tests.support.databases import opened

pytestmark = pytest.mark.timeout(400)

CUSTOMERS = 91
OLD = 20


async def send(kafka: KafkaAddress, topic: str, data: dict[str, object]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
    await producer.start()
    try:
        await producer.send_and_wait(topic, json.dumps(data).encode(), key=b"k")
    finally:
        await producer.stop()


@pytest.mark.covers("S4-19", "S4-21", "S4-22", "S4-23")
async def test_a_refresh_is_asked_for_watched_approved_and_undone(
    kafka: KafkaAddress, database_url: str, tmp_path: Path
) -> None:
    shop, environment = await open_shop(kafka, database_url, tmp_path)
    async with (
        chromium() as browser,
        open_site(browser, environment, tmp_path, "refresher") as site,
    ):
        viewer, operator, approver = [
            await site.enter(role) for role in ("viewer", "operator", "approver")
        ]
        await viewer.open("/tables/customers")
        await viewer.sees("Needs the role operator; yours is viewer.")

        await operator.open("/tables/customers")
        await operator.fill("Refresh", mode="full_replace", reason="before the release")
        await operator.press("Refresh", heading="Refresh")
        await operator.sees("type")  # a full refresh asks for the table's name
        await operator.open("/tables/customers")
        await operator.fill(
            "Refresh", mode="full_replace", reason="before the release", confirm="customers"
        )
        await operator.press("Refresh", heading="Refresh")
        await operator.run_has_ended()

        # The other browser was not touched: the page told itself.
        await viewer.sees("A plan waits for approval.")
        await viewer.page.get_by_role("link", name="Look at what it would do").click()
        await viewer.sees("Needs the role approver; yours is viewer.")
        plan = viewer.page.url.removeprefix(site.address)
        assert await customers(shop) == (OLD, OLD)

        await approver.open(plan)
        await approver.sees("Destroys:")
        await approver.fill("Approve", reason="looked at it")
        await approver.press("Approve and apply", heading="Approve")
        await approver.run_has_ended()
        assert await customers(shop) == (CUSTOMERS, 0)

        await operator.open(plan)
        await operator.fill("Undo", reason="too early")
        await operator.press("Undo this refresh", heading="Undo")
        await operator.run_has_ended()
        assert await customers(shop) == (OLD, OLD)

        await site.admin.open("/audit")
        for person in (operator, approver):
            await site.admin.sees(person.name)
        people = (site.admin, viewer, operator, approver)
        assert [person.complaints for person in people] == [[], [], [], []]


async def test_a_dead_letter_is_replayed_and_discarded(
    kafka: KafkaAddress, database_url: str, tmp_path: Path
) -> None:
    _, environment = await open_shop(kafka, database_url, tmp_path)
    async with (
        chromium() as browser,
        open_site(browser, environment, tmp_path, "refresher") as site,
    ):
        operator = await site.enter("operator")
        await operator.open("/dead-letters")
        await operator.sees("Nothing is open")
        await send(kafka, "refresh.requested", {"table": "no_such_table"})
        await operator.sees("'no_such_table' is not configured")
        await operator.page.get_by_role("link", name="Replay…").click()
        await operator.sees("Replay 1 letters")
        await operator.page.get_by_role("button", name="Replay 1 letters").click()
        await operator.run_has_ended()

        # Nothing has changed, so it was refused again: a new letter that counts its replays.
        await operator.open("/dead-letters")
        await operator.sees("no_such_table", within="#groups")
        await operator.page.get_by_role("link", name="Discard…").click()
        await operator.page.locator("[name=reason]").fill("there will be no such table")
        await operator.page.get_by_role("button", name="Discard 1 letters").click()
        await operator.run_has_ended()
        await operator.open("/dead-letters?status=any")
        await operator.sees("Nothing is open")
        await operator.sees("discarded")
        await operator.sees("replayed")
        assert operator.complaints == []


async def test_a_value_is_explained_down_to_its_record(
    kafka: KafkaAddress, database_url: str, tmp_path: Path
) -> None:
    async with opened(database_url, "seed") as database:
        await seed_silver(database, database_url, people=12)
        name = await _somebody(database)
    environment = {**kafka.env, "DATABASE_URL": database_url}
    async with chromium() as browser, open_site(browser, environment, tmp_path) as site:
        viewer = await site.enter("viewer")
        await viewer.open("/entities/users")
        await viewer.page.locator("[type=search]").first.fill(name)
        await viewer.page.keyboard.press("Enter")  # what only one record has opens that record
        await viewer.sees("Instead of")
        await viewer.sees("Quality over time")
        await viewer.sees("Lineage")
        await viewer.sees("umich_api >")  # the rule that decided
        await viewer.sees("raw/")
        assert viewer.complaints == []


async def _somebody(database: Database) -> str:
    async with database.connection() as connection:
        name: str = await connection.fetchval(
            "select uniqname from silver.users u where exists (select 1 from silver.provenance p "
            "where p.entity_id = u.entity_id and p.losers <> '[]') order by uniqname limit 1"
        )
    return name


async def test_pages_of_others_and_forms_of_other_sites_are_refused(
    kafka: KafkaAddress, database_url: str, tmp_path: Path
) -> None:
    environment = {**kafka.env, "DATABASE_URL": database_url}
    async with chromium() as browser, open_site(browser, environment, tmp_path) as site:
        viewer = await site.enter("viewer")
        answers = await viewer.page.evaluate(
            """async () => {
                const send = (path, headers) => fetch(path, {method: "POST", headers,
                    body: new URLSearchParams({reason: "x"})}).then(answer => answer.status);
                return [await fetch("/users").then(answer => answer.status),
                        await send("/runs/00000000-0000-0000-0000-000000000000/cancel", {}),
                        await send("/logout", {"x-csrf-token": "made up"})];
            }"""
        )
        assert answers == [403, 403, 403]
        other = await viewer.page.context.new_page()
        await other.route("http://elsewhere.example/", _trap(site.address))
        await other.goto("http://elsewhere.example/")
        async with other.expect_response(f"{site.address}/logout") as answer:
            await other.get_by_role("button", name="Go").click()
        assert (await answer.value).status == 401  # the browser kept the cookie to itself
        await viewer.open("/")
        await viewer.sees("What the hub does at this moment")


def _trap(address: str) -> Callable[[Route], Awaitable[None]]:
    """Return a page of another site whose form is the console's."""

    async def answer(route: Route) -> None:
        body = f"<form method=post action={address}/logout><button>Go</button></form>"
        await route.fulfill(content_type="text/html", body=body)

    return answer
