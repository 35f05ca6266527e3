"""Which topic carries which message, under which key, with which settings.

The registry is the one source for topic creation, the published schemas, the AsyncAPI document and
(in deployment) topic resources and access rules.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from contracts.commands import (
    FlowRequested,
    RefreshApproveRequested,
    RefreshPreviewRequested,
    RefreshRequested,
    RefreshUndoRequested,
    ReplayRequested,
    RunCancelRequested,
    ScanRequested,
    TransformRequested,
    WrdsSyncRequested,
)
from contracts.files import FileChanged, file_key
from contracts.layers import BronzeStored, SilverChanged, entity_key
from contracts.records import RecordChanged, record_key
from contracts.runs import RunChanged
from contracts.schemas import SchemaDecisionRequested, SchemaDrifted
from contracts.types import Message
from contracts.wrds import WrdsDataRestated

DAY_MS = 24 * 60 * 60 * 1000

MAX_MESSAGE_BYTES = 256 * 1024
"""Bodies travel by reference, so an event is small; a larger one is a mistake."""

REPLAY_HEADROOM_BYTES = 4 * 1024
"""What a broker takes above a message: the largest one must still fit when a replay has added its
headers."""

DEAD_LETTER_MAX_BYTES = MAX_MESSAGE_BYTES + 64 * 1024
"""The original message unchanged, plus headers that say why it is there."""

DEAD_LETTER_DAYS = 30
"""How long people have to decide about a dead letter."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic and the message type it carries."""

    name: str
    data: type[Message]
    key: Callable[[Any], str]
    """Builds the message key from the data; never empty."""

    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    partitions: int = 6
    retention_ms: int = 7 * DAY_MS
    max_message_bytes: int = MAX_MESSAGE_BYTES
    is_command: bool = False
    """Whether bare data (no envelope) is accepted."""

    @property
    def max_record_bytes(self) -> int:
        """What the broker takes, headers included."""
        return self.max_message_bytes + REPLAY_HEADROOM_BYTES

    def dead_letters_of(self, consumer: str) -> str:
        """Return the name of the topic that takes what `consumer` rejects.

        A consumer is a Python name; a topic is also a Kubernetes name, which has no `_`.
        """
        return f"{self.name}.{consumer.replace('_', '-')}.dead"


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """What a broker must be told to create a topic."""

    name: str
    partitions: int
    configs: dict[str, str] = field(default_factory=dict)


_ALL = ("scanner", "ingestor", "transformer", "refresher", "wrds_sync")
_COMMANDERS = ("console", "penstock")


def _command(
    name: str, data: type[Message], key: Callable[[Any], str], owners: tuple[str, ...]
) -> Topic:
    return Topic(
        name=name,
        data=data,
        key=key,
        producers=_COMMANDERS,
        consumers=owners,
        partitions=3,
        is_command=True,
    )


FILE_CHANGED = Topic(
    name="file.changed",
    data=FileChanged,
    key=lambda data: file_key(data.source, data.path),
    producers=("scanner",),
    consumers=("ingestor",),
)
RECORD_CHANGED = Topic(
    name="record.changed",
    data=RecordChanged,
    key=lambda data: record_key(data.source, data.entity_type, data.external_id),
    producers=("scanner",),
    consumers=("ingestor",),
)
BRONZE_STORED = Topic(
    name="bronze.stored",
    data=BronzeStored,
    key=lambda data: entity_key(data.entity_type, data.entity_id),
    producers=("ingestor", "wrds_sync"),
    consumers=("transformer", "scanner"),
)
SILVER_CHANGED = Topic(
    name="silver.changed",
    data=SilverChanged,
    key=lambda data: entity_key(data.entity_type, data.entity_id),
    producers=("transformer",),
    consumers=(),
)
RUN_CHANGED = Topic(
    name="run.changed",
    data=RunChanged,
    key=lambda data: data.run_id,
    producers=_ALL,
    consumers=(),
    partitions=3,
)
SCHEMA_DRIFTED = Topic(
    name="schema.drifted",
    data=SchemaDrifted,
    key=lambda data: data.dataset,
    producers=("ingestor", "refresher", "wrds_sync"),
    consumers=(),
    partitions=3,
)
WRDS_DATA_RESTATED = Topic(
    name="wrds-data.restated",
    data=WrdsDataRestated,
    key=lambda data: data.dataset,
    producers=("wrds_sync",),
    consumers=(),
    partitions=3,
)
SCAN_REQUESTED = _command("scan.requested", ScanRequested, lambda data: data.source, ("scanner",))
FLOW_REQUESTED = replace(
    _command("flow.requested", FlowRequested, lambda data: data.flow, ("scanner",)),
    # The scanner's schedule asks as everybody else does.
    producers=(*_COMMANDERS, "scanner"),
)
REFRESH_REQUESTED = _command(
    "refresh.requested", RefreshRequested, lambda data: data.table, ("refresher",)
)
REFRESH_APPROVE_REQUESTED = _command(
    "refresh.approve-requested", RefreshApproveRequested, lambda data: data.table, ("refresher",)
)
REFRESH_UNDO_REQUESTED = _command(
    "refresh.undo-requested", RefreshUndoRequested, lambda data: data.table, ("refresher",)
)
REFRESH_PREVIEW_REQUESTED = _command(
    "refresh.preview-requested", RefreshPreviewRequested, lambda data: data.table, ("refresher",)
)
WRDS_SYNC_REQUESTED = _command(
    "wrds-sync.requested", WrdsSyncRequested, lambda data: data.dataset, ("wrds_sync",)
)
REPLAY_REQUESTED = _command("replay.requested", ReplayRequested, lambda data: data.topic, _ALL)
TRANSFORM_REQUESTED = _command(
    "transform.requested", TransformRequested, lambda data: data.entity_type, ("transformer",)
)
RUN_CANCEL_REQUESTED = _command(
    "run.cancel-requested", RunCancelRequested, lambda data: data.run_id, _ALL
)
SCHEMA_DECISION_REQUESTED = _command(
    "schema.decision-requested",
    SchemaDecisionRequested,
    lambda data: str(data.drift_id),
    ("ingestor", "refresher", "wrds_sync"),
)

TOPICS: tuple[Topic, ...] = (
    FILE_CHANGED,
    RECORD_CHANGED,
    BRONZE_STORED,
    SILVER_CHANGED,
    RUN_CHANGED,
    SCHEMA_DRIFTED,
    WRDS_DATA_RESTATED,
    SCAN_REQUESTED,
    FLOW_REQUESTED,
    REFRESH_REQUESTED,
    REFRESH_APPROVE_REQUESTED,
    REFRESH_UNDO_REQUESTED,
    REFRESH_PREVIEW_REQUESTED,
    WRDS_SYNC_REQUESTED,
    REPLAY_REQUESTED,
    TRANSFORM_REQUESTED,
    RUN_CANCEL_REQUESTED,
    SCHEMA_DECISION_REQUESTED,
)


def topic_specs() -> list[TopicSpec]:
    """Return every topic that must exist, dead-letter topics included."""
    specs: list[TopicSpec] = []
    for topic in TOPICS:
        specs.append(
            _spec(topic.name, topic.partitions, topic.retention_ms, topic.max_record_bytes)
        )
        specs.extend(
            _spec(
                topic.dead_letters_of(consumer), 1, DEAD_LETTER_DAYS * DAY_MS, DEAD_LETTER_MAX_BYTES
            )
            for consumer in topic.consumers
        )
    return specs


def _spec(name: str, partitions: int, retention_ms: int, max_message_bytes: int) -> TopicSpec:
    return TopicSpec(
        name=name,
        partitions=partitions,
        configs={
            "cleanup.policy": "delete",
            "max.message.bytes": str(max_message_bytes),
            "retention.ms": str(retention_ms),
        },
    )
