"""A client of the pretended archive, with settings and a log-on of a test's choice."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from chassis.clock import SystemClock
from tests.support.wrds_server import WrdsServer
from wrds_sync.adapters.wrds_client import WrdsClient
from wrds_sync.domain.tables import Credential
from wrds_sync.settings.environment import WRDSConfig


@dataclass(slots=True)
class GivenCredentials:
    """A log-on that a test may change while the client lives."""

    username: str
    password: str
    asked: int = field(default=0, init=False)

    def read(self) -> Credential:
        self.asked += 1
        return Credential(self.username, self.password)


@contextlib.asynccontextmanager
async def opened(
    server: WrdsServer,
    credentials: GivenCredentials | None = None,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    **settings: Any,
) -> AsyncGenerator[WrdsClient]:
    """Open a client; `pool_size=1` stands for `WRDS_POOL_SIZE`."""
    given = {f"WRDS_{name.upper()}": value for name, value in settings.items()}
    env = {**server.env, "WRDS_POOL_SIZE": 1, **given}
    client = WrdsClient(
        WRDSConfig.model_validate(env),
        credentials or GivenCredentials(server.env["WRDS_USERNAME"], server.env["WRDS_PASSWORD"]),
        clock=SystemClock(),
        sleep=sleep,
    )
    try:
        yield client
    finally:
        await client.close()
