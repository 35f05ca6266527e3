"""`replay.requested`: answered by the service whose consumer rejected the messages."""

import uuid
from collections.abc import Sequence

from chassis.bus.delivery import Handler
from chassis.clock import Clock, SystemClock
from chassis.commands import CommandSpec, command_handler
from chassis.db import Transaction
from chassis.dead_letters.replay import REPLAY
from chassis.runs.ledger import submit
from contracts.commands import OverlapPolicy
from contracts.dead_letters import parse_topic
from contracts.topics import REPLAY_REQUESTED, TOPICS, Topic


def replay_handler(
    *, service: str, clock: Clock | None = None, topics: Sequence[Topic] = TOPICS
) -> Handler:
    """Return the handler of `replay.requested`: it queues a run `replay` for what is ours.

    Every service reads these commands. The one that the topic's name says refuses topics that it
    does not have; what names no service at all is refused by the first of them.
    """
    spec = CommandSpec(
        REPLAY_REQUESTED,
        kind=REPLAY,
        targets=lambda: dead_letter_topics(service, topics),
        concerns=lambda topic: _addressee(topic) == service,
    )
    return command_handler(spec, service=service, clock=clock or SystemClock())


def dead_letter_topics(service: str, topics: Sequence[Topic] = TOPICS) -> dict[str, str]:
    """Return the dead-letter topics of a service, and the topics that they belong to."""
    return {
        topic.dead_letters_of(service): topic.name for topic in topics if service in topic.consumers
    }


async def submit_replays(
    transaction: Transaction,
    *,
    service: str,
    drift_id: uuid.UUID,
    requester: str,
    reason: str | None = None,
    topics: Sequence[Topic] = TOPICS,
) -> list[str]:
    """Queue the replay of all letters of this service that a schema drift holds back.

    Returns the ids of the runs, one a topic.
    """
    rows = await transaction.connection.fetch(_TOPICS_OF_A_DRIFT, drift_id, service)
    of_topic = {origin: name for name, origin in dead_letter_topics(service, topics).items()}
    run_ids = [
        await submit(
            transaction,
            service=service,
            kind=REPLAY,
            target=of_topic[row["topic"]],
            parameters={"topic": of_topic[row["topic"]], "drift_id": str(drift_id)},
            requester=requester,
            reason=reason,
            overlap=OverlapPolicy.QUEUE,
        )
        for row in rows
        if row["topic"] in of_topic
    ]
    return [run_id for run_id in run_ids if run_id is not None]


def _addressee(name: str) -> str:
    found = parse_topic(name)
    consumer = found.consumer.replace("-", "_") if found else ""
    known = REPLAY_REQUESTED.consumers
    return consumer if consumer in known else known[0]


_TOPICS_OF_A_DRIFT = """
select distinct topic from meta.dead_letters
where drift_id = $1 and consumer = $2 and status = 'open'
order by topic
"""
