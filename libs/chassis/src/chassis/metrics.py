"""The metrics that every service has; a service's own stand in its `metrics` module.

Names follow the Prometheus conventions; labels are bounded: never a path, an id or a message text.
"""

from prometheus_client import Counter, Gauge, Histogram

from contracts.errors import ErrorCategory
from contracts.runs import RunStatus
from contracts.topics import TOPICS

EVENTS_PROCESSED = Counter(
    "penstock_events_processed_total",
    "Messages that left the delivery loop, by outcome.",
    ("consumer", "topic", "outcome"),
)
EVENT_DURATION = Histogram(
    "penstock_batch_duration_seconds",
    "From fetching a batch to its commit.",
    ("consumer",),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
EVENT_AGE = Histogram(
    "penstock_event_age_seconds",
    "From the time of a batch's oldest event to the commit of the batch.",
    ("consumer", "topic"),
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600),
)
CONSUMER_LAG = Gauge(
    "penstock_consumer_lag_messages",
    "Messages not yet applied.",
    ("consumer", "topic", "partition"),
)
CONSUMER_LAG_AGE = Gauge(
    "penstock_consumer_lag_age_seconds",
    "How long the oldest message that is not yet applied has been known; 0 without one.",
    ("consumer", "topic", "partition"),
)
CONSUMER_OFFSET = Gauge(
    "penstock_consumer_committed_offset",
    "Next offset to apply.",
    ("consumer", "topic", "partition"),
)
PARTITIONS_PAUSED = Gauge(
    "penstock_partitions_paused", "Partitions waiting for a dependency.", ("consumer", "topic")
)
DEAD_LETTERS = Counter(
    "penstock_dead_letters_total", "Messages rejected for good.", ("consumer", "topic", "category")
)
DRIFTS = Counter(
    "penstock_schema_drifts_total",
    "Changes of schemas that were entered into the inbox.",
    ("service", "kind"),
)
OPEN_LETTERS = Gauge(
    "penstock_open_dead_letters",
    "Dead letters that nobody has replayed or discarded yet.",
    ("service", "topic"),
)
WAITING_DRIFTS = Gauge(
    "penstock_waiting_drifts",
    "Breaking changes of schemas that wait for somebody's decision.",
    ("service",),
)
BATCH_RETRIES = Counter(
    "penstock_batch_retries_total", "Batches tried again, by kind of error.", ("consumer", "kind")
)
POSITION_RESETS = Counter(
    "penstock_position_resets_total",
    "Stored positions that did not fit the log: re-created topic, expired records.",
    ("consumer", "topic", "reason"),
)
REBALANCES = Counter("penstock_rebalances_total", "Assignments received.", ("consumer",))
OUTBOX_PENDING = Gauge("penstock_outbox_pending", "Events waiting for the relay.", ("service",))
OUTBOX_OLDEST = Gauge(
    "penstock_outbox_oldest_age_seconds",
    "Age of the oldest event waiting for the relay; 0 without one.",
    ("service",),
)
OUTBOX_RELAYED = Counter("penstock_outbox_relayed_total", "Events published.", ("service", "topic"))
LEASE_HELD = Gauge("penstock_lease_held", "Leases of this kind that this process holds.", ("kind",))
LEASE_LOSSES = Counter(
    "penstock_lease_losses_total", "Leases that were lost while their work went on.", ("kind",)
)
RUNS_QUEUED = Gauge("penstock_runs_queued", "Runs that wait for a worker.", ("service", "kind"))
RUNS_OLDEST_QUEUED = Gauge(
    "penstock_runs_oldest_queued_age_seconds",
    "How long the run that has waited longest could have been started already.",
    ("service", "kind"),
)
RUNS = Counter("penstock_runs_total", "Runs that ended, by outcome.", ("service", "kind", "status"))
RUN_STARTED = Gauge(
    "penstock_run_started_timestamp_seconds",
    "Start of the run in progress; 0 without one.",
    ("service", "kind"),
)
DEPENDENCY_UP = Gauge("penstock_dependency_up", "1 if the last check succeeded.", ("dependency",))
LOOP_LAG = Gauge("penstock_loop_lag_seconds", "How late the event loop ran its last timer.")
POOL_CONNECTIONS = Gauge("penstock_pool_connections", "Database connections.", ("state",))
BUILD_INFO = Gauge("penstock_build_info", "Always 1.", ("service", "version"))


def begin_consumer(consumer: str, topic: str) -> None:
    """Let every series of a consumer begin at 0: a counter that is born at 1 has no increase that
    an alert could see.
    """
    for outcome in ("applied", "dead-lettered"):
        EVENTS_PROCESSED.labels(consumer, topic, outcome)
    for category in ErrorCategory:
        DEAD_LETTERS.labels(consumer, topic, category.value)
    for kind in ("transient", "bug"):
        BATCH_RETRIES.labels(consumer, kind)
    EVENT_DURATION.labels(consumer)
    EVENT_AGE.labels(consumer, topic)
    PARTITIONS_PAUSED.labels(consumer, topic)
    REBALANCES.labels(consumer)


def begin_runs(service: str, kind: str) -> None:
    """Let every series of a kind of run begin at 0."""
    for status in RunStatus:
        if status.is_final:
            RUNS.labels(service, kind, status.value)
    RUN_STARTED.labels(service, kind).set(0)
    RUNS_QUEUED.labels(service, kind).set(0)
    RUNS_OLDEST_QUEUED.labels(service, kind).set(0)


def begin_outbox(service: str) -> None:
    """Let every series of an outbox begin at 0."""
    for topic in TOPICS:
        if service in topic.producers:
            OUTBOX_RELAYED.labels(service, topic.name)
    OUTBOX_PENDING.labels(service).set(0)
    OUTBOX_OLDEST.labels(service).set(0)
