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
from typing import IO, TypeVar

import orjson

from chassis.logs import get_logger
from contracts.errors import ErrorCategory
from scanner.adapters.http_items import ItemAnswer, ItemReader, page_of
from scanner.domain.records import ItemFailure, PollRequest, RawRecord, RecordPage, Since
from scanner.domain.series import SeriesRules, Tail
from scanner.errors import SourceRefusedError
from scanner.ports.series import SeriesMemory
from scanner.settings.http import HttpRecords

T = TypeVar("T")

_IN_MEMORY_BYTES = 8 * 1024 * 1024
_PAGE_ITEMS = 50


class SeriesReader:
    """Tells the bars of all items."""

    def __init__(self, items: ItemReader, config: HttpRecords, memory: SeriesMemory) -> None:
        checks, days = config.series, config.days
        if checks is None or days is None:
            raise SourceRefusedError("`series` needs `days`")
        self._items = items
        self._memory = memory
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
        asked: dict[str, Tail] = {}
        tails: dict[str, Tail] = {}
        high_water: str | None = None
        with (
            tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as file,
            ThreadPoolExecutor(1, "series") as disk,
        ):
            waiting = _Waiting(file, disk)
            async for answers in self._items.answers(request):
                # Compared over the days that all were asked for; a whole history reaches further.
                asked |= {item.item: self._rules.tail(item.records) for item in answers}
                checked = await self._reread_rebased(
                    answers, is_whole=not isinstance(request, Since)
                )
                for answer in checked:
                    tails[answer.item] = self._rules.tail(answer.records)
                    high_water = self._items.highest(high_water, answer.records)
                await waiting.put([answer for answer in checked if answer.records])
                # Shows that the source answers; its bars follow when all of them are compared.
                yield page_of([answer for answer in checked if answer.error], ())
            doubles = self._rules.doubles(asked)
            async for page in self._told(waiting, tails, doubles):
                yield page
        yield RecordPage((), high_water=high_water, gap=_quarantine_gap(doubles))

    async def _reread_rebased(
        self, answers: Sequence[ItemAnswer], *, is_whole: bool
    ) -> list[ItemAnswer]:
        if is_whole:
            return list(answers)
        remembered = await self._memory.recall(self._series, [item.item for item in answers])
        rebased = [item.item for item in answers if self._is_rebased(item, remembered)]
        if not rebased:
            return list(answers)
        again = {item.item: item for item in await self._items.ask(rebased, first=None)}
        return [again.get(answer.item, answer) for answer in answers]

    def _is_rebased(self, answer: ItemAnswer, remembered: Mapping[str, Tail]) -> bool:
        if answer.item not in remembered or not answer.records:
            return False
        told = {
            str(record.get(self._rules.day_field)): values
            for record in answer.records
            for values in self._rules.tail([record]).values()
        }
        found = self._rules.rebased(remembered[answer.item], told)
        if found is not None:
            get_logger().info(
                "series_rebased", item=answer.item, day=found.day, factor=found.factor
            )
        return found is not None

    async def _told(
        self, waiting: "_Waiting", tails: Mapping[str, Tail], doubles: set[str]
    ) -> AsyncGenerator[RecordPage]:
        if doubles:
            get_logger().error(
                "series_quarantined",
                category=ErrorCategory.CONTENT_VALIDATION.value,
                outcome="failure",
                items=len(doubles),
                first=min(doubles),
            )
        async for batch in waiting.take(_PAGE_ITEMS):
            good = {item: bars for item, bars in batch.items() if item not in doubles}
            failures = tuple(_quarantined(item) for item in batch if item in doubles)
            yield RecordPage(tuple(itertools.chain.from_iterable(good.values())), failures)
            # Only now: had the page been lost, the next poll must find the same difference.
            await self._memory.remember(self._series, {item: tails[item] for item in good})


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
