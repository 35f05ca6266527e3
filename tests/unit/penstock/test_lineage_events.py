"""Runs become OpenLineage events as the official client would write them."""

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from openlineage.client import event_v2
from openlineage.client.facet_v2 import (
    error_message_run,
    job_type_job,
    output_statistics_output_dataset,
)
from openlineage.client.serde import Serde

from contracts.envelope import Event
from contracts.runs import RunChanged, RunCounts, RunStatus
from penstock.lineage_events import LineageEvents

RUN = "0197a5f0-0000-7000-8000-000000000001"
NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
PRODUCER = "urn:penstock:lineage"


def announced(status: RunStatus, **changes: Any) -> Event[RunChanged]:
    run = {"run_id": RUN, "service": "refresher", "kind": "refresh", "target": "sales.orders"}
    return Event[RunChanged](
        id=str(uuid.uuid4()),
        type="run.changed",
        source="/refresher",
        time=NOON,
        data=RunChanged.model_validate(run | {"status": status} | changes),
    )


def kinds(*statuses: RunStatus) -> list[str | None]:
    events = LineageEvents("penstock")
    told = [events.of(announced(status)) for status in statuses]
    return [None if event is None else event["eventType"] for event in told]


def as_the_client_writes(event: event_v2.RunEvent) -> Any:
    return json.loads(Serde.to_json(event))


def test_a_run_starts_once_goes_on_and_ends() -> None:
    queued, running, completed = RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.COMPLETED

    assert kinds(queued, running, running, queued, running, completed) == [
        None,
        "START",
        "RUNNING",
        None,
        "RUNNING",
        "COMPLETE",
    ]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (RunStatus.COMPLETED_WITH_ERRORS, "COMPLETE"),
        (RunStatus.FAILED, "FAIL"),
        (RunStatus.ABANDONED, "FAIL"),
        (RunStatus.CANCELLED, "ABORT"),
    ],
)
def test_every_end_has_its_word(status: RunStatus, kind: str) -> None:
    assert kinds(RunStatus.RUNNING, status) == ["START", kind]


def test_a_completed_refresh_is_what_the_official_client_writes() -> None:
    event_v2.set_producer(PRODUCER)
    rows = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=5)
    expected = event_v2.RunEvent(
        eventType=event_v2.RunState.COMPLETE,
        eventTime=NOON.isoformat(),
        run=event_v2.Run(runId=RUN, facets={}),
        job=event_v2.Job(
            namespace="penstock",
            name="refresher.refresh.sales.orders",
            facets={
                "jobType": job_type_job.JobTypeJobFacet(
                    processingType="BATCH", integration="PENSTOCK", jobType="REFRESH"
                )
            },
        ),
        inputs=[event_v2.InputDataset(namespace="penstock/production", name="sales.orders")],
        outputs=[
            event_v2.OutputDataset(
                namespace="penstock/uat",
                name="sales.orders",
                outputFacets={"outputStatistics": rows},
            )
        ],
        producer=PRODUCER,
    )

    told = LineageEvents("penstock").of(
        announced(RunStatus.COMPLETED, counts=RunCounts(processed=9, new=2, changed=3))
    )

    assert _without_empty(told) == _without_empty(as_the_client_writes(expected))


def test_a_failed_run_says_why_as_the_official_client_does() -> None:
    event_v2.set_producer(PRODUCER)
    facet = error_message_run.ErrorMessageRunFacet(
        message="the target is away", programmingLanguage="python"
    )
    expected = as_the_client_writes(
        event_v2.RunEvent(
            eventTime=NOON.isoformat(),
            run=event_v2.Run(runId=RUN, facets={"errorMessage": facet}),
            job=event_v2.Job(namespace="penstock", name="x"),
        )
    )

    told = LineageEvents("penstock").of(announced(RunStatus.FAILED, message="the target is away"))

    assert told is not None
    assert told["run"] == expected["run"]


def _without_empty(value: Any) -> Any:
    """Leave out empty maps and lists, which the client leaves out as well."""
    if isinstance(value, dict):
        return {key: _without_empty(item) for key, item in value.items() if item not in ({}, [])}
    return [_without_empty(item) for item in value] if isinstance(value, list) else value
