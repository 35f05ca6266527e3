"""The stream of changes, from a real server on a database of its own that restarts."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import asyncpg
import httpx
import pytest

from chassis.errors import TransientError
from chassis.migrations import migrate
from console.adapters.changes import PostgresChanges
from console.handlers.feed import Feed
from console.web import events
from console.web.application import build_application
from console.web.server import listen, serving
from console.web.site import Site
from penstock.stack import PartName, Stack, read_settings
from tests.integration.console.browser import SITE, Console, open_console
from tests.integration.console.browser import read_settings as web
from tests.integration.console.ledger import add_runs
from tests.support.addresses import PostgresAddress
from tests.support.databases import opened
from tests.support.eventually import eventually
from tests.support.hub import background


class Server:
    """A PostgreSQL of the test's own."""

    def __init__(self, folder: Path) -> None:
        self._stack = Stack(settings=read_settings({}).in_folder(folder), fast=True)
        self.start()

    def start(self) -> None:
        self._running = self._stack.up([PartName.POSTGRES], tied=True)
        self.url = PostgresAddress.from_env(self._running.env).url

    def stop(self) -> None:
        self._running.stop()


@pytest.fixture
def server() -> Generator[Server]:
    with tempfile.TemporaryDirectory(prefix="penstock-console-") as folder:
        server = Server(Path(folder))
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
async def console(server: Server) -> AsyncGenerator[Console]:
    await migrate(server.url)
    async with opened(server.url, "console") as database, open_console(database) as console:
        yield console


class Stream:
    """What a page hears."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.has_ended = False

    @property
    def ids(self) -> list[str]:
        return [line.removeprefix("id: ") for line in self.lines if line.startswith("id: ")]

    def heard(self, what: str) -> int:
        return self.lines.count(f"event: {what}")

    @contextlib.asynccontextmanager
    async def of(self, url: str, cookie: str, last_id: str = "") -> AsyncGenerator["Stream"]:
        headers = {"Cookie": f"{SITE.session_cookie}={cookie}", "Last-Event-ID": last_id}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client:

            async def read() -> None:
                async with client.stream("GET", "/events") as answer:
                    assert answer.status_code == 200
                    assert answer.headers["content-type"].startswith("text/event-stream")
                    async for line in answer.aiter_lines():
                        self.lines.append(line)
                self.has_ended = True

            async with background(read):
                yield self


@contextlib.asynccontextmanager
async def served(console: Console, feed: Feed) -> AsyncGenerator[str]:
    settings = web().web
    with listen(settings) as listener:
        origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        site = Site(SITE.hosts, frozenset({origin}), is_secure=False)
        app = build_application(console.context, site)
        async with background(feed.run), serving(app, listener, settings):
            yield origin


async def test_pages_hear_of_changes_before_and_after_the_database_restarts(
    console: Console, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0.3)
    viewer = await console.login()
    # The comparison alone would take a minute: what is heard at once was announced.
    console.context.feed._changes = PostgresChanges(console.database, poll_seconds=60)
    async with served(console, console.context.feed) as url:
        async with Stream().of(url, viewer.cookie) as stream:
            await eventually(lambda: ": still here" in stream.lines)
            await add_runs(console.database, status="running")
            await eventually(lambda: stream.heard("runs") == 1)
            assert "drifts" not in stream.lines

            await asyncio.to_thread(server.stop)
            assert (await viewer.get("/runs")).status_code == 503
            await asyncio.to_thread(server.start)
            await _add_runs_once_it_is_back(console)

            await eventually(lambda: stream.heard("runs") > 1, 30)
            assert not stream.has_ended

        async with Stream().of(url, viewer.cookie, stream.ids[0]) as again:
            await eventually(lambda: again.heard("runs") == 1)
            await viewer.post("/logout")
            await eventually(lambda: again.has_ended)


async def test_without_notifications_the_tables_themselves_tell(console: Console) -> None:
    changes = PostgresChanges(console.database, poll_seconds=0.2)
    heard: list[str] = []
    async with console.database.connection() as connection:
        await connection.execute("drop trigger runs_announce on meta.runs")
    async with background(lambda: changes.watch(heard.append)):
        await asyncio.sleep(0.3)
        (run_id,) = await add_runs(console.database, status="running")
        await eventually(lambda: heard == ["runs"])
        async with console.database.connection() as connection:
            await connection.execute(
                "update meta.runs set message = 'half way' where run_id = $1", run_id
            )
        await eventually(lambda: heard == ["runs", "runs"])


async def _add_runs_once_it_is_back(console: Console) -> None:
    async def add() -> bool:
        with contextlib.suppress(TransientError, OSError, asyncpg.PostgresError):
            await add_runs(console.database, target="later")
            return True
        return False

    await eventually(add, 30)
