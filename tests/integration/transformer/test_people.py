"""Known people in three disagreeing sources, all the way into silver."""

import random
from collections.abc import AsyncGenerator
from decimal import Decimal

import pytest

from tests.integration.transformer.hub import open_hub
from tests.integration.transformer.records import Records
from tests.support.paths import PROJECT
from tests.support.people import (
    SourceRecord,
    load_people,
    pairs,
    precision_and_recall,
    true_pairs,
)
from transformer.adapters.entity_files import load_entities

ENTITIES = load_entities(PROJECT / "config")


@pytest.fixture
async def users(database_url: str) -> AsyncGenerator[Records]:
    async with open_hub(database_url, ENTITIES, chunk=1000) as hub:
        yield Records(hub, "user", "users")


def departments(records: list[SourceRecord]) -> list[tuple[str, dict[str, str]]]:
    found = {
        item.document["DepartmentId"]: item.document["Dept_Description"]
        for item in records
        if item.source_system == "umich_api"
    }
    return [
        (f"umich_api/{code}", {"DeptId": code, "DeptDescription": name, "DeptGroup": "UM"})
        for code, name in sorted(found.items())
    ]


async def _load(users: Records, records: list[SourceRecord], *, seed: int) -> None:
    """Store and transform in batches, in an order of chance; departments come last."""
    order = records.copy()
    random.Random(seed).shuffle(order)
    units = Records(users.hub, "department", "departments")
    for start in range(0, len(order), 500):
        batch = order[start : start + 500]
        await users.store_all((item.record_id, item.document) for item in batch)
        await users.transform(*(item.record_id for item in batch))
    assert await users.hub.value("select count(*) from silver.users where department_id > ''") == 0
    await units.store_all(departments(records))
    await units.transform(*await units.record_ids())


@pytest.mark.covers("S2-03", "S2-27", "S2-38", "C-16")
async def test_everybody_becomes_one_row_and_waits_for_his_department(users: Records) -> None:
    records = load_people()
    await _load(users, records, seed=1)
    hub = users.hub
    rows = await hub.rows(
        "select entity_id, record_id from meta.entity_xref where entity_type = 'user'"
    )
    groups: dict[str, list[str]] = {}
    for row in rows:
        groups.setdefault(row["entity_id"], []).append(row["record_id"])
    found = pairs(list(groups.values()))
    assert precision_and_recall(found, true_pairs(records)) == (1.0, 1.0)
    assert await hub.value("select count(*) from silver.users") == 1500
    assert await hub.value("select count(distinct uniqname) from silver.users") == 1500
    assert await hub.value("select count(*) from silver.heads where status = 'rejected'") == 0
    with_all = {item.person for item in records if item.source_system == "tdx"}
    for system in ("umich_api", "mcommunity_ldap"):
        with_all &= {item.person for item in records if item.source_system == system}
    assert await hub.value(
        "select count(*) from silver.users where not quality_flags && array["
        "'missing_tdx_source', 'missing_umich_api_source', 'missing_mcommunity_ldap_source']"
    ) == len(with_all)
    best = await hub.value("select max(data_quality_score) from silver.users")
    assert best == Decimal("1.00")


@pytest.mark.covers("C-16")
async def test_the_order_in_which_people_arrive_decides_names_of_entities_only(
    users: Records,
) -> None:
    chosen = sorted({item.person for item in load_people()})[:120]
    records = [item for item in load_people() if item.person in chosen]
    await _load(users, records, seed=2)
    first = await users.picture()
    await users.forget()
    order = list(await users.record_ids())
    random.Random(3).shuffle(order)
    for start in range(0, len(order), 50):
        await users.transform(*order[start : start + 50])
    units = Records(users.hub, "department", "departments")
    await units.transform(*await units.record_ids())
    assert await users.picture() == first


@pytest.mark.covers("C-11")
async def test_a_version_that_commits_late_is_not_passed_over(users: Records) -> None:
    late = {"AlternateID": "late", "FirstName": "Late", "LastName": "Comer"}
    async with users.hub.database.transaction() as transaction:
        await users.append(transaction.connection, "tdx/1", late)
        await users.put("mcommunity_ldap/late", {"uid": ["late"], "mail": ["late@x"]})
        assert await users.members() == {"mcommunity_ldap/late": ["mcommunity_ldap/late"]}
    await users.transform("tdx/1")
    query = "select entity_id, first_name, email from silver.users"
    assert await users.hub.rows(query) == [
        {"entity_id": "tdx/1", "first_name": "Late", "email": "late@x"}
    ]
    assert await users.merged_into() == {"mcommunity_ldap/late": "tdx/1"}
    before = await users.picture()
    await users.forget()
    await users.transform(*await users.record_ids())
    assert await users.picture() == before
