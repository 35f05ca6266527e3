"""The registry of topics: legal names, keys that are never empty, dead letters for everybody."""

import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

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
from contracts.files import FileChange, FileChanged, FileFingerprint
from contracts.layers import BronzeOperation, BronzeStored, SilverChanged, SilverOperation
from contracts.records import RecordChange, RecordChanged
from contracts.runs import RunChanged, RunStatus
from contracts.schemas import Decision, DriftKind, SchemaDecisionRequested, SchemaDrifted
from contracts.topics import FILE_CHANGED, REPLAY_REQUESTED, TOPICS, Topic, topic_specs
from contracts.types import Message
from contracts.wrds import WrdsDataRestated

KUBERNETES_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")

EXAMPLES: dict[str, tuple[Message, str]] = {
    "file.changed": (
        FileChanged(
            change=FileChange.ADDED,
            source="nas",
            path="a/b.xml",
            current=FileFingerprint(modified_at=datetime(2026, 1, 2, tzinfo=UTC), size_bytes=1),
            scan_id="s",
        ),
        "nas/a/b.xml",
    ),
    "record.changed": (
        RecordChanged(
            change=RecordChange.DELETED,
            source="ldap",
            entity_type="user",
            external_id="uid=1/2",
            scan_id="s",
        ),
        "ldap/user/uid=1/2",
    ),
    "bronze.stored": (
        BronzeStored(
            operation=BronzeOperation.TOMBSTONED,
            entity_type="transcript",
            entity_id="RY-CA/2024",
            source_system="nas",
            external_id="a/b.xml",
            version=1,
        ),
        "transcript/RY-CA/2024",
    ),
    "silver.changed": (
        SilverChanged(
            operation=SilverOperation.RETIRED, entity_type="transcript", entity_id="1", version=2
        ),
        "transcript/1",
    ),
    "run.changed": (
        RunChanged(
            run_id="r1", service="scanner", kind="scan", target="nas", status=RunStatus.QUEUED
        ),
        "r1",
    ),
    "schema.drifted": (
        SchemaDrifted(
            dataset="crsp", kind=DriftKind.ADDITIVE, registered={}, observed={"a": "int"}
        ),
        "crsp",
    ),
    "wrds-data.restated": (
        WrdsDataRestated(
            dataset="crsp", vintage="20240301T120000Z-1", previous="20240201T120000Z-0"
        ),
        "crsp",
    ),
    "scan.requested": (ScanRequested(source="nas"), "nas"),
    "flow.requested": (FlowRequested(flow="daily-market", step="prices"), "daily-market"),
    "refresh.requested": (RefreshRequested(table="all"), "all"),
    "refresh.approve-requested": (
        RefreshApproveRequested(plan="3f0c", table="orders"),
        "orders",
    ),
    "refresh.undo-requested": (RefreshUndoRequested(plan="3f0c", table="orders"), "orders"),
    "refresh.preview-requested": (
        RefreshPreviewRequested(table="orders", side="source"),
        "orders",
    ),
    "wrds-sync.requested": (WrdsSyncRequested(dataset="crsp"), "crsp"),
    "replay.requested": (
        ReplayRequested(topic="file.changed.ingestor.dead"),
        "file.changed.ingestor.dead",
    ),
    "transform.requested": (TransformRequested(entity_type="transcript"), "transcript"),
    "run.cancel-requested": (RunCancelRequested(run_id="r1"), "r1"),
    "schema.decision-requested": (
        SchemaDecisionRequested(drift_id=UUID(int=1), decision=Decision.ACCEPT),
        "00000000-0000-0000-0000-000000000001",
    ),
}


def test_every_topic_of_the_design_is_declared_once() -> None:
    names = [topic.name for topic in TOPICS]

    assert sorted(names) == sorted(EXAMPLES)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_the_key_is_the_entity(topic: Topic) -> None:
    data, key = EXAMPLES[topic.name]

    assert isinstance(data, topic.data)
    assert topic.key(data) == key


@pytest.mark.parametrize("name", [spec.name for spec in topic_specs()])
def test_every_topic_name_is_legal_in_kafka_and_in_kubernetes(name: str) -> None:
    assert KUBERNETES_NAME.fullmatch(name)
    assert len(name) <= 249


def test_a_consumer_with_an_underscore_has_a_legal_dead_letter_topic() -> None:
    assert REPLAY_REQUESTED.dead_letters_of("wrds_sync") == "replay.requested.wrds-sync.dead"
    assert FILE_CHANGED.dead_letters_of("ingestor") == "file.changed.ingestor.dead"


def test_every_consumer_has_a_dead_letter_topic() -> None:
    names = [spec.name for spec in topic_specs()]

    for topic in TOPICS:
        for consumer in topic.consumers:
            assert topic.dead_letters_of(consumer) in names
    assert len(names) == len(set(names))
    assert len(names) == len(TOPICS) + sum(len(topic.consumers) for topic in TOPICS)


def test_settings_of_topics_are_explicit_and_dead_letters_are_kept_longer() -> None:
    specs = {spec.name: spec for spec in topic_specs()}

    assert specs["file.changed"].partitions == 6
    assert specs["file.changed"].configs == {
        "cleanup.policy": "delete",
        "max.message.bytes": "266240",
        "retention.ms": "604800000",
    }
    assert specs["file.changed.ingestor.dead"].configs == {
        "cleanup.policy": "delete",
        "max.message.bytes": "327680",
        "retention.ms": "2592000000",
    }


def test_only_commands_may_be_bare() -> None:
    bare = {topic.name for topic in TOPICS if topic.is_command}

    assert bare == {name for name in EXAMPLES if name.endswith("requested")}


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_text_of_a_message_is_bounded(topic: Topic) -> None:
    unbounded = [
        path
        for path, schema in _strings(topic.data.model_json_schema(), "data")
        if not {"maxLength", "enum", "const", "format", "pattern"} & set(schema)
    ]
    assert unbounded == []


def _strings(schema: Any, path: str) -> list[tuple[str, dict[str, Any]]]:
    if isinstance(schema, list):
        return [item for part in schema for item in _strings(part, path)]
    if not isinstance(schema, dict):
        return []
    found = [(path, schema)] if schema.get("type") == "string" else []
    for key, part in schema.items():
        if key not in ("default", "const", "enum", "required"):
            found += _strings(part, f"{path}.{key}")
    return found
