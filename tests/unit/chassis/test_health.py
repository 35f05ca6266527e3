"""What the probes answer (without a socket)."""

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any

import pytest

from chassis import health as health_module
from chassis import metrics
from chassis.clock import SystemClock
from chassis.errors import PermanentError, UnavailableError
from chassis.health import Check, Health, build_health_app
from tests.support.clocks import HandClock


async def get(health: Health, path: str) -> tuple[int, str]:
    """Ask the application without a server."""
    messages: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        messages.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
        "root_path": "",
        "http_version": "1.1",
    }
    await build_health_app(health)(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in messages)
    return messages[0]["status"], body.decode()


async def fine() -> None:
    pass


async def away() -> None:
    raise UnavailableError("postgresql://user:hunter2-canary@db does not answer")


async def test_a_process_that_turns_is_alive_whatever_its_dependencies_do() -> None:
    health = Health(HandClock(), readiness={"postgresql": away, "kafka": away})

    status, body = await get(health, "/livez")

    assert (status, json.loads(body)) == (200, {"loop_seconds": 0.0})


async def test_a_loop_that_has_not_turned_for_half_a_minute_is_not_alive() -> None:
    clock = HandClock()
    health = Health(clock)

    clock.seconds += 29.9
    assert (await get(health, "/livez"))[0] == 200
    clock.seconds += 0.2
    assert (await get(health, "/livez"))[0] == 503


async def test_the_watch_over_the_loop_keeps_the_process_alive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = HandClock()
    health = Health(clock)
    real_sleep = asyncio.sleep

    async def hurry(_: float) -> None:
        clock.seconds += 1.25  # a quarter of a second late
        await real_sleep(0)

    monkeypatch.setattr(asyncio, "sleep", hurry)
    watching = asyncio.get_running_loop().create_task(health.watch_loop())
    for _ in range(100):
        await real_sleep(0)
    watching.cancel()

    assert clock.seconds > 60
    assert (await get(health, "/livez"))[0] == 200
    assert metrics.LOOP_LAG._value.get() == pytest.approx(0.25)


@pytest.mark.parametrize("path", ["/readyz", "/startupz"])
async def test_a_probe_names_what_is_wrong_and_no_secret(path: str) -> None:
    checks: dict[str, Check] = {"postgresql": away, "kafka": fine}
    health = Health(SystemClock(), readiness=checks, startup=checks)

    status, body = await get(health, path)

    assert status == 503
    assert json.loads(body) == {"problems": {"postgresql": "postgresql://***@db does not answer"}}


@pytest.mark.parametrize("path", ["/readyz", "/startupz"])
async def test_a_probe_is_green_when_nothing_is_wrong(path: str) -> None:
    health = Health(SystemClock(), readiness={"kafka": fine}, startup={"migrations": fine})

    assert await get(health, path) == (200, '{"problems":{}}')


async def test_a_dependency_that_hangs_does_not_hang_the_probe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health_module, "CHECK_DEADLINE_SECONDS", 0.05)

    async def hang() -> None:
        await asyncio.Event().wait()

    health = Health(SystemClock(), readiness={"kafka": hang, "postgresql": fine})
    async with asyncio.timeout(2):
        status, body = await get(health, "/readyz")

    assert (status, json.loads(body)) == (503, {"problems": {"kafka": "TimeoutError"}})


async def test_the_last_check_of_each_dependency_is_a_metric() -> None:
    async def refuse() -> None:
        raise PermanentError

    health = Health(SystemClock(), readiness={"one-of-test": fine, "other-of-test": refuse})
    await get(health, "/readyz")

    status, page = await get(health, "/metrics")

    assert status == 200
    assert 'penstock_dependency_up{dependency="one-of-test"} 1.0' in page
    assert 'penstock_dependency_up{dependency="other-of-test"} 0.0' in page


async def test_nothing_else_is_served() -> None:
    for path in ("/", "/docs", "/docs/try", "/asyncapi"):
        assert (await get(Health(SystemClock()), path))[0] == 404
