"""Creates the topics that the contracts declare, and keeps their settings in step."""

import asyncio
from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from chassis.bus.security import client_security, explained
from chassis.errors import UnavailableError
from chassis.settings import KafkaSettings
from contracts.topics import TopicSpec

_DEADLINE = 60.0
_ALREADY_EXISTS = 36


async def apply_topics(
    settings: KafkaSettings, specs: Sequence[TopicSpec], *, replication_factor: int = 1
) -> list[str]:
    """Create missing topics and set the declared configuration on all; return the names created.

    Partitions of an existing topic are left alone: adding some would move keys between partitions
    and break their order.

    Raises:
        UnavailableError: Kafka does not answer, or refuses a topic.
    """
    admin = AIOKafkaAdminClient(
        bootstrap_servers=settings.bootstrap_servers, **client_security(settings)
    )
    try:
        async with explained(settings, "Kafka does not take topics"), asyncio.timeout(_DEADLINE):
            await admin.start()
            return await _apply(admin, specs, replication_factor)
    finally:
        async with asyncio.timeout(10):
            await admin.close()


async def _apply(
    admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec], replication_factor: int
) -> list[str]:
    response = await admin.create_topics(
        [
            NewTopic(spec.name, spec.partitions, replication_factor, topic_configs=spec.configs)
            for spec in specs
        ]
    )
    created: list[str] = []
    existing: set[str] = set()
    for name, code, message in response.topic_errors:
        if code == 0:
            created.append(name)
        elif code == _ALREADY_EXISTS:
            existing.add(name)
        else:
            raise UnavailableError(f"topic `{name}`: {message or for_code(code).__name__}")
    if existing:
        await admin.alter_configs(
            [
                ConfigResource(ConfigResourceType.TOPIC, spec.name, configs=spec.configs)
                for spec in specs
                if spec.name in existing
            ]
        )
    return created
