"""A service process: how it starts, stops, fails, and what it says (real processes)."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from chassis.runs.ledger import submit
from penstock.stack.ports import free_port
from tests.support.addresses import KafkaAddress
from tests.support.databases import opened
from tests.support.eventually import eventually
from tests.support.paths import PROJECT

NO_INTEGER = "Input should be a valid integer, unable to parse string as an integer"
SCRIPT = PROJECT / "tests/support/tiny_service.py"


@dataclass
class Tiny:
    """A running service and what it has said."""

    process: asyncio.subprocess.Process
    lines: list[dict[str, Any]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def said(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]

    async def says(self, event: str) -> dict[str, Any]:
        """Wait until it says so."""
        await eventually(lambda: self.said(event) or self._ended(), timeout=20)
        return self.said(event)[0]

    def _ended(self) -> bool:
        assert self.process.returncode is None, (self.lines, self.errors)
        return False

    async def exit_code(self, *, within: float = 20) -> int:
        async with asyncio.timeout(within):
            code = await self.process.wait()
        await eventually(lambda: self._drained, timeout=5)
        return code

    _drained: bool = False

    async def listen(self) -> None:
        """Read what it writes, for as long as it writes."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        async for line in self.process.stdout:
            self.lines.append(json.loads(line))
        self.errors = (await self.process.stderr.read()).decode().splitlines()
        self._drained = True


Start = Callable[..., contextlib.AbstractAsyncContextManager[Tiny]]


@pytest.fixture
def start(database_url: str, tmp_path: Path) -> Start:
    """Start the tiny service; without Kafka unless a test gives its address."""
    defaults = {
        "DATABASE_URL": database_url,
        "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}",
        "PENSTOCK_GRACE_SECONDS": "5",
        "PATH": os.defpath,
        "PYTHONPATH": str(PROJECT),
    }

    @contextlib.asynccontextmanager
    async def started(scenario: str = "calm", **environment: str | None) -> AsyncGenerator[Tiny]:
        given = defaults | environment
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(SCRIPT),
            scenario,
            env={name: value for name, value in given.items() if value is not None},
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        tiny = Tiny(process)
        async with asyncio.TaskGroup() as group:
            group.create_task(tiny.listen())
            try:
                yield tiny
            finally:
                if process.returncode is None:
                    process.kill()

    return started


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


async def ask(port: int, path: str) -> tuple[int, str]:
    return await asyncio.to_thread(get, port, path)


# --- stopping


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
async def test_a_signal_ends_it_with_zero(start: Start, kafka: KafkaAddress, number: str) -> None:
    async with start("calm", **kafka.env) as tiny:
        await tiny.says("service_started")
        tiny.process.send_signal(signal.Signals[number])
        assert await tiny.exit_code() == 0

    assert [line["event"] for line in tiny.lines if line["event"].startswith("service_")] == [
        "service_started",
        "service_stopping",
        "service_stopped",
    ]
    assert tiny.errors == []


async def test_a_renewed_secret_ends_it_with_zero_to_be_started_anew(
    start: Start, database_url: str, tmp_path: Path
) -> None:
    secret = tmp_path / "secrets" / "DATABASE_URL"
    secret.parent.mkdir()
    secret.touch(mode=0o600)
    secret.write_text(database_url)

    async with start(DATABASE_URL=None, PENSTOCK_SECRETS_DIR=str(secret.parent)) as tiny:
        await tiny.says("service_started")
        await asyncio.sleep(0.5)  # it has read them
        secret.write_text(f"{database_url}?application_name=renewed")
        assert await tiny.exit_code() == 0

    (found,) = tiny.said("renewed_files_found")
    assert found["files"] == ["DATABASE_URL"]
    assert tiny.said("service_stopped")


async def test_it_stops_in_time_while_kafka_is_away(start: Start) -> None:
    async with start("calm") as tiny:
        await tiny.says("relay_interrupted")
        begun = time.monotonic()
        tiny.process.terminate()
        assert await tiny.exit_code() == 0

    assert time.monotonic() - begun < 15


async def test_a_signal_while_it_waits_for_the_database_ends_it_with_zero(start: Start) -> None:
    async with start("calm", DATABASE_URL=f"postgresql://u@127.0.0.1:{free_port()}/x") as tiny:
        await tiny.says("retry_waits")
        tiny.process.terminate()
        assert await tiny.exit_code(within=5) == 0

    assert tiny.said("service_stopped_before_start")
    assert not tiny.said("service_started")


async def test_a_part_that_does_not_stop_is_left_behind_after_the_grace(start: Start) -> None:
    async with start("deaf", PENSTOCK_GRACE_SECONDS="1") as tiny:
        await tiny.says("service_started")
        tiny.process.terminate()
        assert await tiny.exit_code(within=15) == 1

    (overdue,) = tiny.said("service_stop_overdue")
    assert overdue["parts"] == ["part"]


async def test_a_run_in_hand_goes_back_to_the_queue(start: Start, database_url: str) -> None:
    async with opened(database_url) as database:
        async with database.transaction() as transaction:
            await submit(transaction, service="tiny", kind="sleep", target="x")

        async def row() -> dict[str, Any]:
            async with database.connection() as connection:
                return dict(await connection.fetchrow("select * from meta.runs") or {})

        async with start("working") as tiny:
            await tiny.says("run_started")
            await eventually(lambda: _has_checkpoint(row), timeout=10)
            tiny.process.terminate()
            assert await tiny.exit_code() == 0

        after = await row()
    assert (after["status"], after["failures"], after["checkpoint"]) == ("queued", 0, {"page": 1})


async def _has_checkpoint(row: Callable[[], Any]) -> bool:
    return (await row())["checkpoint"] is not None


# --- failing


@pytest.mark.covers("S2-29", "S2-09")
async def test_a_bug_in_a_part_ends_the_process_with_one_and_its_traceback(start: Start) -> None:
    async with start("bug") as tiny:
        assert await tiny.exit_code() == 1

    (failure,) = tiny.said("service_failed")
    assert (failure["level"], failure["error_class"]) == ("critical", "KeyError")
    assert "in _bug" in failure["exception"]


async def test_an_expected_failure_of_a_part_is_one_line_without_a_traceback(start: Start) -> None:
    async with start("outage") as tiny:
        assert await tiny.exit_code() == 1

    (failure,) = tiny.said("service_failed")
    assert failure["error"] == "the part https://***@host is away"
    assert "exception" not in failure


@pytest.mark.covers("S1-04", "S2-09", "S2-33")
async def test_bad_settings_are_listed_one_a_line_without_values(start: Start) -> None:
    async with start(
        "calm",
        DATABASE_URL=None,
        KAFKA_BATCH_MAX_RECORDS="hunter2-canary",
        KAFKA_BOOTSTRAP_SERVER="hunter2-canary",
    ) as tiny:
        assert await tiny.exit_code() == 1

    assert tiny.lines == []
    assert tiny.errors == [
        "`DATABASE_URL` is missing",
        f"`KAFKA_BATCH_MAX_RECORDS` {NO_INTEGER}",
        "`KAFKA_BOOTSTRAP_SERVER` is not a setting (did you mean `KAFKA_BOOTSTRAP_SERVERS`?)",
    ]


async def test_a_port_that_is_taken_is_a_clear_error(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with start("calm", PENSTOCK_HTTP_PORT=str(port)) as tiny:
            assert await tiny.exit_code() == 1

    (failure,) = tiny.said("service_failed")
    assert failure["category"] == "environment_validation"
    assert failure["error"] == (
        f"`PENSTOCK_HTTP_HOST`=127.0.0.1 and `PENSTOCK_HTTP_PORT`={port} cannot be used: "
        "Address already in use; choose another port, or 0 for a free one"
    )


async def test_a_log_folder_that_cannot_be_written_is_a_clear_error(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    async with start("calm", PENSTOCK_LOG_DIRECTORY=str(tmp_path / "file" / "logs")) as tiny:
        assert await tiny.exit_code() == 1

    assert tiny.errors == ["`PENSTOCK_LOG_DIRECTORY` cannot be written: Not a directory"]


async def test_a_database_without_migrations_is_named_after_some_patience(
    start: Start, empty_database_url: str
) -> None:
    async with start("calm", DATABASE_URL=empty_database_url) as tiny:
        assert await tiny.exit_code() == 1

    (failure,) = tiny.said("service_failed")
    assert "run `penstock migrate` first" in failure["error"]
    assert tiny.said("retry_waits")


@pytest.mark.covers("S1-28")
async def test_a_wrong_password_is_tried_once_and_never_shown(
    start: Start, database_url: str
) -> None:
    user = database_url.split("://")[1].split(":", maxsplit=1)[0]
    wrong = database_url.replace(
        database_url.split(":", 2)[2].split("@", maxsplit=1)[0], "hunter2-canary"
    )
    async with start("calm", DATABASE_URL=wrong) as tiny:
        assert await tiny.exit_code() == 1

    # The next attempt would come after a minute, which is more than the patience of this start.
    assert tiny.said("retry_waits") == []
    (failure,) = tiny.said("service_failed")
    assert f'password authentication failed for user "{user}"' in failure["error"]
    assert "hunter2" not in json.dumps(tiny.lines)


# --- probes


async def test_the_probes_and_the_metrics_are_served_on_one_port(
    start: Start, kafka: KafkaAddress
) -> None:
    async with start("calm", **kafka.env) as tiny:
        port = (await tiny.says("probes_listening"))["port"]
        await tiny.says("service_started")
        answers = {
            path: await ask(port, path) for path in ("/livez", "/readyz", "/startupz", "/metrics")
        }
        tiny.process.terminate()
        assert await tiny.exit_code() == 0

    assert {path: status for path, (status, _) in answers.items()} == {
        "/livez": 200,
        "/readyz": 200,
        "/startupz": 200,
        "/metrics": 200,
    }
    assert 'penstock_build_info{service="tiny"' in answers["/metrics"][1]
    assert 'penstock_pool_connections{state="open"}' in answers["/metrics"][1]


async def test_readiness_names_the_database_when_it_goes_away_and_liveness_stays(
    start: Start, postgres: Any, database_url: str
) -> None:
    async with start("calm") as tiny:
        port = (await tiny.says("probes_listening"))["port"]
        assert (await ask(port, "/readyz"))[0] == 200
        async with opened(postgres.url) as server, server.connection() as connection:
            name = database_url.partition("?")[0].rpartition("/")[2]
            await connection.execute(f"alter database {name} with allow_connections false")
            await connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name
            )
            status, body = await ask(port, "/readyz")
            alive, _ = await ask(port, "/livez")
            await connection.execute(f"alter database {name} with allow_connections true")
        assert (status, alive) == (503, 200)
        assert list(json.loads(body)["problems"]) == ["postgresql"]
        await eventually(lambda: _is_ready(port), timeout=20)


async def _is_ready(port: int) -> bool:
    return (await ask(port, "/readyz"))[0] == 200
