"""The sample API tells the providers' shapes, and fails when it is told to."""

from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest

from penstock.sample_api.app import SampleApi
from penstock.sample_api.directory import Directory
from penstock.sample_api.market import Market
from tests.support.paths import shared_data

KEY = {"apikey": "demo-key"}
BEARER = {"Authorization": "Bearer demo-token"}
V3 = "/api/v3/historical-price-full"
STABLE = "/stable/historical-price-eod/full"


@pytest.fixture(scope="module")
def api() -> SampleApi:
    return SampleApi(Market.load(shared_data("market")), Directory.load(shared_data("directory")))


@pytest.fixture
async def http(api: SampleApi) -> AsyncGenerator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(api.application())
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        await client.put("/control", json={})
        yield client


async def got(http: httpx.AsyncClient, path: str, **params: str) -> Any:
    return (await http.get(path, params=KEY | params)).json()


async def test_prices_have_the_older_shape(http: httpx.AsyncClient) -> None:
    one = await got(http, f"{V3}/APAM", **{"from": "2023-11-07"})
    assert one["symbol"] == "APAM"
    assert [bar["date"] for bar in one["historical"]] == ["2023-11-08", "2023-11-07"]
    assert one["historical"][0]["label"] == "November 08, 23"

    assert await got(http, f"{V3}/NOPE") == {}
    several = await got(http, f"{V3}/APAM,APGE")
    assert [item["symbol"] for item in several["historicalStockList"]] == ["APAM", "APGE"]


async def test_prices_have_the_present_shape(http: httpx.AsyncClient) -> None:
    day = {"symbol": "APAM", "from": "2023-11-08", "to": "2023-11-08"}
    assert await got(http, STABLE, **day) == [
        {
            "symbol": "APAM",
            "date": "2023-11-08",
            "open": 35.16,
            "high": 35.38,
            "low": 34.945,
            "close": 35.33,
            "volume": 43660,
            "change": 0.17,
            "changePercent": 0.4835,
            "vwap": 35.22,
        }
    ]
    assert await got(http, STABLE, symbol="NOPE") == []


async def test_valuations_are_told_singly_and_in_bulk(http: httpx.AsyncClient) -> None:
    (single,) = await got(http, "/stable/discounted-cash-flow", symbol="APAM")
    assert list(single) == ["symbol", "date", "dcf", "Stock Price"]
    assert (await got(http, "/api/v3/discounted-cash-flow/APAM")) == [single]

    text = (await http.get("/stable/dcf-bulk", params=KEY)).text
    head, *rows = text.splitlines()
    assert head == '"symbol","date","dcf","Stock Price"'
    assert f'"APAM","2023-11-08","{single["dcf"]}","35.33"' in rows


async def test_people_and_departments_have_their_shapes(http: httpx.AsyncClient) -> None:
    search = "/TDWebApi/api/people/search"
    people = (await http.post(search, json={"MaxResults": 2}, headers=BEARER)).json()
    assert len(people) == 2
    full = (await http.get(f"/TDWebApi/api/people/{people[0]['UID']}", headers=BEARER)).json()
    assert full["Permissions"] == []

    accounts = (await http.get("/TDWebApi/api/accounts", headers=BEARER)).json()
    assert {"ID", "Name", "Code", "ModifiedDate"} <= set(accounts[0])

    refused = await http.get("/um/bf/Department/v2/DeptData", headers=BEARER)
    assert refused.status_code == 401
    token = await http.post("/um/oauth2/token", auth=("demo-client", "demo-secret"))
    bearer = {"Authorization": f"Bearer {token.json()['access_token']}"}
    pages = {"$start_index": "0", "$count": "3"}
    told = (await http.get("/um/bf/Department/v2/DeptData", params=pages, headers=bearer)).json()
    assert len(told["DeptDataResponse"]["DeptData"]) == 3


@pytest.mark.parametrize("path", [STABLE, f"{V3}/APAM", "/stable/dcf-bulk", "/paging/link"])
async def test_a_wrong_key_is_refused(http: httpx.AsyncClient, path: str) -> None:
    assert (await http.get(path, params={"apikey": "guess"})).status_code == 401


async def test_faults_come_as_planned_and_are_used_up(http: httpx.AsyncClient) -> None:
    plan = {
        "faults": [
            {"kind": "status", "status": 429, "retry_after": "12", "item": "APAM", "times": 1},
            {"kind": "truncate", "path": STABLE, "item": "APGE"},
            {"kind": "error-body", "path": "/stable/dcf-bulk"},
        ]
    }
    await http.put("/control", json=plan)

    limited = await http.get(STABLE, params=KEY | {"symbol": "APAM"})
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "12")
    assert (await http.get(STABLE, params=KEY | {"symbol": "APAM"})).status_code == 200
    half = await http.get(STABLE, params=KEY | {"symbol": "APGE"})
    with pytest.raises(ValueError, match=r"."):
        half.json()
    assert await got(http, "/stable/dcf-bulk") == {
        "Error Message": "Something is wrong on our side."
    }
    state = (await http.get("/control")).json()
    assert state["requests"][STABLE] == 3


async def test_a_plan_that_makes_no_sense_is_refused(http: httpx.AsyncClient) -> None:
    answer = await http.put("/control", json={"faults": [{"kind": "explode"}]})

    assert answer.status_code == 422


async def test_a_split_and_the_corrupt_delivery_can_be_asked_for(http: httpx.AsyncClient) -> None:
    await http.put("/control", json={"splits": {"APAM": 2}})
    (bar,) = await got(http, STABLE, symbol="APAM", **{"from": "2023-11-08"})
    assert (bar["close"], bar["volume"]) == (17.665, 87320)

    await http.put("/control", json={"same_series": True})
    told = [await got(http, STABLE, symbol=symbol) for symbol in ("APAM", "APGE", "ATMU")]
    closes = [[bar["close"] for bar in bars] for bars in told]
    assert closes[0] == closes[1] == closes[2]
