"""The envelope holds to CloudEvents 1.0."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from contracts.envelope import Event
from contracts.runs import RunChanged

DATA = {"run_id": "r", "service": "scanner", "kind": "scan", "target": "nas", "status": "queued"}


def attributes(**changes: Any) -> dict[str, Any]:
    event = {
        "id": "e-1",
        "type": "run.changed",
        "source": "/scanner",
        "time": "2026-01-02T03:04:05Z",
        "data": DATA,
    }
    return event | changes


def test_an_event_is_rendered_with_the_attributes_of_the_specification() -> None:
    event = Event[RunChanged].model_validate(attributes(sequence=7, subject="r"))

    rendered = event.model_dump(mode="json", exclude_none=True)

    assert {key: value for key, value in rendered.items() if key != "data"} == {
        "specversion": "1.0",
        "id": "e-1",
        "type": "run.changed",
        "source": "/scanner",
        "time": "2026-01-02T03:04:05.000000Z",
        "subject": "r",
        "datacontenttype": "application/json",
        "sequence": 7,
    }


@pytest.mark.parametrize("name", ["id", "type", "source", "time", "data"])
def test_an_event_without_a_required_attribute_is_refused(name: str) -> None:
    event = attributes()
    del event[name]

    with pytest.raises(ValidationError, match=name):
        Event[RunChanged].model_validate(event)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("specversion", "0.3"),
        ("id", ""),
        ("id", "x" * 513),
        ("type", ""),
        ("source", "x" * 256),
        ("time", "2026-01-02T03:04:05"),
        ("subject", ""),
        ("sequence", -1),
        ("datacontenttype", "application/xml"),
        ("datacontenttype", "application/jsonlines"),
        ("traceparent", "x" * 65),
        ("data", None),
        ("data", "text"),
    ],
)
def test_an_attribute_outside_its_bounds_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError, match=name):
        Event[RunChanged].model_validate(attributes(**{name: value}))


def test_a_content_type_with_a_character_set_is_json_as_well() -> None:
    event = Event[RunChanged].model_validate(
        attributes(datacontenttype="application/json; charset=utf-8")
    )

    assert event.datacontenttype == "application/json; charset=utf-8"


def test_an_unknown_extension_attribute_is_ignored() -> None:
    event = Event[RunChanged].model_validate(attributes(partitionkey="r"))

    assert event.time == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert not hasattr(event, "partitionkey")
