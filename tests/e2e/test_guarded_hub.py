"""The services as an installation should run them: TLS to Kafka, a user and a database role each.

One hub for the module. Nothing that it does may be refused, no secret may come out, and one trace
leads from the scan to the silver row.
"""

import asyncio
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.e2e.guarded import SERVICES, Servers, Told, tell
from tests.support.addresses import PostgresAddress, S3Address
from tests.support.collector import Collector, Received, running_collector
from tests.support.secured_kafka import secured_kafka

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("guarded")


@pytest.fixture(scope="module")
def collector() -> Generator[Collector]:
    with running_collector() as running:
        yield running


@pytest.fixture(scope="module")
def told(folder: Path, postgres: PostgresAddress, s3: S3Address, collector: Collector) -> Told:
    with secured_kafka(folder) as kafka:
        return asyncio.run(tell(Servers(kafka, postgres, s3, collector), folder, "guarded_e2e"))


def test_everything_works_and_nothing_is_refused(told: Told) -> None:
    assert told.scan.returncode == 0, told.scan.stderr
    assert len(told.silver) == 2
    assert told.dead_letters == ["content_parse"]
    assert told.complaints == []
    assert told.exit_codes == [0] * len(SERVICES)


def test_the_mirror_of_the_archive_works_and_nothing_is_refused(told: Told) -> None:
    mirrored = told.mirrored

    assert mirrored.statuses == ["completed", "completed", "completed", "failed", "completed"]
    assert mirrored.tables == {
        "vintages": 3,
        "restatements": 1,
        "partitions": 2,
        "states": 2,
        "volumes": 1,
    }
    assert set(mirrored.complaints) == {
        "sync.data.late",  # it was never synced, as the watch sees it first
        "data_restated",
        "schema_drifted",
        "dataset_failed",
        "run_failed",
    }
    assert mirrored.exit_code == 0


def test_the_end_of_a_client_certificate_is_told(told: Told) -> None:
    page = told.places["metrics"]

    assert 'penstock_kafka_certificate_not_after_timestamp_seconds{file="transformer.crt"}' in page


def test_no_secret_comes_out(told: Told) -> None:
    assert len(told.secrets) > 10
    leaks = {
        place for place, text in told.places.items() for secret in told.secrets if secret in text
    }

    assert all(told.places.values()), "nothing was looked at"
    assert leaks == set()


def test_one_trace_leads_from_the_scan_to_the_silver_row(told: Told, collector: Collector) -> None:
    assert told.silver
    silver = collector.named("publish silver.changed")[0]
    of_scan = [span for span in collector.spans if span.trace_id == silver.trace_id]
    by_id = {span.span_id: span for span in of_scan}
    found = {(span.service, span.name) for span in of_scan}

    assert found >= {
        ("scanner", "run scan"),
        ("scanner", "publish file.changed"),
        ("ingestor", "process file.changed"),
        ("ingestor", "store bronze"),
        ("ingestor", "publish bronze.stored"),
        ("transformer", "process bronze.stored"),
        ("transformer", "write silver"),
        ("transformer", "publish silver.changed"),
    }
    assert [span.name for span in _ancestors(silver, by_id)] == [
        "publish bronze.stored",
        "publish file.changed",
        "run scan",
    ]
    batches = [span for span in of_scan if span.name == "process file.changed"]
    published = {span.span_id for span in of_scan if span.name == "publish file.changed"}
    assert frozenset[str]().union(*(span.links for span in batches)) == published


def _ancestors(span: Received, by_id: dict[str, Received]) -> list[Received]:
    parent = by_id.get(span.parent_id)
    return [] if parent is None else [parent, *_ancestors(parent, by_id)]


def test_the_scan_is_told_as_lineage(told: Told) -> None:
    runs = [event for event in told.lineage if event["job"]["name"] == "scanner.scan.transcripts"]

    first = [event for event in runs if event["run"]["runId"] == runs[0]["run"]["runId"]]
    assert first[0]["eventType"] == "START"
    assert first[-1]["eventType"] == "COMPLETE"
    assert first[-1]["inputs"][0]["name"] == "transcripts"
