"""Apache Kafka in KRaft mode: broker and controller in one process, one node."""

import asyncio
import base64
import logging
import time
import uuid
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from penstock.stack.errors import PartDiedError, PartTimeoutError
from penstock.stack.java import find_java
from penstock.stack.model import PartName
from penstock.stack.parts.part import Launch, PartContext, until_connected
from penstock.stack.ports import LOOPBACK
from penstock.stack.processes import Program, run

_HEAP = "-Xmx512m"
_JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.showDateTime=true")
"""One small broker: start-up time and footprint count, peak throughput does not."""

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}

# A mistyped topic is an error, never a new topic with default settings.
auto.create.topics.enable=false
# Large bodies go to the object store; the bus carries references.
message.max.bytes=2097152
replica.fetch.max.bytes=2097152

# One node: nothing to replicate to, nobody to wait for.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0

num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
"""


class Kafka:
    """The broker of the stack."""

    async def prepare(self, context: PartContext) -> Launch:
        """Fetch the jars, write the configuration, format the storage the first time."""
        java = await find_java()
        class_path = await context.jars.class_path("kafka", context.state.log("kafka"))
        folder = context.folder(PartName.KAFKA)
        port = context.port("kafka")
        properties = _write_properties(folder, port, context.port("kafka-controller"))
        if not (folder / "data" / "meta.properties").exists():
            await _format(java, class_path, properties, context.state.log("kafka"))
        address = f"{LOOPBACK}:{port}"
        options = (_HEAP, *_JVM, *_log_levels(), "-cp", class_path)
        return Launch(
            program=Program(arguments=(java, *options, "kafka.Kafka", properties)),
            address=address,
            env={"KAFKA_BOOTSTRAP_SERVERS": address},
        )

    async def until_ready(self, launch: Launch) -> None:
        """Wait until the group coordinator answers, which is the last thing to come up."""
        await until_connected(int(launch.address.rpartition(":")[2]))
        deadline = time.monotonic() + 60
        while not await _has_coordinator(launch.address):
            if time.monotonic() > deadline:
                raise PartTimeoutError("Kafka listens but has no group coordinator after 60 s.")
            await asyncio.sleep(0.1)


def _write_properties(folder: Path, port: int, controller_port: int) -> Path:
    properties = folder / "server.properties"
    properties.write_text(
        _PROPERTIES.format(
            host=LOOPBACK, port=port, controller_port=controller_port, data=folder / "data"
        )
    )
    return properties


async def _format(java: Path, class_path: str, properties: Path, log: Path) -> None:
    tool = ("-Xmx128m", *_JVM, "-cp", class_path, "kafka.tools.StorageTool")
    arguments = (java, *tool, "format", "-t", new_cluster_id(), "-c", properties)
    if await run(Program(arguments=arguments), log) != 0:
        raise PartDiedError(f"Kafka could not format its storage; look at {log}.")


def new_cluster_id() -> str:
    """Return a random cluster id as Kafka writes them."""
    while True:
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # One in 64 would look like an option to the tool that formats the storage.
        if not cluster_id.startswith("-"):
            return cluster_id


def _log_levels() -> tuple[str, ...]:
    prefix = "-Dorg.slf4j.simpleLogger"
    return (f"{prefix}.defaultLogLevel=warn", f"{prefix}.log.kafka.server.BrokerServer=info")


async def _has_coordinator(address: str) -> bool:
    # The client logs every refused connection of a broker that is still starting.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    admin = AIOKafkaAdminClient(bootstrap_servers=address, request_timeout_ms=5_000)
    try:
        await admin.start()
        await admin.find_coordinator("penstock-stack")
    except KafkaError:
        return False
    finally:
        await admin.close()
    return True
