import uuid

import pytest

from console.domain.roles import Role
from tests.integration.console.browser import Console, visible
from tests.support.console_seed.inbox import seed_drifts, seed_letters
from tests.support.console_seed.ledger import HOSTILE


@pytest.fixture
async def drifts(console: Console) -> list[uuid.UUID]:
    """Ids by turns: waiting, noted, accepted, rejected."""
    async with console.database.connection() as connection, connection.transaction():
        await seed_letters(connection, count=40)
        return await seed_drifts(connection)


async def test_a_change_is_shown_with_its_difference_and_what_it_holds_back(
    console: Console, drifts: list[uuid.UUID]
) -> None:
    viewer, operator = await console.login(), await console.login(Role.OPERATOR)
    assert "3 changes wait for a decision" in visible(await viewer.page("/drifts"))
    waiting = await viewer.read("/drifts?status=waiting")
    assert [item["id"] for item in waiting["items"]] == [str(drifts[n]) for n in (0, 4, 8)]

    found = await viewer.read(f"/drifts/{drifts[0]}")
    held = (await viewer.read(f"/dead-letters?drift_id={drifts[0]}"))["items"]
    assert found["line"]["held_letters"] == len(held) > 0
    page = visible(await viewer.page(f"/drifts/{drifts[0]}"))
    assert "- Work_Phone: text" in page
    assert "+ Work_Phone: array" in page
    assert "users.department_name" in page
    assert "40001" not in page, "a sample is for operators"
    page = await operator.page(f"/drifts/{drifts[0]}")
    assert "40001" in page
    assert HOSTILE not in page
    assert [entry["action"] for entry in await console.audit()] == ["drift-sample.viewed"]


async def test_an_approver_accepts_or_rejects_with_a_reason(
    console: Console, drifts: list[uuid.UUID]
) -> None:
    approver, operator = await console.login(Role.APPROVER), await console.login(Role.OPERATOR)
    waiting, noted, accepted, rejected = (f"/drifts/{item}/decision" for item in drifts[:4])
    accept = {"decision": "accept", "reason": "agreed"}
    assert (await operator.post(waiting, accept)).status_code == 403
    assert (await approver.post(waiting, {"decision": "accept"})).status_code == 409
    assert (await approver.post(noted, accept)).status_code == 409
    assert (await approver.post(accepted, {**accept, "decision": "reject"})).status_code == 409
    await approver.command(waiting, {"decision": "reject", "reason": "a mistake there"})
    await approver.command(rejected, accept)
    first, second = await console.outbox()
    assert first["topic"] == "schema.decision-requested"
    assert (first["drift_id"], first["decision"], first["reconsider"]) == (
        str(drifts[0]),
        "reject",
        False,
    )
    assert (second["decision"], second["reconsider"]) == ("accept", True)
