"""The shipped topics on the shared broker, without the commands that other tests left there."""

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from chassis.bus.topics import apply_topics
from chassis.settings import KafkaSettings
from contracts.topics import TOPICS, topic_specs
from tests.support.addresses import KafkaAddress


async def lay_topics(kafka: KafkaAddress) -> None:
    """Create what is missing, and empty the command topics: a service with a new database reads
    them from their beginning."""
    await apply_topics(KafkaSettings.model_validate(kafka.env), topic_specs())
    partitions = [
        TopicPartition(topic.name, number)
        for topic in TOPICS
        if topic.is_command
        for number in range(topic.partitions)
    ]
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await consumer.start()
    await admin.start()
    try:
        ends = await consumer.end_offsets(partitions)
        await admin.delete_records(
            {place: RecordsToDelete(before_offset=end) for place, end in ends.items() if end}
        )
    finally:
        await admin.close()
        await consumer.stop()
