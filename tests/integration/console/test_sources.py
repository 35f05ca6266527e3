import pytest

from console.domain.roles import Role
from tests.integration.console.browser import Console, visible
from tests.support.console_seed.ledger import HOSTILE, add_run
from tests.support.console_seed.sources import seed_sources


@pytest.fixture
async def seeded(console: Console) -> Console:
    async with console.database.connection() as connection, connection.transaction():
        await seed_sources(connection)
    return console


async def test_sources_tell_their_last_look_and_what_waits(seeded: Console) -> None:
    viewer = await seeded.login()
    sources = {source["name"]: source for source in await viewer.read("/sources")}
    assert sorted(sources) == ["holdings", "mcommunity", "tdx_people", "transcripts", "umich_api"]
    files, records = sources["transcripts"], sources["umich_api"]
    assert (files["kind"], files["seen"], files["held"]) == ("files", 18_234, 137)
    assert files["interval"] == "PT1M"
    assert (records["kind"], records["seen"], records["last"]["failed"]) == ("records", 5_012, 3)
    assert sources["holdings"]["last"]["outcome"] == "incomplete"

    page = visible(await viewer.page("/sources"))
    assert "held transcripts files, every 1 min 18 234" in page.replace(
        "\N{NARROW NO-BREAK SPACE}", " "
    )
    assert "Needs the role operator" in visible(await viewer.page("/sources/transcripts"))
    page = visible(await viewer.page("/sources/umich_api"))
    assert "page 7: HTTP 503" in page
    assert f"`Work_Phone` is no text: {HOSTILE}" in page
    assert (await viewer.get("/sources/nothing")).status_code == 404


async def test_held_deletions_are_paged_and_released_by_an_approver_with_a_reason(
    seeded: Console,
) -> None:
    approver = await seeded.login(Role.APPROVER)
    paths: list[str] = []
    cursor = ""
    while True:
        page = await approver.read(f"/sources/transcripts/held?cursor={cursor}")
        paths += [item["path"] for item in page["items"]]
        if not (cursor := page["next"]):
            break
    assert (len(paths), len(set(paths))) == (137, 137)
    assert HOSTILE not in await approver.page("/sources/transcripts")

    operator = await seeded.login(Role.OPERATOR)
    refused = await operator.post("/sources/transcripts/release", {"reason": "moved"})
    assert refused.status_code == 403
    assert (await approver.post("/sources/transcripts/release")).status_code == 409
    await approver.command("/sources/transcripts/release", {"reason": "the archive was moved"})
    (command,) = await seeded.outbox()
    assert command["topic"] == "scan.requested"
    assert (command["source"], command["release_held_deletions"]) == ("transcripts", True)
    assert (command["requester"], command["mode"]) == (approver.name, "full")
    (entry,) = await seeded.audit()
    assert (entry["actor"], entry["details"]["reason"]) == (approver.name, "the archive was moved")


@pytest.mark.parametrize("mode", ["fast", "full"])
async def test_an_operator_looks_now(seeded: Console, mode: str) -> None:
    operator = await seeded.login(Role.OPERATOR)
    await operator.command(
        "/sources/transcripts/scan",
        {"mode": mode, "prefix": "Data/2024", "dry_run": "true", "reason": "a look"},
    )
    (command,) = await seeded.outbox()
    assert (command["mode"], command["prefix"], command["dry_run"]) == (mode, "Data/2024", True)
    viewer = await seeded.login()
    assert (await viewer.post("/sources/transcripts/scan", {"mode": "fast"})).status_code == 403


async def test_a_source_without_any_look_is_shown_as_such(console: Console) -> None:
    async with console.database.connection() as connection:
        await add_run(connection, "scanner", "scan", "fresh", status="queued")
    viewer = await console.login()
    (source,) = await viewer.read("/sources")
    assert (source["last"], source["next_at"], source["held"]) == (None, None, 0)
    assert "queued" in visible(await viewer.page("/sources/fresh"))
