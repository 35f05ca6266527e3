"""What stands around every scan, whether it reads files or records."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict

from chassis.errors import LeaseLostError, PenstockError
from chassis.runs import RunCancelledError
from chassis.shares.port import Share
from scanner import metrics
from scanner.ports.records import RecordSource

CLOSE_SECONDS = 15.0


class ScanParameters(BaseModel):
    """What a command or a schedule asks for."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    mode: Literal["auto", "fast", "full"] = "auto"
    prefix: str | None = None
    release_held_deletions: bool = False


@contextlib.contextmanager
def counted_errors() -> Iterator[None]:
    """Count what a run fails of; being cancelled is no failure, and a lost lease another's run."""
    try:
        yield
    except (RunCancelledError, LeaseLostError):
        raise
    except PenstockError as error:
        metrics.count_error(error.category)
        raise


@contextlib.asynccontextmanager
async def closing(opened: Share | RecordSource) -> AsyncGenerator[None]:
    """Close it at the end, without waiting long for one that does not answer."""
    try:
        yield
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await opened.close()
