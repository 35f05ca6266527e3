from urllib.parse import quote

import pytest

from console.domain.roles import Role
from tests.integration.console.browser import Console, visible
from tests.support.console_seed.ledger import HOSTILE
from tests.support.console_seed.silver import seed_silver
from tests.support.paths import shared_data

PEOPLE = shared_data("directory")


@pytest.mark.covers("S2-26", "S2-38")
async def test_a_record_is_found_explained_and_followed_down_to_its_bytes(
    console: Console, database_url: str
) -> None:
    (entity_id, *_) = await seed_silver(console.database, database_url, people=8)
    viewer, operator = await console.login(), await console.login(Role.OPERATOR)
    assert "Users" in visible(await viewer.page("/entities"))

    address = f"/entities/users/record?id={quote(entity_id, safe='')}"
    record = await viewer.read(address)
    values = {value["field"]: value for value in record["values"]}
    assert (values["title"]["source"], values["title"]["losers"][0]["source"]) == (
        "umich_api",
        "tdx",
    )
    assert values["title"]["losers"][0]["value"] == HOSTILE
    assert len(record["quality"]) > 1
    page = await viewer.page(address)
    assert HOSTILE not in page
    assert "plot-line" in page
    assert "/bronze?" not in page, "contents of bronze are for operators"

    email = values["email"]["value"]
    found = await viewer.get("/entities/users", params={"q": email.upper()})
    assert (found.status_code, found.headers["location"]) == (303, address)
    page = visible(await viewer.page("/entities/users?status=live"))
    assert email in page

    history = await viewer.read(f"/entities/users/history?id={quote(entity_id, safe='')}")
    assert history["items"][0]["version"] == record["line"]["version"]
    assert "phone_number" in [field for field, _, _ in history["items"][0]["changes"]]

    step = record["lineage"][0]
    assert step["blob_key"].startswith("raw/")
    bronze = (
        f"/entities/users/bronze?source_system={step['source_system']}"
        f"&external_id={quote(step['external_id'], safe='')}&version={step['bronze_version']}"
    )
    assert (await viewer.get(bronze)).status_code == 403
    page = await operator.page(bronze)
    assert step["blob_sha256"] in page
    assert HOSTILE not in page
    (entry,) = await console.audit()
    assert (entry["actor"], entry["action"]) == (operator.name, "bronze.viewed")


async def test_what_silver_does_not_know_is_not_found(console: Console, database_url: str) -> None:
    await seed_silver(console.database, database_url, people=1)
    viewer = await console.login()
    for path in (
        "/entities/nothing",
        "/entities/heads",
        "/entities/users/record?id=nobody",
        "/entities/users%22%3B--",
    ):
        assert (await viewer.get(path)).status_code == 404, path
    assert "No record fits" in visible(await viewer.page("/entities/users?q=nobody"))
