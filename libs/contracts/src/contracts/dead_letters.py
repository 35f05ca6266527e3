"""The headers that a dead letter carries beside the original, unchanged key and value.

The names follow the practice of Kafka Connect and Spring Kafka, so that existing tools can read
them.
"""

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
