"""The life of a stack: up, joined, stopped, killed; nothing stays behind and nothing is lost."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from contracts.topics import FILE_CHANGED, topic_specs
from penstock.stack import PartName, PartStatus, RunningStack, Stack, StackSettings
from tests.support.command_line import command_environment
from tests.support.eventually import eventually, wait_until

POSTGRES, SMB, KAFKA = PartName.POSTGRES, PartName.SMB, PartName.KAFKA


def _family(running: RunningStack) -> list[psutil.Process]:
    report = running.stack.status()
    assert report is not None
    supervisor = psutil.Process(report.supervisor.pid)
    return [supervisor, *supervisor.children(recursive=True)]


def _all_gone(processes: list[psutil.Process]) -> bool:
    return not any(
        process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes
    )


def _start_elsewhere(state_dir: Path, *, tied: bool) -> "subprocess.Popen[str]":
    """Start a stack from another process, which then waits."""
    code = (
        "import sys, time; from pathlib import Path; from penstock.stack import start_stack;"
        f"start_stack(['postgres', 'smb'], fast=True, tied={tied});"
        "print('up', flush=True); sys.stdin.read()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=command_environment(state_dir),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_stopped_stack_leaves_no_process_behind(settings: StackSettings) -> None:
    running = Stack(settings=settings, fast=True).up([POSTGRES, SMB], tied=True)
    family = _family(running)
    assert len(family) >= 3
    running.stop()
    assert _all_gone(family)
    assert running.stack.down() is False


async def test_data_addresses_and_passwords_survive_a_restart(settings: StackSettings) -> None:
    stack = Stack(settings=settings)
    with stack.up([POSTGRES], tied=True) as first:
        url = first.env["DATABASE_URL"]
        connection = await asyncpg.connect(url)
        await connection.execute("create table kept as select 42 as answer")
        await connection.close()
    with stack.up([POSTGRES], tied=True) as second:
        assert second.env["DATABASE_URL"] == url
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("select answer from kept") == 42
        await connection.close()


def test_a_second_up_joins_the_first_and_adds_what_it_lacks(settings: StackSettings) -> None:
    stack = Stack(settings=settings, fast=True)
    with stack.up([POSTGRES], tied=True) as first:
        process = first.part(POSTGRES).process
        second = stack.up([POSTGRES, SMB], tied=True)
        assert second.is_joined
        assert second.part(SMB).status is PartStatus.READY
        assert second.part(POSTGRES).process == process
        with second:
            pass
        assert first.part(SMB).status is PartStatus.READY, "a guest does not stop the stack"


def test_a_tied_stack_dies_with_a_parent_that_is_killed(
    state_dir: Path, settings: StackSettings
) -> None:
    parent = _start_elsewhere(state_dir, tied=True)
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "up\n"
        family = _family(RunningStack(stack=Stack(settings=settings), supervisor=None))
        parent.kill()
    wait_until(lambda: _all_gone(family))


def test_a_detached_stack_outlives_its_parent_until_it_is_stopped(
    state_dir: Path, settings: StackSettings
) -> None:
    stack = Stack(settings=settings)
    parent = _start_elsewhere(state_dir, tied=False)
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "up\n"
        parent.kill()
    running = RunningStack(stack=stack, supervisor=None)
    assert running.part(POSTGRES).status is PartStatus.READY
    family = _family(running)
    assert stack.down() is True
    assert _all_gone(family)


def test_servers_die_with_a_supervisor_that_is_killed(settings: StackSettings) -> None:
    stack = Stack(settings=settings, fast=True)
    running = stack.up([POSTGRES, SMB], tied=True)
    supervisor, *servers = _family(running)
    supervisor.kill()
    wait_until(lambda: _all_gone(servers))
    assert running.part(POSTGRES).status is PartStatus.DEAD
    running.stop()
    with stack.up([POSTGRES, SMB], tied=True) as again:
        assert not again.is_joined
        assert again.part(POSTGRES).status is PartStatus.READY


def test_a_killed_server_is_reported_and_started_again_on_request(
    settings: StackSettings,
) -> None:
    stack = Stack(settings=settings, fast=True)
    with stack.up([POSTGRES, SMB], tied=True) as running:
        url = running.env["DATABASE_URL"]
        victim = running.part(POSTGRES).process
        assert victim is not None
        os.kill(victim.pid, signal.SIGKILL)
        # At first it is only known to be gone; then its supervisor tells how.
        wait_until(lambda: "SIGKILL" in running.part(POSTGRES).message)
        dead = running.part(POSTGRES)
        assert dead.status is PartStatus.DEAD
        assert dead.message.startswith("postgres was killed by SIGKILL; look at ")
        assert dead.message.endswith("and start it again with `penstock up`.")
        assert "DATABASE_URL" not in running.env
        stack.up([POSTGRES], tied=True)
        assert running.part(POSTGRES).status is PartStatus.READY
        assert running.env["DATABASE_URL"] == url


async def test_a_killed_broker_keeps_what_it_acknowledged(settings: StackSettings) -> None:
    topic = FILE_CHANGED.name
    stack = Stack(settings=settings)
    with stack.up([KAFKA], tied=True) as running:
        servers = running.env["KAFKA_BOOTSTRAP_SERVERS"]
        async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
            for number in range(100):
                await producer.send_and_wait(topic, b"%d" % number, partition=0)
        victim = running.part(KAFKA).process
        assert victim is not None
        os.kill(victim.pid, signal.SIGKILL)
        await eventually(lambda: running.part(KAFKA).status is PartStatus.DEAD)
        stack.up([KAFKA], tied=True)
        assert running.env["KAFKA_BOOTSTRAP_SERVERS"] == servers
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest")
        async with consumer:
            values = [int((await consumer.getone()).value) for _ in range(100)]
        assert values == list(range(100))
        await _assert_topics_are_those_of_the_contracts(servers)


async def _assert_topics_are_those_of_the_contracts(servers: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        assert {spec.name for spec in topic_specs()} <= set(await admin.list_topics())
        (topic,) = await admin.describe_topics([FILE_CHANGED.name])
        assert len(topic["partitions"]) == FILE_CHANGED.partitions
        (response,) = await admin.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, FILE_CHANGED.name)]
        )
        configs = {name: value for name, value, *_ in response.resources[0][4]}
        assert configs["max.message.bytes"] == str(FILE_CHANGED.max_record_bytes)
        assert configs["retention.ms"] == str(FILE_CHANGED.retention_ms)
    finally:
        await admin.close()


def test_postgres_runs_below_a_folder_only_its_owner_may_enter(
    state_dir: Path, settings: StackSettings
) -> None:
    closed = state_dir / "closed"
    closed.mkdir(mode=0o700)
    stack = Stack(settings=settings.in_folder(closed / "stack"), fast=True)
    with stack.up([POSTGRES], tied=True) as running:
        process = running.part(POSTGRES).process
        assert process is not None
        assert psutil.Process(process.pid).uids().effective != 0
    assert closed.stat().st_mode & 0o777 == 0o700
