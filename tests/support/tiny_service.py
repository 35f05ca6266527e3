"""The smallest service there can be, run as a process: `python tiny_service.py SCENARIO`."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable

from pydantic import BaseModel, ConfigDict

from chassis import process, renewal
from chassis.errors import PenstockError, UnavailableError
from chassis.process import Host, exit_on_bad_settings, host, serve
from chassis.runs import RunContext
from chassis.settings import DatabaseSettings, KafkaSettings, ProcessSettings, load_settings
from contracts.runs import RunCounts


class TinySettings(BaseModel):
    model_config = ConfigDict(frozen=True)

    kafka: KafkaSettings
    database: DatabaseSettings
    process: ProcessSettings


async def _sleep() -> None:
    await asyncio.sleep(3600)


async def _bug() -> None:
    await asyncio.sleep(0.2)
    raise KeyError("a bug")


async def _outage() -> None:
    await asyncio.sleep(0.2)
    raise UnavailableError("the part https://user:hunter2-canary@host is away")


async def _deaf() -> None:
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            continue


async def _stuck_loop() -> None:
    await asyncio.sleep(0.5)
    time.sleep(2)  # noqa: ASYNC251 - what the probe must notice
    await asyncio.sleep(3600)


async def _job(context: RunContext) -> RunCounts:
    await context.checkpoint({"page": 1})
    await asyncio.sleep(3600)
    return RunCounts()


PARTS: dict[str, Callable[[], Awaitable[None]]] = {
    "calm": _sleep,
    "bug": _bug,
    "outage": _outage,
    "deaf": _deaf,
    "stuck": _stuck_loop,
}


async def run(settings: TinySettings, scenario: str) -> None:
    async with host("tiny", settings) as tiny:
        _compose(tiny, scenario)
        await tiny.run()


def _compose(tiny: Host, scenario: str) -> None:
    if scenario == "working":
        tiny.work({"sleep": _job})
    else:
        tiny.background("part", PARTS[scenario])


def main(scenario: str) -> int:
    process.START_PATIENCE_SECONDS = 3.0
    renewal.LOOK_EVERY_SECONDS = 0.1
    renewal.SPREAD_SECONDS = 0.0
    try:
        settings = load_settings(TinySettings)
    except PenstockError as error:
        return exit_on_bad_settings(error)
    return serve("tiny", settings, lambda: run(settings, scenario))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
