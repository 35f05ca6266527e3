"""The headers that a dead letter carries beside the original, unchanged key and value, and those
that a replay adds to it.

The names follow the practice of Kafka Connect and Spring Kafka, so that existing tools can read
them.
"""

from dataclasses import dataclass

TOPIC = "x-dlq-topic"
PARTITION = "x-dlq-partition"
OFFSET = "x-dlq-offset"
CONSUMER = "x-dlq-group"
CATEGORY = "x-dlq-category"
ERROR_CLASS = "x-dlq-error-class"
MESSAGE = "x-dlq-message"
"""Redacted, at most 1 KiB."""

CHAIN = "x-dlq-exception-chain"
"""Class names from the error to its first cause, joined by ` <- `."""

ATTEMPTS = "x-dlq-attempts"
FAILED_AT = "x-dlq-failed-at"
EVENT_ID = "x-dlq-event-id"
"""The original's `ce_id` when it could be read; the original's own headers are kept as well."""

HEADERS_DROPPED = "x-dlq-headers-dropped"
"""How many of the original's headers are missing: not UTF-8, or too large together."""

TRUNCATED_FROM = "x-dlq-truncated-from"
"""The original's size in bytes, where it was larger than any topic takes and was cut."""

LETTER_ID = "x-dlq-letter-id"
"""The row of `meta.dead_letters` that tells the same, and what became of it."""

DRIFT_ID = "x-dlq-drift-id"
"""The schema drift because of which the message is held back."""

REPLAY_OF = "x-replay-of"
"""On a replayed message: the letter that it was."""

REPLAY_COUNT = "x-replay-count"
"""On a replayed message: how often it has been replayed, this time included."""

REPLAY_FOR = "x-replay-for"
"""On a replayed message, always last: the one consumer that is to read it."""

_SUFFIX = ".dead"


@dataclass(frozen=True, slots=True)
class DeadLetterTopic:
    """What the name of a dead-letter topic says."""

    origin: str
    consumer: str
    """As in a topic's name, where `_` is `-`."""


def parse_topic(name: str) -> DeadLetterTopic | None:
    """Return what a dead-letter topic's name says; None for another name."""
    if not name.endswith(_SUFFIX):
        return None
    origin, _, consumer = name.removesuffix(_SUFFIX).rpartition(".")
    return DeadLetterTopic(origin, consumer) if origin and consumer else None
