"""One request per item, so many at a time; most items may come from a bulk endpoint before."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from chassis.errors import PenstockError
from chassis.http import HttpClient
from chassis.http.errors import (
    ApiItemError,
    ApiNotFoundError,
    ApiPlanError,
    HttpUnavailableError,
)
from chassis.logs import get_logger
from scanner.adapters.http_calls import day_params, filled
from scanner.adapters.http_paging import read_pages
from scanner.domain.cursors import CursorKind, highest, parse_time
from scanner.domain.records import (
    ById,
    ItemFailure,
    PollRequest,
    RawRecord,
    RecordPage,
    Since,
)
from scanner.errors import SourceRefusedError
from scanner.settings.http import BulkCall, ForEach, HttpRecords

KnownItems = Callable[[str], AsyncGenerator[Sequence[str]]]
"""Yields the ids of the known records of another source, a page at a time."""


@dataclass(frozen=True, slots=True)
class ItemAnswer:
    """What the API said about one item."""

    item: str
    records: tuple[RawRecord, ...] = ()
    error: PenstockError | None = None

    def failure(self) -> ItemFailure | None:
        """Return the failure to write down."""
        if self.error is None:
            return None
        error = self.error
        return ItemFailure(self.item, error.category, type(error).__name__, error.message)

    @property
    def is_absent(self) -> bool:
        """Whether the API does not know the item."""
        return isinstance(self.error, ApiNotFoundError)

    @property
    def is_unknown(self) -> bool:
        """Whether the item may have records that nobody saw."""
        return isinstance(self.error, HttpUnavailableError)


class ItemReader:
    """Asks for the records of items."""

    def __init__(
        self,
        client: HttpClient,
        config: HttpRecords,
        for_each: ForEach,
        *,
        known: KnownItems,
        today: date,
    ) -> None:
        self._client = client
        self._config = config
        self._for_each = for_each
        self._known = known
        self._today = today
        self._failures_in_a_row = 0

    async def poll(self, request: PollRequest) -> AsyncGenerator[RecordPage]:
        """Tell the records of all items, or of those that are named."""
        high_water: str | None = None
        async for answers in self.answers(request):
            records = tuple(itertools.chain.from_iterable(item.records for item in answers))
            high_water = self.highest(high_water, records)
            yield page_of(answers, records)
        yield RecordPage((), high_water=high_water)

    async def answers(self, request: PollRequest) -> AsyncGenerator[list[ItemAnswer]]:
        """Yield the answers for the items that a request is about, a batch at a time."""
        items = await self.items(request)
        first = parse_time(request.cursor).date() if isinstance(request, Since) else None
        if self._for_each.bulk is not None and not isinstance(request, ById):
            answers = await self._from_bulk(self._for_each.bulk, set(items))
            yield answers
            found = {answer.item for answer in answers}
            items = [item for item in items if item not in found]
        for batch in _batched(items, self._for_each.concurrency):
            answers = await self.ask(batch, first=first)
            if isinstance(request, ById):
                # What is asked for by name and does not exist is an answer, no failure.
                answers = [answer for answer in answers if not answer.is_absent]
            yield answers

    async def items(self, request: PollRequest) -> list[str]:
        """Return the items that a request is about.

        Raises:
            SourceRefusedError: there is none: the other source was never read.
        """
        if isinstance(request, ById):
            # A record's id begins with its item; a failure is known by its item alone.
            return sorted({external_id.partition("/")[0] for external_id in request.external_ids})
        source = self._for_each.source
        items = [item async for page in self._known(source) for item in page]
        if not items:
            raise SourceRefusedError(f"no record of `{source}` is known; scan `{source}` first")
        return items

    async def ask(self, items: Sequence[str], *, first: date | None) -> list[ItemAnswer]:
        """Return the answers for a batch of items, in their order.

        Raises:
            ApiAccessError: the API refuses the credentials; nothing more is asked (S3-12).
            ApiPlanError: the plan does not cover the endpoint.
            HttpUnavailableError: too many items in a row had no answer.
        """
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._ask(item, first)) for item in items]
        except BaseExceptionGroup as errors:
            error = _first_leaf(errors)
            raise error from error.__cause__
        return [task.result() for task in tasks]

    async def _ask(self, item: str, first: date | None) -> ItemAnswer:
        call = filled(self._config.call, item)
        params = day_params(self._config.days, first=first, today=self._today)
        records: list[RawRecord] = []
        try:
            async for part in read_pages(self._client, call, params):
                records += part.records
        except ApiItemError as error:
            return ItemAnswer(item, error=error)
        except HttpUnavailableError as error:
            self._failures_in_a_row += 1
            if self._failures_in_a_row >= self._for_each.max_failures_in_a_row:
                raise
            return ItemAnswer(item, error=error)
        self._failures_in_a_row = 0
        return ItemAnswer(item, tuple(records))

    async def _from_bulk(self, call: BulkCall, items: set[str]) -> list[ItemAnswer]:
        """Return the items that the bulk endpoint tells; none where it fails, but for log-ons."""
        found: dict[str, ItemAnswer] = {}
        try:
            async for part in read_pages(self._client, call, {}):
                for record in part.records:
                    item = str(record.get(call.item_field))
                    if item in items:
                        before = found[item].records if item in found else ()
                        found[item] = ItemAnswer(item, (*before, record))
        except (ApiItemError, ApiPlanError, HttpUnavailableError) as error:
            get_logger().warning("bulk_endpoint_failed", error=error, items=len(items))
            return []
        get_logger().info("bulk_endpoint_read", found=len(found), items=len(items))
        return list(found.values())

    def highest(self, mark: str | None, records: Iterable[RawRecord]) -> str | None:
        """Return the latest day that was told."""
        if self._config.days is None:
            return None
        values = (record.get(self._config.days.field) for record in records)
        texts = [value for value in values if isinstance(value, str)]
        return highest(CursorKind.TIMESTAMP, [mark, *texts])


def page_of(answers: Iterable[ItemAnswer], records: tuple[RawRecord, ...]) -> RecordPage:
    """Return a page with the failures of a batch; what nobody saw is a gap."""
    answers = list(answers)
    unseen = [answer.item for answer in answers if answer.is_unknown]
    gap = f"no answer for some items, {unseen[0]!r} among them" if unseen else None
    failures = tuple(failure for answer in answers if (failure := answer.failure()) is not None)
    return RecordPage(records, failures=failures, gap=gap)


def _batched(items: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    return (items[begin : begin + size] for begin in range(0, len(items), size))


def _first_leaf(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what went wrong first: the others are mostly its consequence."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
