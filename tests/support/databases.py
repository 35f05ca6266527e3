"""Pools for tests, with settings of a test's choice."""

import contextlib
from collections.abc import AsyncGenerator
from urllib.parse import urlsplit

from chassis.db import Database
from chassis.settings import DatabaseSettings


@contextlib.asynccontextmanager
async def opened(url: str, service: str = "tester", **settings: float) -> AsyncGenerator[Database]:
    """Open a pool; `lock_timeout_seconds=1` stands for `DATABASE_LOCK_TIMEOUT_SECONDS`."""
    names = {f"DATABASE_{name.upper()}": value for name, value in settings.items()}
    database = await Database.open(
        DatabaseSettings.model_validate({"DATABASE_URL": url, **names}), service
    )
    try:
        yield database
    finally:
        await database.close()


def with_user(url: str, user: str, password: str) -> str:
    """Return the same address for another user."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{user}:{password}@{parts.netloc.rpartition('@')[2]}").geturl()
