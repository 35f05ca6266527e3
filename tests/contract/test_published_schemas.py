"""The committed schemas are what the models say, and a change that would break a reader is
refused.
"""

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from contracts.compatibility import incompatibilities
from contracts.envelope import Event
from contracts.files import FileChanged
from contracts.topics import FILE_CHANGED, TOPICS, Topic
from scripts.docs import message_schema, render_asyncapi, render_events, render_schemas
from tests.support.paths import PROJECT

SCHEMAS = PROJECT / "libs/contracts/schemas"

MESSAGE = {
    "specversion": "1.0",
    "id": "e-1",
    "type": "file.changed",
    "source": "/scanner",
    "time": "2026-01-02T03:04:05.000000Z",
    "datacontenttype": "application/json",
    "sequence": 7,
    "data": {
        "change": "added",
        "source": "nas",
        "path": "a/b.xml",
        "current": {"modified_at": "2026-01-02T03:04:05.000000Z", "size_bytes": 3},
        "scan_id": "s",
    },
}


def published(topic: Topic) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((SCHEMAS / f"{topic.name}.json").read_text("utf-8"))
    return schema


def test_the_committed_schemas_are_the_generated_ones() -> None:
    for path, text in render_schemas().items():
        assert path.read_text("utf-8") == text, f"{path.name} is out of date; run `make docs`"


def test_no_schema_is_left_behind_by_a_topic_that_is_gone() -> None:
    assert {path.name for path in SCHEMAS.iterdir()} == {f"{topic.name}.json" for topic in TOPICS}


@pytest.mark.parametrize(
    ("name", "render"), [("asyncapi.json", render_asyncapi), ("events.md", render_events)]
)
def test_the_committed_documents_are_the_generated_ones(name: str, render: Any) -> None:
    assert (PROJECT / "docs" / name).read_text("utf-8") == render(), "run `make docs`"


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_schema_is_valid_json_schema_and_names_itself(topic: Topic) -> None:
    schema = published(topic)

    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"{topic.name}.json"


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_the_models_are_compatible_with_what_is_published(topic: Topic) -> None:
    assert incompatibilities(published(topic), message_schema(topic)) == []


def test_a_message_that_we_write_satisfies_the_published_schema() -> None:
    event = Event[FileChanged].model_validate(MESSAGE)
    written = json.loads(event.model_dump_json(exclude_none=True))

    assert written == MESSAGE
    jsonschema.validate(written, published(FILE_CHANGED))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("id", ""),
        ("sequence", -1),
        ("sequence", 2**63),
        ("specversion", "0.3"),
        ("data.change", "renamed"),
        ("data.path", "/absolute"),
        ("data.source", "../nas"),
        ("data.current.size_bytes", -1),
        ("data.scan_id", None),
    ],
)
def test_the_published_schema_refuses_what_the_model_refuses(path: str, value: object) -> None:
    broken = json.loads(json.dumps(MESSAGE))
    *parents, last = path.split(".")
    place = broken
    for parent in parents:
        place = place[parent]
    place[last] = value

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, published(FILE_CHANGED))
    with pytest.raises(ValueError, match=last):
        Event[FileChanged].model_validate(broken)


def _data_of(schema: dict[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = schema["$defs"]["FileChanged"]
    return data


def _remove(schema: dict[str, Any]) -> None:
    del _data_of(schema)["properties"]["scan_id"]


def _require(schema: dict[str, Any]) -> None:
    _data_of(schema)["required"].append("institution")


def _retype(schema: dict[str, Any]) -> None:
    schema["$defs"]["FileFingerprint"]["properties"]["size_bytes"]["type"] = "string"


def _forget(schema: dict[str, Any]) -> None:
    schema["$defs"]["FileChange"]["enum"].remove("deleted")


def _narrow(schema: dict[str, Any]) -> None:
    _data_of(schema)["properties"]["path"]["maxLength"] = 255


def _close(schema: dict[str, Any]) -> None:
    _data_of(schema)["additionalProperties"] = False


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (_remove, "`message.data.scan_id`: the field is gone"),
        (_require, "`message.data.institution`: the field became required"),
        (_retype, "`message.data.current`: alternative 0 is gone"),
        (_forget, "`message.data.change`: values ['deleted'] are no longer allowed"),
        (_narrow, "`message.data.path`: maxLength shrank to 255"),
        (_close, "`message.data`: unknown fields are now refused"),
    ],
    ids=lambda item: getattr(item, "__name__", ""),
)
def test_an_incompatible_change_of_a_real_message_is_reported(change: Any, problem: str) -> None:
    proposed = json.loads(json.dumps(published(FILE_CHANGED)))

    change(proposed)

    assert problem in incompatibilities(published(FILE_CHANGED), proposed)


def test_the_check_looks_at_the_folder_that_is_shipped() -> None:
    assert {Path(path).parent for path in render_schemas()} == {SCHEMAS}
