"""The console in our own process, for a hub whose database we may read: no console need run.

The commands that it is given go to Kafka under our own name and rights, not through its outbox:
whoever may write there may speak for every service (docs/decisions/0035).
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from chassis.db import Connection, Database
from chassis.settings import DatabaseSettings, KafkaSettings
from console.app.local import LocalConsole, open_local
from contracts.commands import Command
from contracts.topics import Topic
from penstock.messages import send_command

_SERVICE = "penstock"


class DatabaseOnDemand(Database):
    """Connects at the first question: a command that is only sent needs no database."""

    def __init__(self, find: Callable[[], DatabaseSettings]) -> None:
        self._find = find
        self._opened: Database | None = None
        self.service = _SERVICE

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncGenerator[Connection]:
        """Lend a connection outside a transaction.

        Raises:
            SettingsError: nothing says where the database is.
            UnavailableError: the server does not answer.
        """
        if self._opened is None:
            self._opened = await Database.open(self._find(), _SERVICE)
        async with self._opened.connection() as connection:
            yield connection

    async def close(self) -> None:
        """Close what was opened."""
        if self._opened is not None:
            await self._opened.close()


@dataclass(frozen=True, slots=True)
class KafkaCommands:
    """Gives commands straight to Kafka."""

    find: Callable[[], KafkaSettings]

    async def send(
        self,
        topic: Topic,
        command: Command,
        *,
        actor: str,
        details: Mapping[str, Any] | None = None,  # noqa: ARG002 - its owner writes the audit entry
    ) -> str:
        """Give a command in somebody's name; return its id once Kafka has acknowledged it."""
        command = command.model_copy(update={"requester": actor[:100]})
        return await send_command(self.find(), topic, command)


class LocalTransport(httpx.BaseTransport):
    """Hands requests to the application, on an event loop that runs meanwhile."""

    def __init__(self, runner: asyncio.Runner, console: LocalConsole) -> None:
        self._runner = runner
        self._transport = httpx.ASGITransport(app=console.app, client=("127.0.0.1", 0))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request; what goes wrong is raised as it is."""
        return self._runner.run(self._handle(request))

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        asked = httpx.Request(
            request.method, request.url, headers=request.headers, content=request.read()
        )
        answer = await self._transport.handle_async_request(asked)
        return httpx.Response(
            answer.status_code, headers=answer.headers, content=await answer.aread()
        )


@contextlib.contextmanager
def local_client(
    find_database: Callable[[], DatabaseSettings],
    find_kafka: Callable[[], KafkaSettings],
    user: str,
) -> Generator[httpx.Client]:
    """Lend a client of the console in this process, in somebody's name."""
    with asyncio.Runner() as runner:
        database = DatabaseOnDemand(find_database)
        lent = open_local(database, KafkaCommands(find_kafka), user)
        console = runner.run(lent.__aenter__())
        try:
            with httpx.Client(
                base_url=console.address,
                headers={"Authorization": f"Bearer {console.token}"},
                transport=LocalTransport(runner, console),
            ) as client:
                yield client
        finally:
            runner.run(_close(lent, database))


async def _close(lent: contextlib.AbstractAsyncContextManager[Any], database: Database) -> None:
    await lent.__aexit__(None, None, None)
    await database.close()
