"""Records completed by a further call, against the sample API and every way in which it fails."""

import json
import uuid
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from chassis.blobs.open import open_blobs
from chassis.bus.applier import Applier
from chassis.clock import SystemClock
from chassis.db import Database
from chassis.settings import BlobSettings
from chassis.sources import SourcesConfig
from contracts.topics import RECORD_CHANGED
from ingestor.adapters.http_full_forms import HttpFullForms
from ingestor.adapters.postgres_catalog import PostgresCatalog
from ingestor.adapters.postgres_enrichments import PostgresEnrichments
from ingestor.handlers.enrich import Enrich
from ingestor.handlers.ingest_records import IngestRecords
from ingestor.settings import EnrichSection, RecordSection, read_record_sections
from tests.integration.ingestor.test_records import bronze, event, receive, rows
from tests.support.addresses import S3Address
from tests.support.paths import shared_data
from tests.support.sample_api import KEYS, Keys, SampleServer, running_sample_api

PEOPLE = shared_data("directory", "three_sources_febrl", "tdx_people.json")


@pytest.fixture(scope="module")
def api() -> Iterator[SampleServer]:
    with running_sample_api() as server:
        yield server


@dataclass(slots=True)
class Rig:
    """An ingestor's two halves, and the API that they speak to."""

    api: SampleServer
    applier: Applier
    enrich: Enrich
    section: EnrichSection
    offset: int = 0

    async def hear(self, *events: Any) -> None:
        self.offset = await receive(self.applier, *events, offset=self.offset)

    async def step(self) -> int:
        return await self.enrich.step("tdx_users", self.section)


def sections(url: str) -> dict[str, RecordSection]:
    source = {
        "name": "tdx_users",
        "system": "tdx",
        "records": {
            "kind": "http",
            "api": {
                "base_url": url,
                "auth": {"kind": "bearer", "token": "env:TDX_API_TOKEN"},
                "retry": {"attempts": 1},
            },
            "call": {"path": "/TDWebApi/api/people/search"},
        },
        "ingest": {"enrich": {"path": "/TDWebApi/api/people/{id}"}},
    }
    return read_record_sections(SourcesConfig.model_validate({"version": 1, "sources": [source]}))


@pytest.fixture
async def rig(
    api: SampleServer, database: Database, s3: S3Address, blob_prefix: str
) -> AsyncGenerator[Rig]:
    async def wait(seconds: float) -> None:
        raise AssertionError(f"nothing here is worth a wait of {seconds} s")

    await api.plan()
    configured = sections(api.url)
    catalog, enrichments = PostgresCatalog(database), PostgresEnrichments(database)
    blobs = open_blobs(BlobSettings.model_validate({**s3.env, "S3_PREFIX": blob_prefix}))
    forms = HttpFullForms(configured, Keys(KEYS), database=database, clock=SystemClock())
    applier = Applier(
        RECORD_CHANGED,
        IngestRecords(configured, catalog=catalog, enrichments=enrichments, blobs=blobs),
        consumer="ingestor",
        database=database,
        clock=SystemClock(),
        sleep=wait,
    )
    enrich = Enrich(database, catalog=catalog, enrichments=enrichments, full_forms=forms)
    section = configured["tdx_users"].enrich
    assert section is not None
    yield Rig(api, applier, enrich, section)
    await forms.close()
    await blobs.close()


def person(number: int) -> dict[str, Any]:
    full: dict[str, Any] = json.loads(PEOPLE.read_text("utf-8"))[number]
    return full


def listed(number: int, **changes: Any) -> Any:
    """Tell of a person as the search does: a part of what is known."""
    full = person(number)
    return event(full["UID"], {"UID": full["UID"], "FullName": full["FullName"], **changes})


@pytest.mark.covers("S2-02", "C-15")
async def test_a_listed_record_is_completed_as_a_version_derived_from_it(
    rig: Rig, database: Database
) -> None:
    await rig.hear(listed(0))
    assert await rig.step() == 1

    (first, second) = await bronze(database)
    assert second[1:3] == (2, "stored")
    assert second[3]["PrimaryEmail"] == "tgoetze@umich.example"
    assert set(first[3]) == {"UID", "FullName"}
    ((derived, original),) = await rows(
        database,
        "select b.derived_from, a.id from bronze.raw_entities a, bronze.raw_entities b "
        "where a.version = 1 and b.version = 2",
    )
    assert derived == original
    assert await rows(database, "select count(*) from bronze.enrichments") == [(0,)]
    said = await rows(
        database,
        "select convert_from(value, 'utf8')::jsonb from meta.outbox where topic = 'bronze.stored' "
        "order by id",
    )
    assert [item["data"]["version"] for (item,) in said] == [1, 2]
    assert said[0][0]["correlationid"] == said[1][0]["correlationid"]


async def test_the_same_listing_again_is_unchanged_and_asks_for_nothing(
    rig: Rig, database: Database
) -> None:
    await rig.hear(listed(0))
    await rig.step()
    await rig.hear(listed(0))

    assert len(await bronze(database)) == 2
    assert await rig.step() == 0


async def test_a_changed_listing_is_a_version_and_is_completed_again(
    rig: Rig, database: Database
) -> None:
    await rig.hear(listed(0))
    await rig.step()
    await rig.hear(listed(0, LocationName="Angell Hall"))
    await rig.step()

    versions = await bronze(database)
    assert [row[1] for row in versions] == [1, 2, 3, 4]
    assert versions[3][3]["LocationName"] == "Angell Hall"
    assert versions[3][3]["PrimaryEmail"] == "tgoetze@umich.example"


async def test_a_completion_that_a_newer_version_overtook_is_thrown_away(
    rig: Rig, database: Database
) -> None:
    await rig.hear(listed(0))
    taken = await PostgresEnrichments(database).take("tdx_users", limit=10, lease_seconds=60)
    await rig.hear(listed(0, LocationName="Angell Hall"))
    outcomes = await rig.enrich._complete(taken, rig.section)
    await rig.enrich._write(outcomes)

    assert [row[1] for row in await bronze(database)] == [1, 2], "the newer version stays the last"
    assert await rig.step() == 1, "and is completed in its turn"
    assert (await bronze(database))[2][3]["LocationName"] == "Angell Hall"


async def test_a_deleted_record_is_asked_for_no_more(rig: Rig) -> None:
    await rig.hear(listed(0))
    await rig.hear(event(person(0)["UID"]))

    assert await rig.step() == 0
    assert await rig.api.requests("/TDWebApi/api/people/") == 0


@pytest.mark.covers("S2-28", "C-21")
async def test_an_unknown_record_is_listed_as_failed_and_not_asked_again(
    rig: Rig, database: Database
) -> None:
    stranger = str(uuid.uuid4())
    await rig.hear(event(stranger, {"UID": stranger}), listed(1))
    await rig.step()

    assert await rows(database, "select external_id, error_class from meta.record_errors") == [
        (stranger, "ApiNotFoundError")
    ]
    assert len(await bronze(database)) == 3, "the other one is complete"
    assert await rig.step() == 0


@pytest.mark.covers("S3-10")
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 429, "retry_after": "30"},
        {"kind": "truncate"},
    ],
    ids=["unavailable", "too many", "truncated"],
)
async def test_an_outage_postpones_and_loses_nothing(
    rig: Rig, database: Database, fault: dict[str, Any]
) -> None:
    await rig.api.plan(fault)
    await rig.hear(listed(0))
    await rig.step()

    ((attempts, waits),) = await rows(
        database,
        "select attempts, next_at - statement_timestamp() > interval '1 second' "
        "from bronze.enrichments",
    )
    assert (attempts, waits) == (1, True)
    assert await rows(database, "select count(*) from meta.record_errors") == [(0,)]

    await rig.api.plan()
    async with database.connection() as connection:
        await connection.execute("update bronze.enrichments set next_at = now()")
    assert await rig.step() == 1
    assert len(await bronze(database)) == 2


@pytest.mark.covers("S3-12")
async def test_refused_credentials_stop_the_rest_at_once(rig: Rig, database: Database) -> None:
    await rig.api.plan({"kind": "status", "status": 401})
    await rig.hear(*(listed(number) for number in range(30)))
    await rig.step()

    assert await rig.api.requests("/TDWebApi/api/people/") <= rig.section.concurrency
    assert await rows(
        database,
        "select count(*), bool_and(next_at > now() + interval '10 minutes') "
        "from bronze.enrichments",
    ) == [(30, True)]


async def test_what_a_crashed_worker_took_is_taken_again(rig: Rig, database: Database) -> None:
    await rig.hear(listed(0))
    enrichments = PostgresEnrichments(database)
    assert len(await enrichments.take("tdx_users", limit=10, lease_seconds=600)) == 1
    assert await enrichments.take("tdx_users", limit=10, lease_seconds=600) == []
    async with database.connection() as connection:
        await connection.execute("update bronze.enrichments set next_at = now()")
    (again,) = await enrichments.take("tdx_users", limit=10, lease_seconds=600)
    assert again.attempts == 2
