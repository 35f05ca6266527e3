"""Reads series: bars per item and day, believed only after two checks.

A known bar that moved (a split re-bases all of history) has its item read again as a whole. And no
bar is told before all items of the poll were compared with each other: a delivery with one series
under every name is quarantined, not published. Until then the bars wait in a file, so memory does
not grow with the number of items.
"""

import asyncio
import itertools
import tempfile
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import IO, TypeVar

import orjson

from chassis.logs import get_logger
from contracts.errors import ErrorCategory
from scanner.adapters.http_items import ItemAnswer, ItemReader, page_of
from scanner.domain.records import (
    ById,
    Full,
    ItemFailure,
    PollRequest,
    RawRecord,
    RecordPage,
    Since,
)
from scanner.domain.series import SeriesRules, Tail
from scanner.errors import SourceRefusedError
from scanner.ports.series import SeriesMemory
from scanner.settings.http import HttpRecords

T = TypeVar("T")

_IN_MEMORY_BYTES = 8 * 1024 * 1024
_PAGE_ITEMS = 50
_CONTROLS = 5


class SeriesReader:
    """Tells the bars of all items."""

    def __init__(self, items: ItemReader, config: HttpRecords, memory: SeriesMemory) -> None:
        checks, days = config.series, config.days
        if checks is None or days is None:
            raise SourceRefusedError("`series` needs `days`")
        self._items = items
        self._memory = memory
        self._told: dict[str, Tail] = {}
        self._series = f"{config.api.base_url}{config.call.path}"
        self._rules = SeriesRules(
            day_field=days.field,
            values=checks.values,
            tolerance=checks.tolerance,
            least_bars=checks.least_bars,
            same_series_items=checks.same_series_items,
        )

    async def poll(self, request: PollRequest) -> AsyncGenerator[RecordPage]:
        """Tell the bars that are asked for, a page at a time."""
        look = _Look(controls=await self._controls(request))
        with (
            tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as file,
            ThreadPoolExecutor(1, "series") as disk,
        ):
            waiting = _Waiting(file, disk)
            async for answers in self._items.answers(request):
                await self._look_at(answers, look, is_part=isinstance(request, Since))
                await waiting.put([answer for answer in answers if answer.records])
                # Shows that the source answers; its bars follow when all of them are compared.
                yield page_of([answer for answer in answers if answer.error], ())
            doubles = self._doubles(look)
            async for batch in waiting.take(_PAGE_ITEMS):
                yield await self._checked(batch, look.rebased, doubles)
                # Only now: had the page been lost, the next poll must find the same difference.
                await self._memory.remember(self._series, self._told)
        yield RecordPage((), high_water=look.high_water, gap=_quarantine_gap(doubles))

    async def _controls(self, request: PollRequest) -> dict[str, Tail]:
        """Return the bars of some other items: a few alone have nothing to be compared with."""
        if not isinstance(request, ById):
            return {}
        asked = set(await self._items.items(request))
        others = [item for item in await self._items.items(Full()) if item not in asked]
        answers = await self._items.ask(others[:_CONTROLS], first=None)
        return {answer.item: self._rules.tail(answer.records) for answer in answers}

    async def _look_at(
        self, answers: Sequence[ItemAnswer], look: "_Look", *, is_part: bool
    ) -> None:
        for answer in answers:
            look.tails[answer.item] = self._rules.tail(answer.records)
            look.high_water = self._items.highest(look.high_water, answer.records)
        if not is_part:
            return
        remembered = await self._memory.recall(self._series, [item.item for item in answers])
        look.rebased |= {item.item for item in answers if self._is_rebased(item, remembered)}

    def _is_rebased(self, answer: ItemAnswer, remembered: Mapping[str, Tail]) -> bool:
        if answer.item not in remembered or not answer.records:
            return False
        found = self._rules.rebased(remembered[answer.item], self._rules.bars(answer.records))
        if found is not None:
            get_logger().info(
                "series_rebased", item=answer.item, day=found.day, factor=found.factor
            )
        return found is not None

    def _doubles(self, look: "_Look") -> set[str]:
        doubles = self._rules.doubles({**look.controls, **look.tails}) & look.tails.keys()
        if doubles:
            get_logger().error(
                "series_quarantined",
                category=ErrorCategory.CONTENT_VALIDATION.value,
                outcome="failure",
                items=len(doubles),
                first=min(doubles),
            )
        return doubles

    async def _checked(
        self, batch: Mapping[str, Sequence[RawRecord]], rebased: set[str], doubles: set[str]
    ) -> RecordPage:
        """Return the page of a batch: without what is quarantined, re-based items as a whole."""
        whole = [item for item in batch if item in rebased - doubles]
        again = {answer.item: answer for answer in await self._items.ask(whole, first=None)}
        good = {
            item: again[item].records if item in again else bars
            for item, bars in batch.items()
            if item not in doubles
        }
        self._told = {item: self._rules.tail(bars) for item, bars in good.items() if bars}
        page = page_of(again.values(), tuple(itertools.chain.from_iterable(good.values())))
        failures = tuple(_quarantined(item) for item in batch if item in doubles)
        return replace(page, failures=(*page.failures, *failures))


@dataclass(slots=True)
class _Look:
    """What the first look at all items showed."""

    controls: dict[str, Tail]
    tails: dict[str, Tail] = field(default_factory=dict)
    rebased: set[str] = field(default_factory=set)
    high_water: str | None = None


class _Waiting:
    """Bars that are not told yet, in a file once they are many."""

    def __init__(self, file: IO[bytes], disk: ThreadPoolExecutor) -> None:
        self._file = file
        self._disk = disk

    async def put(self, answers: Sequence[ItemAnswer]) -> None:
        """Append the bars of some items."""
        lines = [orjson.dumps([answer.item, answer.records]) + b"\n" for answer in answers]
        await self._run(lambda: self._file.writelines(lines))

    async def take(self, size: int) -> AsyncGenerator[dict[str, list[RawRecord]]]:
        """Yield everything, so many items at a time."""
        await self._run(lambda: self._file.seek(0))
        while lines := await self._run(lambda: list(itertools.islice(self._file, size))):
            yield dict(orjson.loads(line) for line in lines)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, work)


def _quarantined(item: str) -> ItemFailure:
    return ItemFailure(
        item,
        ErrorCategory.CONTENT_VALIDATION,
        "SameSeriesError",
        "the same series came under several names; none of them is believed",
    )


def _quarantine_gap(doubles: set[str]) -> str | None:
    return f"{len(doubles)} items are quarantined: one series for all" if doubles else None
