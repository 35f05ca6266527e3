"""Services as processes: started, watched, killed, and never orphaned."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from penstock.processes import ServiceProcess, ServiceProcessError, ServiceProcesses
from tests.support.addresses import KafkaAddress
from tests.support.eventually import wait_until
from tests.support.paths import PROJECT

_PARENT = """
import asyncio, sys
from pathlib import Path
from penstock.processes import ServiceProcess

async def main():
    env = dict(item.split("=", 1) for item in sys.argv[2:])
    process = ServiceProcess("transformer", env, Path(sys.argv[1]))
    await process.start()
    print(process.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def environment(kafka: KafkaAddress, database_url: str) -> dict[str, str]:
    return kafka.env | {
        "DATABASE_URL": database_url,
        "PENSTOCK_CONFIG_DIRECTORY": str(PROJECT / "config"),
        "KAFKA_SESSION_TIMEOUT_SECONDS": "6",
    }


async def test_a_service_is_ready_again_after_a_kill_and_ends_in_good_order(
    kafka: KafkaAddress, database_url: str, tmp_path: Path
) -> None:
    async with ServiceProcesses(environment(kafka, database_url), tmp_path) as services:
        await services.start("transformer")
        service = services["transformer"]
        first = (service.pid, service.http_port)
        await service.kill()
        assert services.running == {}

        await service.start()
        await service.until_ready()
        assert (service.pid, service.http_port) != first
        assert await services.stop() == {"transformer": 0}
    started = [line["pid"] for line in service.events("info") if line["event"] == "service_started"]
    assert started == [first[0], service.pid]


async def test_two_processes_of_one_service_have_names_and_logs_of_their_own(
    kafka: KafkaAddress, database_url: str, tmp_path: Path
) -> None:
    async with ServiceProcesses(environment(kafka, database_url), tmp_path) as services:
        await services.start("transformer", "transformer-2")
        assert services["transformer"].pid != services["transformer-2"].pid
    logs = [services[name].log.name for name in ("transformer", "transformer-2")]
    assert logs == ["transformer.log", "transformer-2.log"]
    assert [len(services[name].events()) > 0 for name in ("transformer", "transformer-2")] == [
        True,
        True,
    ]
    assert services.running == {}


async def test_a_service_that_cannot_start_says_why_and_where_to_look(tmp_path: Path) -> None:
    service = ServiceProcess("transformer", {}, tmp_path / "transformer.log")
    await service.start()
    with pytest.raises(ServiceProcessError) as refused:
        await service.until_ready()
    assert "`DATABASE_URL` is missing" in str(refused.value)
    assert "exit code 1" in str(refused.value)
    assert str(tmp_path / "transformer.log") in str(refused.value)


async def test_a_service_that_is_not_ready_in_time_says_what_it_waits_for(
    kafka: KafkaAddress, empty_database_url: str, tmp_path: Path
) -> None:
    async with ServiceProcesses(environment(kafka, empty_database_url), tmp_path) as services:
        service = services["transformer"]
        await service.start()
        with pytest.raises(ServiceProcessError, match="not ready within 2 s"):
            await service.until_ready(seconds=2)
        with pytest.raises(ServiceProcessError, match="runs already"):
            await service.start()


async def test_a_process_that_was_never_started_cannot_be_stopped(tmp_path: Path) -> None:
    with pytest.raises(ServiceProcessError, match="never started"):
        await ServiceProcess("scanner", {}, tmp_path / "scanner.log").stop()


async def test_a_service_that_does_not_heed_sigterm_is_killed(
    kafka: KafkaAddress, database_url: str, tmp_path: Path
) -> None:
    async with ServiceProcesses(environment(kafka, database_url), tmp_path) as services:
        await services.start("transformer")
        service = services["transformer"]
        service.send_signal(signal.SIGSTOP)
        with pytest.raises(ServiceProcessError, match="did not stop within 1 s"):
            await service.stop(seconds=1)
        assert not service.is_running


def test_a_service_dies_with_the_process_that_started_it(
    kafka: KafkaAddress, database_url: str, tmp_path: Path
) -> None:
    env = environment(kafka, database_url)
    arguments = [f"{name}={value}" for name, value in env.items()]
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(tmp_path / "transformer.log"), *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert psutil.pid_exists(child)

    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not psutil.pid_exists(child) or _is_zombie(child))


def _is_zombie(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
