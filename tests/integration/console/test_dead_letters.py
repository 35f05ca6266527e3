import time

import pytest

from console.domain.roles import Role
from tests.integration.console.browser import Console, visible
from tests.support.console_seed.inbox import seed_letters
from tests.support.console_seed.ledger import HOSTILE


@pytest.fixture
async def seeded(console: Console) -> Console:
    async with console.database.connection() as connection, connection.transaction():
        await seed_letters(connection)
    return console


async def test_letters_are_grouped_by_reason_filtered_and_paged(seeded: Console) -> None:
    viewer = await seeded.login()
    groups = await viewer.read("/letter-groups")
    assert (groups[0]["consumer"], groups[0]["error_class"]) == ("ingestor", "ParseError")
    total = sum(group["letters"] for group in groups)
    seen: list[str] = []
    cursor = ""
    while True:
        page = await viewer.read(f"/dead-letters?cursor={cursor}")
        seen += [letter["id"] for letter in page["items"]]
        if not (cursor := page["next"]):
            break
    assert (len(seen), len(set(seen))) == (total, total)
    mirror = await viewer.read("/dead-letters?status=any&consumer=wrds_sync")
    assert {letter["topic"] for letter in mirror["items"]} == {"wrds-sync.requested"}
    page = await viewer.page("/dead-letters?error_class=ParseError")
    assert HOSTILE not in page
    assert "Replay…" not in visible(page)


async def test_a_body_is_for_operators_escaped_and_audited(seeded: Console) -> None:
    viewer, operator = await seeded.login(), await seeded.login(Role.OPERATOR)
    letters = (await viewer.read("/dead-letters?event_id=event-00000&status=any"))["items"]
    path = f"/dead-letters/{letters[0]['id']}"
    page = visible(await viewer.page(path))
    assert "x-dlq-category content_validation" in page
    assert "specversion" not in page
    assert (await viewer.get(f"/api/v1{path}/body")).status_code == 403
    page = await operator.page(path)
    assert "specversion" in page
    assert HOSTILE not in page
    assert [entry["action"] for entry in await seeded.audit()] == ["dead-letter.viewed"]


async def test_letters_are_counted_replayed_and_discarded_with_a_reason(seeded: Console) -> None:
    operator, viewer = await seeded.login(Role.OPERATOR), await seeded.login()
    (group, *_) = await viewer.read("/letter-groups")
    fields = {name: group[name] for name in ("topic", "consumer", "category", "error_class")}
    path = "/dead-letters/decisions/new"
    shown = await operator.get(path, params={**fields, "action": "replay"})
    assert f"Replay {group['letters']} letters" in visible(shown.text)
    assert (await viewer.get(path, params=fields)).status_code == 403
    assert (await viewer.post(path, fields)).status_code == 403

    await operator.command(path, {**fields, "action": "discard", "dry_run": "true"})
    refused = await operator.post(path, {**fields, "action": "discard"})
    assert (refused.status_code, "needs a reason" in refused.text) == (409, True)
    await operator.command(path, {**fields, "action": "discard", "reason": "test data"})
    letter = (await viewer.read("/dead-letters"))["items"][0]
    one = {"topic": letter["topic"], "consumer": letter["consumer"], "letter_id": letter["id"]}
    await operator.command(path, {**one, "action": "replay"})
    counted, discarded, replayed = await seeded.outbox()
    assert discarded["topic"] == f"{group['topic']}.{group['consumer']}.dead"
    assert [item["action"] for item in (counted, discarded, replayed)] == [
        "discard",
        "discard",
        "replay",
    ]
    assert (counted["dry_run"], discarded["dry_run"]) == (True, False)
    assert discarded["category"] == group["category"]
    assert replayed["letter_ids"] == [letter["id"]]


async def test_ten_thousand_letters_are_listed_and_grouped_in_no_time(console: Console) -> None:
    async with console.database.connection() as connection:
        await connection.execute(_MANY)
        await connection.execute("analyze meta.dead_letters")
    viewer = await console.login()
    first = await viewer.read("/dead-letters?category=storage")
    paths = ("/dead-letters", f"/dead-letters?category=storage&cursor={first['next']}")
    for path in paths:
        took = [1.0]
        while min(took) >= 0.2 and len(took) < 20:
            began = time.perf_counter()
            await viewer.page(path)
            took.append(time.perf_counter() - began)
        assert min(took) < 0.2, (path, took)


_MANY = """
insert into meta.dead_letters (id, service, consumer, topic, partition, "offset", fingerprint, key,
    value, size, is_cut, original_headers, headers, category, error_class, message, chain, attempts,
    event_id, replays, failed_at)
select gen_random_uuid(), 'ingestor', 'ingestor', 'file.changed', 0, n, 'f', 'k', 'v', 1, false,
    '{}', '{}', 'storage', 'Error' || n % 7, 'no', 'Error', 1, 'event-' || n, 0,
    now() - n * interval '1 second'
from generate_series(1, 12000) n
"""
