"""Users, tokens and sources on the command line, against the real console behind a real port."""

from tests.integration.cli.conftest import ELSEWHERE, CommandLine
from tests.support.console_seed.sources import seed_sources


async def test_an_administrator_manages_users_and_tokens_from_the_command_line(
    line: CommandLine,
) -> None:
    made = await line.run("users", "add", "mia", "--role", "operator")
    assert made.exit_code == 0, (made.output, made.exception)
    assert len(made.stdout.strip().split("-")) == 4
    assert "There is a user 'mia' already." in await line.refused("users", "add", "mia")
    assert "there is no user `tom`" in await line.refused("users", "role", "tom", "viewer")

    again = await line.tell("users", "password", "mia")
    assert (again["name"], again["password"] != made.stdout.strip()) == ("mia", True)
    assert (await line.run("users", "role", "mia", "approver")).stdout == "mia is approver now.\n"

    token = (await line.run("tokens", "create", "mia", "nightly")).stdout.strip()
    assert "needs the role admin; yours is viewer" in await line.refused(
        "users", "list", PENSTOCK_TOKEN=token
    )
    assert "'mia' is approver; a token cannot be more." in await line.refused(
        "tokens", "create", "mia", "more", "--role", "admin"
    )
    (nightly,) = [item for item in await line.tell("tokens", "list") if item["owner"] == "mia"]
    assert (nightly["label"], nightly["role"]) == ("nightly", "viewer")
    assert (await line.run("tokens", "revoke", "mia/nightly")).stdout == (
        "Token mia/nightly is void.\n"
    )
    assert "no token that is good" in await line.refused("tokens", "revoke", "mia/nightly")
    assert "does not accept the token" in await line.refused(
        "sources", "list", PENSTOCK_TOKEN=token
    )

    assert (await line.run("users", "lock", "mia")).stdout == "mia is locked.\n"
    (mia,) = [item for item in await line.tell("users", "list") if item["name"] == "mia"]
    assert (mia["role"], mia["is_active"]) == ("approver", False)
    assert "locked" in (await line.run("users", "list")).stdout
    assert "revoked" in (await line.run("tokens", "list")).stdout
    await line.run("users", "lock", "mia", "--undo")
    (mia,) = [item for item in await line.tell("users", "list") if item["name"] == "mia"]
    assert mia["is_active"]
    assert "last administrator" in await line.refused("users", "lock", "root")
    actors = {entry["actor"] for entry in await line.console.audit()}
    assert "root/shell" in actors


async def test_sources_are_told_alike_by_the_console_and_by_the_database(line: CommandLine) -> None:
    async with line.console.database.connection() as connection, connection.transaction():
        await seed_sources(connection)
    by_console = await line.tell("sources", "list")
    assert await line.tell("sources", "list", **ELSEWHERE) == by_console
    sources = {item["name"]: item for item in by_console}
    assert sources["transcripts"]["held"] == 137
    assert (sources["umich_api"]["kind"], sources["umich_api"]["last"]["failed"]) == ("records", 3)
    assert sources["holdings"]["last"]["outcome"] == "incomplete"
    for name in ("transcripts", "umich_api"):
        detail = await line.tell("sources", "show", name)
        assert await line.tell("sources", "show", name, **ELSEWHERE) == detail
        assert len(detail["looks"]) == 10
    shown = (await line.run("sources", "show", "umich_api")).stdout
    assert "umich_api: records" in shown
    assert "`Work_Phone` is no text" in shown
    assert "incomplete" in (await line.run("sources", "list")).stdout
    for changes in ({}, ELSEWHERE):
        sentence = await line.refused("sources", "show", "nothing", **changes)
        assert sentence.startswith("there is no source `nothing`; there are: holdings, mcommunity")
