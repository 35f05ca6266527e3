"""Lists, pages and single records of APIs, as the record source tells them."""

import json
from typing import Any

import pytest

from chassis.http.errors import ApiAccessError, ApiBodyError, ApiPlanError, HttpUnavailableError
from scanner.domain.records import Abilities, ById, Full, Since
from scanner.errors import SourceRefusedError
from tests.integration.scanner.http_sources import (
    ONE_TRY,
    TDX_TOKEN,
    TICKERS,
    Desk,
    valuations,
)
from tests.support.paths import shared_data

ACCOUNTS: dict[str, Any] = {
    "api": {"auth": TDX_TOKEN},
    "call": {"path": "/TDWebApi/api/accounts"},
    "since": {"param": "ModifiedDateFrom", "field": "ModifiedDate"},
}
PEOPLE: dict[str, Any] = {
    "api": {"auth": TDX_TOKEN},
    "call": {"path": "/TDWebApi/api/people/search", "method": "POST", "body": {"IsActive": True}},
    "item": {"path": "/TDWebApi/api/people/{item}"},
}


def departments_of_the_file() -> set[str]:
    file = shared_data("directory", "three_sources_febrl", "umapi_department_employees.json")
    return {row["DepartmentId"] for row in json.loads(file.read_text("utf-8"))}


@pytest.mark.covers("S2-01")
@pytest.mark.parametrize("size", [7, 1000])
async def test_departments_of_the_university_come_in_pages_behind_oauth(
    desk: Desk, size: int
) -> None:
    auth = {
        "kind": "oauth2",
        "token_url": f"{desk.server.url}/um/oauth2/token",
        "client_id": "env:UMICH_CLIENT_ID",
        "client_secret": "env:UMICH_CLIENT_SECRET",
    }
    paging = {"by": "offset", "param": "$start_index", "size_param": "$count", "size": size}
    call = {
        "path": "/um/bf/Department/v2/DeptData",
        "record_path": "DeptDataResponse.DeptData",
        "paging": paging,
    }

    told = await desk.poll(Full(), api={"auth": auth}, call=call)

    assert {record["DeptId"] for record in told.records} == departments_of_the_file()
    assert len(told.records) == len(departments_of_the_file())
    assert (told.gaps, told.failures) == ([], [])


@pytest.mark.covers("S2-01")
@pytest.mark.parametrize(
    ("style", "paging"),
    [
        ("number", {"by": "number", "param": "page", "size_param": "size", "size": 4}),
        ("cursor", {"by": "cursor", "param": "cursor", "next": "next"}),
        ("link", {"by": "link"}),
    ],
)
async def test_every_way_of_paging_tells_each_record_once(
    desk: Desk, style: str, paging: dict[str, Any]
) -> None:
    call = {
        "path": f"/paging/{style}",
        "record_path": "items",
        "total_path": "total",
        "paging": paging,
    }

    told = await desk.poll(Full(), call=call)

    ids = [record["DeptId"] for record in told.records]
    assert sorted(ids) == sorted(departments_of_the_file())
    assert told.total == len(ids)
    assert told.gaps == []


async def test_an_api_that_ignores_the_paging_is_found_out(desk: Desk) -> None:
    call = {
        "path": "/paging/number",
        "record_path": "items",
        "paging": {"by": "number", "param": "seite"},
    }

    with pytest.raises(ApiBodyError, match="same page again"):
        await desk.poll(Full(), call=call)


async def test_a_list_that_is_shorter_than_announced_has_a_gap(desk: Desk) -> None:
    call = {"path": "/paging/number", "record_path": "items", "total_path": "total"}

    told = await desk.poll(Full(), call=call)

    assert len(told.records) == 5
    assert told.gaps == [f"the API has {len(departments_of_the_file())} records and told 5"]


@pytest.mark.covers("S2-15")
async def test_accounts_are_asked_for_since_a_time_and_tell_how_far_they_go(desk: Desk) -> None:
    everything = await desk.poll(Full(), **ACCOUNTS)
    assert everything.high_water == max(row["ModifiedDate"] for row in everything.records)

    told = await desk.poll(Since("2025-01-05T00:00:00.000000Z"), **ACCOUNTS)

    expected = [
        row["ID"] for row in everything.records if row["ModifiedDate"] >= "2025-01-05T00:00:00Z"
    ]
    assert [row["ID"] for row in told.records] == expected
    assert 0 < len(expected) < len(everything.records)


async def test_what_a_source_can_answer_follows_from_its_configuration(desk: Desk) -> None:
    assert desk.source(**ACCOUNTS).abilities == Abilities(since=True, by_id=False)
    assert desk.source(**PEOPLE).abilities == Abilities(since=False, by_id=True)
    assert desk.source(**valuations()).abilities == Abilities(since=False, by_id=True)

    with pytest.raises(SourceRefusedError):
        await desk.poll(Since("2025-01-01T00:00:00Z"), **PEOPLE)
    with pytest.raises(SourceRefusedError):
        await desk.poll(ById(("1",)), **ACCOUNTS)


@pytest.mark.covers("S2-01")
async def test_people_are_searched_for_and_read_one_by_one(desk: Desk) -> None:
    everybody = await desk.poll(Full(), **PEOPLE)
    assert len(everybody.records) > 1000
    uid = str(everybody.records[0]["UID"])

    told = await desk.poll(ById((uid, "nobody")), **PEOPLE)

    assert [row["UID"] for row in told.records] == [uid]
    assert told.records[0]["GroupIDs"] == []
    assert told.failures == []


async def test_an_id_leads_to_no_other_path(desk: Desk) -> None:
    told = await desk.poll(ById(("../accounts",)), **PEOPLE)

    assert told.records == []
    assert await desk.server.requests("/TDWebApi/api/accounts") == 0


@pytest.mark.covers("S2-01")
async def test_describing_a_source_shows_no_address_and_tries_the_credentials(
    desk: Desk,
) -> None:
    probed = PEOPLE | {"probe": {"path": "/TDWebApi/api/accounts"}}
    source = desk.source(**probed)

    described = await source.describe()

    assert (described.kind, described.text) == ("http", "bearer")
    assert await desk.server.requests() == await desk.server.requests("/TDWebApi/api/accounts") == 1
    await source.close()

    refused = desk.source(**{**probed, "api": {"auth": {"kind": "none"}}})
    with pytest.raises(ApiAccessError):
        await refused.describe()
    await refused.close()


# --- one request per item --------------------------------------------------------------------


@pytest.mark.covers("S3-03", "S3-09")
async def test_valuations_come_from_the_bulk_endpoint_and_the_rest_one_by_one(desk: Desk) -> None:
    desk.items = [*TICKERS, "NOPE"]

    told = await desk.poll(Full(), **valuations())

    assert {record["symbol"] for record in told.records} == set(TICKERS)
    assert await desk.server.requests("/stable/dcf-bulk") == 1
    assert await desk.server.requests("/stable/discounted-cash-flow") == 1
    for record in told.records:
        assert isinstance(record["dcf"], float)
        assert set(record) == {"symbol", "date", "dcf", "Stock Price"}


@pytest.mark.covers("S3-03", "C-21")
@pytest.mark.parametrize("status", [402, 404, 503])
async def test_without_the_bulk_endpoint_every_item_is_asked_for_and_reads_the_same(
    desk: Desk, status: int
) -> None:
    by_bulk = await desk.poll(Full(), **valuations())
    await desk.server.plan({"kind": "status", "status": status, "path": "/stable/dcf-bulk"})

    told = await desk.poll(Full(), **valuations(api=ONE_TRY))

    assert await desk.server.requests("/stable/discounted-cash-flow") == len(TICKERS)
    assert sorted(told.records, key=str) == sorted(by_bulk.records, key=str)


@pytest.mark.covers("S3-12")
async def test_refused_credentials_end_the_poll_at_once(desk: Desk) -> None:
    await desk.server.plan({"kind": "status", "status": 403})
    desk.items = [f"T{number:03}" for number in range(100)]

    with pytest.raises(ApiAccessError):
        await desk.poll(Full(), **valuations())

    assert await desk.server.requests() == 1


@pytest.mark.covers("C-21")
async def test_an_endpoint_outside_the_plan_is_not_asked_again(desk: Desk) -> None:
    await desk.server.plan({"kind": "status", "status": 402})
    desk.items = [f"T{number:03}" for number in range(100)]

    with pytest.raises(ApiPlanError):
        await desk.poll(Full(), **valuations())

    assert await desk.server.requests() <= 1 + 10  # the bulk endpoint, and those under way


@pytest.mark.covers("S3-13", "S3-14", "C-21")
@pytest.mark.parametrize(
    ("status", "expected"), [(400, "ApiRequestError"), (404, "ApiNotFoundError")]
)
async def test_an_item_that_the_api_refuses_is_recorded_and_the_others_come(
    desk: Desk, status: int, expected: str
) -> None:
    config = valuations()
    del config["for_each"]["bulk"]
    before = await desk.poll(Full(), **config)
    await desk.server.plan({"kind": "status", "status": status, "item": "APGE"})

    told = await desk.poll(Full(), **config)

    (failure,) = told.failures
    assert (failure.external_id, failure.error_class) == ("APGE", expected)
    assert str(status) in failure.message
    assert told.records == [row for row in before.records if row["symbol"] != "APGE"]
    assert told.gaps == []


async def test_an_item_that_does_not_exist_and_is_asked_for_by_name_is_left_out(
    desk: Desk,
) -> None:
    await desk.server.plan({"kind": "status", "status": 404, "item": "APGE"})

    told = await desk.poll(ById(("APAM", "APGE")), **valuations())

    assert [record["symbol"] for record in told.records] == ["APAM"]
    assert told.failures == []


@pytest.mark.covers("S3-14")
async def test_an_item_without_an_answer_is_a_failure_and_a_gap(desk: Desk) -> None:
    await desk.server.plan({"kind": "status", "status": 503, "item": "APGE"})
    config = valuations(api=ONE_TRY)
    del config["for_each"]["bulk"]

    told = await desk.poll(Full(), **config)

    assert [failure.error_class for failure in told.failures] == ["HttpUnavailableError"]
    assert told.gaps == ["no answer for some items, 'APGE' among them"]


@pytest.mark.covers("S3-10")
async def test_a_source_that_is_away_is_not_asked_for_every_item(desk: Desk) -> None:
    await desk.server.plan({"kind": "status", "status": 503})
    desk.items = [f"T{number:03}" for number in range(200)]
    config = valuations(api=ONE_TRY)
    del config["for_each"]["bulk"]

    with pytest.raises(HttpUnavailableError):
        await desk.poll(Full(), **config)

    assert await desk.server.requests() <= 30


async def test_without_known_items_the_poll_says_what_to_do(desk: Desk) -> None:
    desk.items = []

    with pytest.raises(SourceRefusedError, match="scan `russell_2000` first"):
        await desk.poll(Full(), **valuations())
