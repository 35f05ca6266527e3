"""A real broker that lets nobody do anything without a rule: SASL_SSL with SCRAM, and mutual TLS.

The rules are those that the contracts give; the users are theirs too. A third, plain listener is
the broker's own: whoever comes there may do everything, which is how the rules are laid.
"""

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest

from chassis.settings import KafkaSettings
from contracts.access import Access, Operation, ResourceKind, access_rules
from penstock.stack import read_settings
from penstock.stack.java import JarCache, find_java
from penstock.stack.parts import kafka as launcher
from penstock.stack.ports import LOOPBACK, free_port
from penstock.stack.processes import Program, run
from tests.support.authority import Authority, Pair
from tests.support.eventually import eventually

_EXEC_CHILD = Path(launcher.__file__).parent.parent / "exec_child.py"

_SECURITY = """
listeners={clients},CONTROLLER://{host}:{controller_port}
advertised.listeners={clients}
listener.security.protocol.map=INTERNAL:PLAINTEXT,SCRAM:SASL_SSL,MTLS:SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=INTERNAL

ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={authority}
listener.name.scram.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.scram.scram-sha-512.sasl.jaas.config={scram_module} required;
listener.name.mtls.ssl.client.auth=required
listener.name.mtls.ssl.principal.mapping.rules=RULE:^CN=(.*)$/$1/

authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:ANONYMOUS
"""

_CLIENTS = "INTERNAL://{host}:{port},SCRAM://{host}:{scram},MTLS://{host}:{mtls}"
_SCRAM_MODULE = "org.apache.kafka.common.security.scram.ScramLoginModule"

_KINDS = {ResourceKind.TOPIC: 2, ResourceKind.GROUP: 3}
_OPERATIONS = {
    Operation.READ: 3,
    Operation.WRITE: 4,
    Operation.CREATE: 5,
    Operation.DESCRIBE: 8,
    Operation.DESCRIBE_CONFIGS: 10,
    Operation.ALTER_CONFIGS: 11,
}
_LITERAL = _ALLOW = 3


@dataclass(frozen=True, slots=True)
class SecuredKafka:
    """Where the broker is, and what its users log on with."""

    own_listener: str
    scram: str
    mtls: str
    authority: Authority
    passwords: Mapping[str, str]

    def scram_env(self, user: str, **changes: str) -> dict[str, str]:
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.scram,
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_CA_FILE": str(self.authority.file),
            "KAFKA_SASL_USERNAME": user,
            "KAFKA_SASL_PASSWORD": self.passwords.get(user, "none"),
            **changes,
        }

    def mtls_env(self, pair: Pair, **changes: str) -> dict[str, str]:
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.mtls,
            "KAFKA_SECURITY_PROTOCOL": "SSL",
            "KAFKA_CA_FILE": str(self.authority.file),
            "KAFKA_CERTIFICATE_FILE": str(pair.certificate),
            "KAFKA_KEY_FILE": str(pair.key),
            **changes,
        }


def settings_of(env: Mapping[str, str]) -> KafkaSettings:
    return KafkaSettings.model_validate({**env, "KAFKA_SESSION_TIMEOUT_SECONDS": "6"})


@contextlib.contextmanager
def secured_kafka(folder: Path) -> Generator[SecuredKafka]:
    """Run the broker, with a user and rules for everybody whom the contracts name."""
    rules = access_rules()
    ports = {name: free_port() for name in ("port", "controller_port", "scram", "mtls")}
    authority = Authority(folder)
    own = authority.issue("broker")
    keystore = folder / "broker.pem"
    keystore.write_bytes(own.key.read_bytes() + own.certificate.read_bytes())
    properties = folder / "server.properties"
    names: Any = {"host": LOOPBACK, "data": folder / "data", **ports}
    names |= {"keystore": keystore, "authority": authority.file, "scram_module": _SCRAM_MODULE}
    names["clients"] = _CLIENTS.format(**names)
    properties.write_text((launcher._PROPERTIES + _SECURITY).format(**names))
    kafka = SecuredKafka(
        own_listener=f"{LOOPBACK}:{ports['port']}",
        scram=f"{LOOPBACK}:{ports['scram']}",
        mtls=f"{LOOPBACK}:{ports['mtls']}",
        authority=authority,
        passwords={access.user: secrets.token_urlsafe(12) for access in rules.values()},
    )
    command = asyncio.run(_formatted(folder, properties, kafka.passwords))
    with _running(command, folder / "kafka.log"):
        asyncio.run(_prepare(kafka, rules.values()))
        yield kafka


async def _formatted(
    folder: Path, properties: Path, passwords: Mapping[str, str]
) -> list[str | Path]:
    java = await find_java()
    log = folder / "format.log"
    jars = await JarCache(read_settings().cache_dir).class_path("kafka", log)
    users: list[str] = [
        part
        for user, password in passwords.items()
        for part in ("-S", f"SCRAM-SHA-512=[name={user},password={password}]")
    ]
    tool = (java, "-Xmx128m", *launcher._JVM, "-cp", jars, "kafka.tools.StorageTool", "format")
    options: tuple[str | Path, ...] = ("-t", launcher.new_cluster_id(), "-c", properties, *users)
    assert await run(Program(arguments=(*tool, *options)), log) == 0, log.read_text()
    levels = launcher._log_levels()
    return [java, launcher._HEAP, *launcher._JVM, *levels, "-cp", jars, "kafka.Kafka", properties]


@contextlib.contextmanager
def _running(command: Iterable[str | Path], log: Path) -> Generator[None]:
    """Run the broker tied to this process, as the stack does."""
    tie = (sys.executable, "-I", "-S", _EXEC_CHILD, str(os.getpid()), str(int(signal.SIGTERM)))
    with log.open("ab") as output:
        broker = subprocess.Popen(
            [*map(str, tie), "-", "/", *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield
    finally:
        broker.kill()  # nothing in it is kept
        broker.wait(timeout=20)


async def _prepare(kafka: SecuredKafka, rules: Iterable[Access]) -> None:
    await eventually(lambda: launcher._has_coordinator(kafka.own_listener), timeout=60)
    async with administration(kafka.own_listener) as admin:
        answer: Any = await admin._send_request(_Grants(rules))
    assert all(result[0] == 0 for result in answer.creation_responses), answer


@contextlib.asynccontextmanager
async def administration(address: str, **security: Any) -> AsyncGenerator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=address, **security)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


class _Grants(CreateAclsRequest):  # type: ignore[misc]
    """All rules in one request; the library's own class takes one."""

    def __init__(self, rules: Iterable[Access]) -> None:
        self._creations = [
            (
                _KINDS[rule.kind],
                rule.name,
                _LITERAL,
                f"User:{access.user}",
                "*",
                _OPERATIONS[operation],
                _ALLOW,
            )
            for access in rules
            for rule in access.rules
            for operation in rule.operations
        ]

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class(self._creations)
