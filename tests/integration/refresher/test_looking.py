"""What the console may see of both databases: how they compare, and masked rows."""

from typing import Any

import pytest

from refresher.app import build_looking
from refresher.jobs import refresh_jobs
from tests.integration.refresher.conftest import Open
from tests.integration.refresher.estate import Estate
from tests.integration.refresher.hub import MASKING, Hub

PEOPLE = "create table people (id int primary key, last_name text, joined date, score float8)"


async def run(hub: Hub, **parameters: Any) -> dict[str, Any]:
    """Ask for a look, execute it, and return its row in the ledger."""
    refresher = hub.refresher()
    looking = build_looking(refresher.config, hub.part(), refresher)
    await looking.register()
    run_id = await hub.queue("refresh-preview", parameters["table"], **parameters)
    assert await hub.work(refresh_jobs(refresher, looking))
    return await hub.row(run_id)


@pytest.mark.covers("S4-19", "S4-20", "C-43")
async def test_rows_of_both_databases_are_counted_compared_and_shown_masked(
    estate: Estate, opening: Open
) -> None:
    await estate.production_does(
        PEOPLE,
        "insert into people select n, 'Doe' || n, date '2024-01-01' + n, n / 3.0 "
        "from generate_series(1, 60) n",
    )
    await estate.uat_does(PEOPLE, "insert into people values (1, 'Tester', null, 0.5)")
    await estate.uat_does("alter table people alter score type float4")
    tables = [{"name": "people", "row_filter": "id > 1", "keep_rows": "id = 1"}, {"name": "gone"}]
    async with opening(tables, masking=MASKING) as hub:
        row = await run(hub, table="all")
        assert row["status"] == "completed", row["message"]
        people, gone = await hub.rows("select * from refresher.table_states order by position")
        assert (people["source_rows"], people["target_rows"]) == (59, 1)
        assert (people["source_is_estimate"], people["problem"]) == (False, None)
        assert people["source_hash"] != people["target_hash"]
        assert people["drift"] == ["~ score real → double precision: the target will follow"]
        assert "row_filter" not in people["settings"]
        assert gone["problem"] == "the source and the target has no such table"

        row = await run(hub, table="people", side="source")
        assert row["status"] == "completed", row["message"]
        (preview,) = await hub.rows("select * from refresher.previews")
        assert [column["mask"] for column in preview["columns"]] == [None, "personal", None, None]
        assert len(preview["rows"]) == 50
        first = preview["rows"][0]
        assert (first[0], first[2], first[3]) == ("60", "2024-03-01", "20")
        assert first[1] != "Doe60"
        assert (len(first[1]), first[1].isalnum()) == (5, True)

        row = await run(hub, table="people", side="target")
        assert row["status"] == "completed", row["message"]
        rows = await hub.rows("select rows from refresher.previews where side = 'target'")
        assert rows == [{"rows": [["1", "Tester", None, "0.5"]]}]
        audited = await hub.rows(
            "select details ->> 'side' as side, details ->> 'rows' as rows from meta.audit "
            "where action = 'refresh.previewed' order by id"
        )
        assert audited == [{"side": "source", "rows": "50"}, {"side": "target", "rows": "1"}]


@pytest.mark.covers("C-43")
@pytest.mark.parametrize("case", ["no rule", "no pin"])
async def test_rows_that_are_not_classified_or_not_proven_to_be_uat_are_not_shown(
    estate: Estate, opening: Open, case: str
) -> None:
    for does in (estate.production_does, estate.uat_does):
        await does(PEOPLE, "insert into people values (1, 'Doe', null, 1)")
    async with opening([{"name": "people"}], masking=MASKING) as hub:
        side, sentence = "source", "people.last_name (text): no masking rule says what it is"
        if case == "no rule":
            hub.config["masking"] = {
                "classes": {"public": {"method": "keep"}},
                "rules": [{"types": ["integer", "date", "float"], "class": "public"}],
            }
        else:
            side, sentence = "target", "`databases.target.fingerprint` is not set"
            hub.config["databases"]["target"]["fingerprint"] = None
        row = await run(hub, table="people", side=side)
        assert row["status"] == "failed"
        assert sentence in row["message"]
        assert await hub.rows("select from refresher.previews") == []
