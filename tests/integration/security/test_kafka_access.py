"""Every user of the broker can do its job and nothing else, on a real broker with TLS and rules."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from typing import Any, cast

import pytest
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
)

from chassis.bus.broker import Bus
from chassis.bus.security import client_security
from chassis.bus.topics import apply_topics
from chassis.errors import UnavailableError
from chassis.settings import KafkaSettings
from contracts.access import COMMAND_LINE, TOPIC_ADMINISTRATOR, Operation, access_of
from contracts.commands import ScanRequested
from contracts.topics import FILE_CHANGED, SCAN_REQUESTED, topic_specs
from penstock.messages import count_partitions, reading, send_command
from tests.support.authority import Authority
from tests.support.hub import background
from tests.support.secured_kafka import SecuredKafka, administration, secured_kafka, settings_of

READ, WRITE, DESCRIBE = Operation.READ, Operation.WRITE, Operation.DESCRIBE
TOPICS = frozenset(spec.name for spec in topic_specs())
REFUSED_BY_KAFKA = 29  # TOPIC_AUTHORIZATION_FAILED
SERVICES = ["scanner", "ingestor", "transformer", "refresher", "wrds_sync", "console"]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Generator[SecuredKafka]:
    """One broker for the module; its topics are made by the user whose task that is."""
    with secured_kafka(tmp_path_factory.mktemp("secured-kafka")) as started:
        administrator = settings_of(started.scram_env(TOPIC_ADMINISTRATOR))
        assert len(asyncio.run(apply_topics(administrator, topic_specs()))) == len(TOPICS)
        asyncio.run(apply_topics(administrator, topic_specs()))  # configurations only
        yield started


@pytest.fixture(params=["SASL_SSL", "SSL"])
def log_on(request: pytest.FixtureRequest, broker: SecuredKafka) -> Callable[[str], KafkaSettings]:
    """Settings of a user, with its password or with its certificate."""

    def settings(user: str) -> KafkaSettings:
        if request.param == "SASL_SSL":
            return settings_of(broker.scram_env(user))
        return settings_of(broker.mtls_env(broker.authority.issue(user)))

    return settings


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_writes_to_its_topics_and_to_no_other(
    service: str, log_on: Callable[[str], KafkaSettings]
) -> None:
    access = access_of(service)
    settings = log_on(access.user)
    written, refused = set(), set()
    # As the relay does it: idempotent.
    async with AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers,
        enable_idempotence=True,
        **client_security(settings),
    ) as producer:
        for topic in sorted(TOPICS):
            try:
                await producer.send_and_wait(topic, b"{}", key=b"k")
                written.add(topic)
            except TopicAuthorizationFailedError:
                refused.add(topic)

    assert written == access.topics(WRITE)
    assert refused == TOPICS - written
    assert refused


@pytest.mark.parametrize("service", [name for name in SERVICES if name != "console"])
async def test_a_service_reads_its_topics_in_its_group_and_nothing_else(
    service: str, log_on: Callable[[str], KafkaSettings]
) -> None:
    access = access_of(service)
    settings = log_on(access.user)
    own = sorted(access.topics(READ))
    async with _consumer(settings, service, *own) as consumer:
        places = {place.topic for place in consumer.assignment()}
        await consumer.commit({next(iter(consumer.assignment())): 0})

    assert places == set(own)
    assert await _hidden_topics(settings) == TOPICS - access.topics(DESCRIBE)
    for topic in sorted(access.topics(DESCRIBE) - access.topics(READ)):
        with pytest.raises(TopicAuthorizationFailedError):
            await _read_one(settings, topic)
    other = next(name for name in SERVICES if name != service)
    with pytest.raises(GroupAuthorizationFailedError):
        async with _consumer(settings, other, own[0]):
            pass


@pytest.mark.parametrize("service", SERVICES)
async def test_no_service_creates_changes_or_deletes_a_topic(
    service: str, broker: SecuredKafka
) -> None:
    settings = settings_of(broker.scram_env(access_of(service).user))
    own = min(access_of(service).topics(WRITE))

    with pytest.raises(UnavailableError, match="Authorization"):
        await apply_topics(settings, topic_specs()[:1])
    async with administration(settings.bootstrap_servers, **client_security(settings)) as admin:
        created: Any = await admin.create_topics([NewTopic("own.invention", 1, 1)])
        deleted: Any = await admin.delete_topics([own])

    assert created.topic_errors[0][1] == REFUSED_BY_KAFKA
    assert deleted.topic_error_codes[0][1] == REFUSED_BY_KAFKA


async def test_the_command_line_sends_commands_and_reads_the_refused_ones(
    broker: SecuredKafka,
) -> None:
    settings = settings_of(broker.scram_env(COMMAND_LINE))
    await send_command(settings, SCAN_REQUESTED, ScanRequested(requester="t", source="nas"))

    async with reading(settings, ["scan.requested.scanner.dead"]) as refused:
        await refused.read_to_end()
    with pytest.raises(UnavailableError, match="has no topic `file"):
        async with reading(settings, ["file.changed"]):
            pass
    assert "file.changed" not in await count_partitions(settings)


async def test_the_missing_right_is_named(broker: SecuredKafka) -> None:
    settings = settings_of(broker.scram_env("transformer"))

    with pytest.raises(UnavailableError) as refusal:
        await send_command(settings, SCAN_REQUESTED, ScanRequested(requester="t", source="nas"))

    assert refusal.value.message == (
        "Kafka does not answer: the user `transformer` has no right to `scan.requested` "
        "(TopicAuthorizationFailedError); see `contracts.access`"
    )


# --- who is not let in


@pytest.fixture
def refusals(broker: SecuredKafka, tmp_path: Path) -> dict[str, tuple[dict[str, str], str]]:
    """Environments that the broker does not let in, each with what must be said."""
    own, other = broker.authority, Authority(tmp_path, "other")
    password = (
        f"{broker.scram} refuses the user `ingestor`: the password is wrong, or there is no such "
        "user; look at `KAFKA_SASL_USERNAME` and `KAFKA_SASL_PASSWORD`"
    )
    untrusted = (
        f"the certificate of {broker.scram} is not accepted: unable to get local issuer "
        "certificate; look at `KAFKA_CA_FILE`"
    )
    return {
        "wrong password": (broker.scram_env("ingestor", KAFKA_SASL_PASSWORD="wrong"), password),
        "wrong authority": (
            broker.scram_env("ingestor", KAFKA_CA_FILE=str(other.file)),
            untrusted,
        ),
        "expired": (broker.mtls_env(own.issue("late", days=-40)), "ended on 20"),
        "foreign": (broker.mtls_env(other.issue("ingestor")), "refuses the certificate in `KAFKA_"),
    }


@pytest.mark.parametrize("what", ["wrong password", "wrong authority", "expired", "foreign"])
async def test_who_is_refused_is_told_why_in_one_sentence_and_tries_again_without_haste(
    what: str, refusals: dict[str, tuple[dict[str, str], str]]
) -> None:
    environment, sentence = refusals[what]
    bus = Bus(settings_of(environment), service="ingestor", database=cast(Any, None))
    bus.subscribe(FILE_CHANGED, cast(Any, None))

    with structlog.testing.capture_logs() as lines:
        async with background(bus.run):
            await asyncio.sleep(2)

    told = [line for line in lines if line["event"] == "kafka_unreachable"]
    assert told
    for line in told:
        assert sentence in str(line["error"])
        assert "\n" not in str(line["error"])
    assert len(told) <= 5
    waits = [line["attempt"] for line in told]
    assert waits == list(itertools.islice(itertools.count(1), len(waits)))


async def _hidden_topics(settings: KafkaSettings) -> set[str]:
    """Return the topics that the user is not even told about."""
    async with administration(settings.bootstrap_servers, **client_security(settings)) as admin:
        told = await admin.describe_topics(sorted(TOPICS))
    return {item["topic"] for item in told if item["error_code"] == REFUSED_BY_KAFKA}


async def _read_one(settings: KafkaSettings, topic: str) -> None:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap_servers,
        group_id=None,
        **client_security(settings),
    )
    async with consumer, asyncio.timeout(20):
        consumer.assign([TopicPartition(topic, 0)])
        consumer.seek(TopicPartition(topic, 0), 0)
        await consumer.getone()


@contextlib.asynccontextmanager
async def _consumer(
    settings: KafkaSettings, group: str, *topics: str
) -> AsyncGenerator[AIOKafkaConsumer]:
    """Join a group; yields once partitions of every topic are assigned."""
    consumer = AIOKafkaConsumer(
        *topics,
        bootstrap_servers=settings.bootstrap_servers,
        group_id=group,
        enable_auto_commit=False,
        **client_security(settings),
    )
    try:
        async with asyncio.timeout(20):
            await consumer.start()
            while not consumer.assignment():
                await consumer.getmany(timeout_ms=50)
            yield consumer
    finally:
        await consumer.stop()
