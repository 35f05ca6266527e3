"""`RecordSource` on an HTTP API: a list in pages, single records, or one request per item."""

import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

from chassis.clock import Clock
from chassis.db import Database
from chassis.http import HttpClient, SecretLookup, open_client
from chassis.http.errors import ApiItemError, ApiNotFoundError
from chassis.shares.port import Share
from scanner.adapters.http_calls import filled, since_text
from scanner.adapters.http_items import ItemReader, KnownItems
from scanner.adapters.http_paging import read_pages
from scanner.adapters.http_series import SeriesReader
from scanner.domain.cursors import CursorKind, highest
from scanner.domain.hashing import find
from scanner.domain.records import (
    Abilities,
    ById,
    Full,
    ItemFailure,
    PollRequest,
    RawRecord,
    RecordPage,
    Since,
    SourceDescription,
)
from scanner.errors import SourceRefusedError
from scanner.ports.series import SeriesMemory
from scanner.settings.http import Call, HttpRecords


@dataclass(frozen=True, slots=True)
class ItemPorts:
    """What asking per item needs from outside."""

    known: KnownItems
    memory: SeriesMemory


@dataclass(frozen=True, slots=True)
class HttpAccess:
    """What the adapter needs beside its own section."""

    secrets: SecretLookup
    clock: Clock
    database: Database | None
    """Where the budgets of all replicas are."""

    open_share: Callable[[], Share]
    """The share with the authority's certificate, for those who keep it there."""

    items: ItemPorts | None
    """None in a check, which asks for no records."""


class HttpSource:
    """One API as a source of records; connects at its first call."""

    def __init__(self, config: HttpRecords, access: HttpAccess) -> None:
        self._config = config
        self._access = access
        self._client: HttpClient | None = None

    @property
    def abilities(self) -> Abilities:
        """Which requests it can answer beside `Full`, as it is configured."""
        config = self._config
        return Abilities(
            since=config.since is not None or config.days is not None,
            by_id=config.item is not None or config.for_each is not None,
        )

    async def describe(self) -> SourceDescription:
        """Make the client ready and try the credentials; an API has no log-on but a request."""
        client = await self._opened()
        probe = self._config.probe or (self._config.call if self._config.call.paging else None)
        if probe is not None:
            async with contextlib.aclosing(read_pages(client, probe, {})) as pages:
                await anext(pages)
        api = self._config.api
        parts: list[str] = [api.auth.kind if api.auth.kind != "none" else "no log-on"]
        parts += ["over a proxy"] if api.proxy else []
        if api.budget:
            parts.append(f"{api.budget.requests_per_minute:g} requests a minute")
        return SourceDescription("http", ", ".join(parts))

    async def close(self) -> None:
        """Close every connection."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def poll(self, request: PollRequest) -> AsyncGenerator[RecordPage]:
        """Tell the records that are asked for, a page at a time."""
        client = await self._opened()
        async for page in self._pages(client, request):
            yield page

    def _pages(self, client: HttpClient, request: PollRequest) -> AsyncGenerator[RecordPage]:
        config, ports = self._config, self._access.items
        if config.for_each is None:
            return self._list(client, request)
        if ports is None:
            raise SourceRefusedError("items cannot be looked up without a database")
        today = self._access.clock.now().date()
        items = ItemReader(client, config, config.for_each, known=ports.known, today=today)
        if config.series is not None:
            return SeriesReader(items, config, ports.memory).poll(request)
        return items.poll(request)

    async def _opened(self) -> HttpClient:
        if self._client is None:
            access, api = self._access, self._config.api
            share = access.open_share() if api.ca_share else None
            try:
                self._client = await open_client(
                    api,
                    access.secrets,
                    clock=access.clock,
                    database=access.database,
                    share=share,
                )
            finally:
                if share is not None:
                    await share.close()
        return self._client

    async def _list(self, client: HttpClient, request: PollRequest) -> AsyncGenerator[RecordPage]:
        if isinstance(request, ById):
            async for page in self._by_id(client, request.external_ids):
                yield page
            return
        high_water: str | None = None
        told, total = 0, None
        async for part in read_pages(client, self._config.call, self._since(request)):
            told += len(part.records)
            total = part.total if part.total is not None else total
            high_water = self._highest(high_water, part.records)
            yield RecordPage(tuple(part.records), total=total)
        gap = None
        if total is not None and told < total:
            gap = f"the API has {total} records and told {told}"
        # Pages come in any order: only now was everything below the mark told.
        yield RecordPage((), high_water=high_water, total=total, gap=gap)

    def _since(self, request: Full | Since) -> dict[str, str]:
        if isinstance(request, Full):
            return {}
        if self._config.since is None:
            raise SourceRefusedError("the source cannot be asked for changes")
        return {self._config.since.param: since_text(self._config.since, request.cursor)}

    def _highest(self, mark: str | None, records: Sequence[RawRecord]) -> str | None:
        if self._config.since is None:
            return None
        values = (find(record, self._config.since.field) for record in records)
        texts = [value for value in values if isinstance(value, str)]
        return highest(CursorKind.TIMESTAMP, [mark, *texts])

    async def _by_id(
        self, client: HttpClient, external_ids: Sequence[str]
    ) -> AsyncGenerator[RecordPage]:
        call = self._config.item
        if call is None:
            raise SourceRefusedError("the source cannot be asked for single records")
        for external_id in external_ids:
            yield await _single(client, call, external_id)


async def _single(client: HttpClient, call: Call, external_id: str) -> RecordPage:
    records: list[RawRecord] = []
    try:
        async for part in read_pages(client, filled(call, external_id), {}):
            records += part.records
    except ApiNotFoundError:
        return RecordPage(())
    except ApiItemError as error:
        failure = ItemFailure(external_id, error.category, type(error).__name__, error.message)
        return RecordPage((), failures=(failure,))
    return RecordPage(tuple(records))
