"""People of three disagreeing sources, made into silver by the transformer itself."""

import random

from chassis.db import Database
from tests.integration.transformer.hub import open_hub
from tests.integration.transformer.records import Records
from tests.support.console_seed.ledger import HOSTILE
from tests.support.paths import PROJECT
from tests.support.people import SourceRecord, load_people
from transformer.adapters.entity_files import load_entities

_LINEAGE = """
update bronze.raw_entities set
    event_id = 'event-' || id, correlation_id = 'run-' || (id % 7),
    blob_key = 'raw/' || encode(sha256(convert_to(external_id, 'utf8')), 'hex'),
    blob_sha256 = encode(sha256(convert_to(external_id, 'utf8')), 'hex'),
    size_bytes = length(raw_data::text), source_modified_at = ingested_at - interval '2 hours'
"""

_SPREAD = """
update quality.history set valid_from = valid_from - (10 - least(version, 9)) * interval '1 day'
"""


async def seed_silver(database: Database, database_url: str, *, people: int = 120) -> list[str]:
    """Fill silver.users; return the ids of people with a history."""
    records = load_people()
    persons = sorted({item.person for item in records})[:people]
    chosen = [item for item in records if item.person in set(persons)]
    chance = random.Random(5)
    async with open_hub(database_url, load_entities(PROJECT / "config")) as hub:
        await _departments(Records(hub, "department", "departments"), chosen)
        users = Records(hub, "user", "users")
        await users.store_all((item.record_id, item.document) for item in chosen)
        await users.transform(*(item.record_id for item in chosen))
        changing = [item for item in chosen if item.source_system == "tdx"][:5] or chosen[:5]
        for number in range(8):
            for item in changing:
                title = HOSTILE if number == 7 else f"Analyst {number}"
                phone = f"+1 734 555 {chance.randint(1000, 9999)}" if number % 2 else ""
                document = {**item.document, "Title": title, "WorkPhone": phone}
                if number % 3 == 0:
                    document["PrimaryEmail"] = None
                await users.put(item.record_id, document)
        rows = await hub.rows(
            "select entity_id from silver.heads where entity_type = 'user' and status = 'live' "
            "order by version desc, entity_id limit 5"
        )
    async with database.connection() as connection:
        await connection.execute(_LINEAGE)
        await connection.execute(_SPREAD)
    return [row["entity_id"] for row in rows]


async def _departments(units: Records, records: list[SourceRecord]) -> None:
    """Add those that people refer to; without its department a person is rejected."""
    found = {
        str(item.document["DepartmentId"]): item.document["Dept_Description"]
        for item in records
        if item.source_system == "umich_api"
    }
    # Some lack theirs.
    kept = sorted(found.items())[len(found) // 20 :]
    await units.store_all(
        (
            f"umich_api/{code}",
            {"DeptId": code, "DeptDescription": name, "DeptGroup": "UM"},
        )
        for code, name in kept
    )
    await units.transform(*await units.record_ids())
