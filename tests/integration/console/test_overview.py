"""The first page and the services: what is counted, and what the services answer themselves."""

import pytest

from chassis.clock import SystemClock
from chassis.db import Database
from chassis.errors import UnavailableError
from chassis.health import Health, serving
from console.domain.roles import Role
from tests.integration.console.browser import Console, open_console, visible
from tests.integration.console.ledger import add_runs

_WAITING = """
insert into scanner.held_deletions (source, path, scan_id, reason, held_at)
select 'nas', path, gen_random_uuid(), 'too many', now()
from unnest(array['a.xml', 'b.xml']) as path;
insert into meta.record_errors (service, source, category, error_class, message)
values ('ingestor', 'nas', 'content_parse', 'X', 'cut off');
insert into meta.outbox (id, service, topic, key, value, created_at)
values (1, 'scanner', 'file.changed', '', '', now() - interval '2 minutes');
insert into meta.drifts (id, service, dataset, kind, old, new, changes, status)
values (gen_random_uuid(), 'ingestor', 'people', 'breaking', '{}', '{}', '[]', 'waiting')
"""


async def test_the_overview_says_what_runs_what_failed_and_what_waits(console: Console) -> None:
    viewer = await console.login()
    database = console.database
    async with database.connection() as connection:
        await connection.execute(_WAITING)
    await add_runs(database, target="healed", status="failed", count=1, seconds=0)
    await add_runs(database, target="broken", status="failed", message="no route to host")
    await add_runs(database, status="running", target="now", counts={"processed": 3}, total=9)
    await add_runs(database, target="fresh", seconds=0)

    page = visible(await viewer.page("/"))
    figures = (await viewer.read("/overview"))["figures"]

    assert figures.pop("outbox_seconds") == pytest.approx(120, abs=60)
    assert figures == {
        "running": 1,
        "queued": 0,
        "failed_runs": 2,
        "record_errors": 1,
        "held_deletions": 2,
        "waiting_approvals": 0,
        "open_dead_letters": 0,
        "waiting_drifts": 1,
        "outbox_waiting": 1,
    }
    assert "3 of 9" in page
    assert "no route to host" in page

    await add_runs(database, target="healed", seconds=0)
    state = await viewer.read("/overview")
    assert state["figures"]["failed_runs"] == 1
    freshness = {task["target"]: task["status"] for task in state["freshness"]}
    assert freshness == {"broken": "failed", "fresh": "completed", "healed": "completed"}
    assert sum(hour["completed"] for hour in state["hours"]) == 2


async def test_services_are_shown_with_their_lights(database: Database) -> None:
    health = Health(SystemClock())

    async def is_down() -> None:
        raise UnavailableError("Kafka does not answer")

    health.readiness["kafka"] = is_down
    async with serving(health, host="127.0.0.1", port=0) as port:
        addresses = f"scanner=http://127.0.0.1:{port},ingestor=http://127.0.0.1:1"
        async with open_console(database, CONSOLE_SERVICES=addresses) as console:
            viewer = await console.login(Role.VIEWER)
            page = visible(await viewer.page("/services"))
            probes = {item["service"]: item for item in await viewer.read("/probes")}
            services = {item["name"]: item for item in (await viewer.read("/services"))["services"]}
    assert probes["scanner"]["lights"]["kafka"] is False
    assert probes["scanner"]["problems"] == {"kafka": "Kafka does not answer"}
    assert probes["ingestor"]["is_ready"] is False
    assert "kafka: down" in page
    assert services["console"]["connections"] > 0
    assert services["scanner"]["connections"] == 0
