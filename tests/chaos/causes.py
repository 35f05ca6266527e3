"""Real causes of alerts, brought about on the running demo one after the other."""

import asyncio
import contextlib
import itertools
import signal
import time
import uuid
from collections.abc import Generator
from pathlib import Path

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from chassis.bus.records import Record
from contracts.commands import ScanRequested
from contracts.topics import FILE_CHANGED, REFRESH_REQUESTED, SCAN_REQUESTED
from penstock.messages import reading
from penstock.stack import PartName
from tests.chaos.scene import Scene
from tests.support.secured_kafka import secured_kafka

THRESHOLDS = {
    "(penstock_consumer_lag_age_seconds) > 600": "(penstock_consumer_lag_age_seconds) > 5",
    "(penstock_outbox_oldest_age_seconds) > 120": "(penstock_outbox_oldest_age_seconds) > 5",
    "(penstock_runs_oldest_queued_age_seconds) > 900": (
        "(penstock_runs_oldest_queued_age_seconds) > 3"
    ),
    "(scanner_interval_seconds) + 900": "(scanner_interval_seconds) + 5",
    "(refresher_refreshed_timestamp_seconds) > 36 * 3600": (
        "(refresher_refreshed_timestamp_seconds) > 60"
    ),
    '{mode="full"} > 4 * 3600': '{mode="full"} > 5',
    # Weeks are not shortened: three restarts, or a pause, take longer than other windows.
    "[15m]) >= 3": "[1w]) >= 3",
    "penstock_lease_losses_total[15m]": "penstock_lease_losses_total[1w]",
}
"""Thresholds that would take minutes, as the rules word them, and what stands for them here."""

_PAUSE_SECONDS = 18.0
"""Longer than a lease lasts."""

_RESTARTS = 3


class Causes(Scene):
    """What is wrong is in the hub; each cause ends once its alerts have fired."""

    def all(self) -> None:
        """Bring about everything."""
        self.reject_many_messages()
        self.send_old_events_again()
        self.lose_the_object_store()
        self.lose_kafka()
        self.lose_the_share()
        self.pause_a_process()
        self.answer_no_announcement()
        self.deploy_a_bug()
        self.lock_the_leases()
        self.make_a_topic_anew()
        self.let_a_service_crash()
        self.let_a_certificate_end()

    # --- messages
    def reject_many_messages(self) -> None:
        """Somebody writes what is no event at all."""
        burning = self.expect(
            "DeadLettersArriving", "DeliveryBudgetBurnsFast", "DeliveryBudgetBurnsSlowly"
        )
        poison = [b"not an event" for _ in range(60)]
        asyncio.run(self._send(FILE_CHANGED.name, poison))
        burning.wait()

    def send_old_events_again(self) -> None:
        """Events reach their consumer minutes after their time."""
        self._edit_files()
        time.sleep(65)
        late = self.expect("FreshnessBudgetBurnsFast", "FreshnessBudgetBurnsSlowly")
        old = asyncio.run(self._events())
        asyncio.run(self._send_records(old[:60]))
        late.wait()

    # --- dependencies
    def lose_the_object_store(self) -> None:
        """It stands still: nothing can be ingested."""
        stuck = self.expect("DependencyDown", "ConsumerStuck", "ConsumerBehind")
        with self._outage(PartName.S3):
            self._edit_files()
            stuck.wait()

    def lose_kafka(self) -> None:
        """It stands still: nothing can be announced."""
        old = self.expect("OutboxOld")
        with self._outage(PartName.KAFKA):
            self._edit_files()
            old.wait()

    def lose_the_share(self) -> None:
        """The share hangs: a scan does not end, the next one waits, the source grows old."""
        self.until_quiet("SourceStale", "RunsQueued")  # of the outages before
        stale = self.expect("SourceStale", "RunsQueued")
        with self._outage(PartName.SMB):
            for _ in range(2):
                self.ask(SCAN_REQUESTED, ScanRequested, source="transcripts", mode="full")
            stale.wait()

    # --- processes
    def pause_a_process(self) -> None:
        """The ingestor stands still for longer than its lease lasts."""
        lost = self.expect("LeaseLost")
        self.hub.send("ingestor", signal.SIGSTOP)
        time.sleep(_PAUSE_SECONDS)
        self.hub.send("ingestor", signal.SIGCONT)
        lost.wait()

    def answer_no_announcement(self) -> None:
        """Files change, and the ingestor is away."""
        unanswered = self.expect("AnnouncementsUnanswered")
        self.hub.kill("ingestor")
        self._edit_files()
        time.sleep(10)  # what is announced has rested for five seconds
        # Nothing is repeated, and nobody waits for six hours.
        patience = {"SCANNER_REANNOUNCE_AFTER_SECONDS": "1", "SCANNER_REANNOUNCE_LIMIT": "0"}
        self.hub.restart("scanner", **patience)
        unanswered.wait()
        self.hub.start("ingestor")

    def deploy_a_bug(self) -> None:
        """The transformer is replaced by one whose handler has a bug."""
        bug = self.expect("HandlerBug")
        self.hub.kill("transformer")
        self.hub.start("transformer", module="tests.chaos.buggy_transformer")
        self._edit_files()
        bug.wait()

    def lock_the_leases(self) -> None:
        """Somebody rewrites the table of leases by hand, and takes his time."""
        nobody = self.expect("LeaseNotHeld")
        self.while_locked("meta.leases", nobody.wait)

    def make_a_topic_anew(self) -> None:
        """Kafka loses a topic while its consumer is away."""
        reset = self.expect("PositionReset")
        name = REFRESH_REQUESTED.name
        asyncio.run(self._send(name, [b"not a command"] * 3))
        self.until_seen(f"penstock_consumer_committed_offset{{topic='{name}'}} > 0")
        self.hub.kill("refresher")
        asyncio.run(self._make_anew(name, REFRESH_REQUESTED.partitions))
        self.hub.start("refresher")
        reset.wait()

    def let_a_service_crash(self) -> None:
        """The transformer is killed and stays away; then it is killed again and again."""
        port = str(self.hub.port("transformer"))
        self.until_quiet("ServiceDown", "ServiceAbsent")  # of restarts before
        loop, away = self.expect("CrashLoop"), self.expect("ServiceDown", "ServiceAbsent")
        self.hub.kill("transformer")
        away.wait()
        for _ in range(_RESTARTS):
            before = time.time()
            self.hub.start("transformer", PENSTOCK_HTTP_PORT=port)
            # The kernel counts from the machine's start, in hundredths of a second.
            self.until_seen(f"process_start_time_seconds{{job='transformer'}} > {before - 1}")
            self.hub.kill("transformer")
        self.hub.start("transformer", PENSTOCK_HTTP_PORT=port)
        loop.wait()

    def let_a_certificate_end(self) -> None:
        """The certificate with which the console logs on to Kafka ends in a week."""
        ends = self.expect("KafkaCertificateEnds")
        folder = self.hub.folder / "secured"
        folder.mkdir()
        with secured_kafka(folder) as kafka:
            pair = kafka.authority.issue("console", days=7)
            self.hub.restart("console", **kafka.mtls_env(pair))
            ends.wait()

    # --- means
    @contextlib.contextmanager
    def _outage(self, part: PartName) -> Generator[None]:
        self.hub.signal_part(part, signal.SIGSTOP)
        try:
            yield
        finally:
            self.hub.signal_part(part, signal.SIGCONT)
            time.sleep(5)

    def _edit_files(self) -> None:
        share = Path(self.hub.env["PENSTOCK_SHARE_PATH"])
        for path in itertools.islice(sorted(share.rglob("*.xml")), 6):
            path.write_bytes(path.read_bytes() + f"<!-- {uuid.uuid4()} -->".encode())

    async def _send(self, topic: str, values: list[bytes]) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.kafka.bootstrap_servers) as producer:
            for number, value in enumerate(values):
                await producer.send_and_wait(topic, value, key=str(number).encode())

    async def _events(self) -> list[Record]:
        async with reading(self.kafka, [FILE_CHANGED.name]) as reader:
            records = await reader.read_to_end()
        return [record for record in records if record.value != b"not an event"]

    async def _send_records(self, records: list[Record]) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.kafka.bootstrap_servers) as producer:
            for record in records:
                await producer.send_and_wait(
                    record.topic, record.value, key=record.key, headers=list(record.headers)
                )

    async def _make_anew(self, topic: str, partitions: int) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka.bootstrap_servers)
        await admin.start()
        try:
            await admin.delete_topics([topic])
            await asyncio.sleep(2)
            await admin.create_topics([NewTopic(topic, partitions, 1)])
        finally:
            await admin.close()
