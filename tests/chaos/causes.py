"""Real causes of alerts, brought about on the running demo one after the other."""

import asyncio
import contextlib
import itertools
import signal
import time
import uuid
from collections.abc import Generator
from pathlib import Path

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from chassis.bus.records import Record
from chassis.settings import KafkaSettings
from contracts.commands import OverlapPolicy, ScanRequested
from contracts.topics import FILE_CHANGED, REFRESH_REQUESTED, SCAN_REQUESTED
from penstock.messages import reading, send_command
from penstock.stack import PartName
from tests.chaos.monitored import MonitoredHub
from tests.support.eventually import NeverHappenedError, wait_until

PATIENCE = 75.0
THRESHOLDS = {
    "(penstock_consumer_lag_age_seconds) > 600": "(penstock_consumer_lag_age_seconds) > 5",
    "(penstock_outbox_oldest_age_seconds) > 120": "(penstock_outbox_oldest_age_seconds) > 5",
    "(penstock_runs_oldest_queued_age_seconds) > 900": (
        "(penstock_runs_oldest_queued_age_seconds) > 3"
    ),
    "(scanner_interval_seconds) + 900": "(scanner_interval_seconds) + 5",
    # Weeks are not shortened: a restart on a busy machine takes longer than other windows last.
    "[15m]) >= 3": "[1w]) >= 1",
}
"""Thresholds that would take minutes, as the rules word them, and what stands for them here."""


class Causes:
    """Brings about what alerts tell; each cause ends once its alerts have fired."""

    def __init__(self, hub: MonitoredHub) -> None:
        self._hub = hub
        self._kafka = KafkaSettings.model_validate(
            {"KAFKA_BOOTSTRAP_SERVERS": hub.env["KAFKA_BOOTSTRAP_SERVERS"]}
        )

    def all(self) -> None:
        """Bring about everything; what does not fire is found by the tests, not here."""
        self.reject_many_messages()
        self.send_old_events_again()
        self.lose_the_object_store()
        self.lose_kafka()
        self.lose_the_share()
        self.wait_for_people()
        self.pause_a_process()
        self.make_a_topic_anew()
        self.let_a_service_crash()

    # --- messages
    def reject_many_messages(self) -> None:
        """Somebody writes what is no event at all."""
        poison = [b"not an event" for _ in range(60)]
        asyncio.run(self._send(FILE_CHANGED.name, poison))
        self._until("DeadLettersArriving", "DeadLettersOpen", "DeliveryBudgetBurnsFast")
        self._until("DeliveryBudgetBurnsSlowly")

    def send_old_events_again(self) -> None:
        """Events reach their consumer minutes after their time."""
        self._edit_files()
        time.sleep(65)
        old = asyncio.run(self._events())
        asyncio.run(self._send_records(old[:60]))
        self._until("FreshnessBudgetBurnsFast", "FreshnessBudgetBurnsSlowly")

    # --- dependencies
    def lose_the_object_store(self) -> None:
        with self._outage(PartName.S3):
            self._edit_files()
            self._until("DependencyDown", "ConsumerStuck", "ConsumerBehind")

    def lose_kafka(self) -> None:
        with self._outage(PartName.KAFKA):
            self._edit_files()
            self._until("OutboxOld")

    def lose_the_share(self) -> None:
        """The share hangs: a scan does not end, the next one waits, the source grows old."""
        with self._outage(PartName.SMB):
            for _ in range(2):
                command = ScanRequested(
                    source="transcripts",
                    mode="full",
                    requester="test",
                    reason="while the share hangs",
                    overlap=OverlapPolicy.QUEUE,
                )
                asyncio.run(send_command(self._kafka, SCAN_REQUESTED, command))
            self._until("SourceStale", "RunsQueued")

    # --- people
    def wait_for_people(self) -> None:
        """Enter what waits for a decision, as its service does."""
        asyncio.run(self._enter_decisions())
        self._until("DriftWaiting", "RefreshAwaitsApproval")

    # --- processes
    def pause_a_process(self) -> None:
        """A process that stands still for longer than its lease lasts."""
        self._hub.send("ingestor", signal.SIGSTOP)
        time.sleep(18)
        self._hub.send("ingestor", signal.SIGCONT)
        self._until("LeaseLost")

    def make_a_topic_anew(self) -> None:
        """Kafka loses a topic while its consumer is away."""
        name = REFRESH_REQUESTED.name
        asyncio.run(self._send(name, [b"not a command"] * 3))
        self._until_seen(f"penstock_consumer_committed_offset{{topic='{name}'}} > 0")
        self._hub.stop("refresher")
        # Its lease lasts; whoever comes next has to wait for it.
        asyncio.run(self._make_anew(name, REFRESH_REQUESTED.partitions))
        self._hub.start("refresher")
        self._until("PositionReset", "LeaseNotHeld")

    def let_a_service_crash(self) -> None:
        """The transformer is killed, stays away, comes back and is killed again."""
        self._hub.send("transformer", signal.SIGKILL)
        self._until("ServiceDown", "ServiceAbsent")
        self._hub.start("transformer", PENSTOCK_HTTP_PORT=str(self._hub.port("transformer")))
        time.sleep(3)
        self._hub.stop("transformer")
        self._hub.start("transformer", PENSTOCK_HTTP_PORT=str(self._hub.port("transformer")))
        self._until("CrashLoop")

    # --- means
    def _until(self, *alerts: str) -> None:
        missing = set(alerts)

        def fired() -> bool:
            missing.difference_update(self._hub.prometheus.firing())
            return not missing

        # What did not fire is told by its own test, with the others' results beside it.
        with contextlib.suppress(NeverHappenedError):
            wait_until(fired, timeout=PATIENCE)

    def _until_seen(self, expr: str) -> None:
        wait_until(lambda: bool(self._hub.prometheus.query(expr)), timeout=PATIENCE)

    @contextlib.contextmanager
    def _outage(self, part: PartName) -> Generator[None]:
        self._hub.signal_part(part, signal.SIGSTOP)
        try:
            yield
        finally:
            self._hub.signal_part(part, signal.SIGCONT)
            time.sleep(5)

    def _edit_files(self) -> None:
        share = Path(self._hub.env["PENSTOCK_SHARE_PATH"])
        for path in itertools.islice(sorted(share.rglob("*.xml")), 6):
            path.write_bytes(path.read_bytes() + f"<!-- {uuid.uuid4()} -->".encode())

    async def _send(self, topic: str, values: list[bytes]) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self._kafka.bootstrap_servers) as producer:
            for number, value in enumerate(values):
                await producer.send_and_wait(topic, value, key=str(number).encode())

    async def _events(self) -> list[Record]:
        async with reading(self._kafka, [FILE_CHANGED.name]) as reader:
            records = await reader.read_to_end()
        return [record for record in records if record.value != b"not an event"]

    async def _send_records(self, records: list[Record]) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self._kafka.bootstrap_servers) as producer:
            for record in records:
                await producer.send_and_wait(
                    record.topic, record.value, key=record.key, headers=list(record.headers)
                )

    async def _make_anew(self, topic: str, partitions: int) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._kafka.bootstrap_servers)
        await admin.start()
        try:
            await admin.delete_topics([topic])
            await asyncio.sleep(2)
            await admin.create_topics([NewTopic(topic, partitions, 1)])
        finally:
            await admin.close()

    async def _enter_decisions(self) -> None:
        connection = await asyncpg.connect(self._hub.env["DATABASE_URL"])
        try:
            await connection.execute(
                "insert into meta.drifts (id, service, dataset, kind, old, new, changes, status) "
                "values (gen_random_uuid(), 'scanner', 'people', 'breaking', '{}', '{}', '[]', "
                "'waiting')"
            )
            await connection.execute(
                "insert into refresher.plans "
                "(plan_id, run_id, target, status, plan, digest, requester) "
                "values ('p1', gen_random_uuid(), 'all', 'waiting', '{}', '', 'test')"
            )
        finally:
            await connection.close()
