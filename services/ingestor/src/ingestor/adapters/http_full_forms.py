"""Fetches the full form of records from the API that listed them."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from chassis.clock import Clock
from chassis.db import Database
from chassis.http.client import HttpClient
from chassis.http.config import SecretLookup
from chassis.http.errors import ApiBodyError
from chassis.http.open import open_client
from ingestor.settings import EnrichSection, RecordSection


class HttpFullForms:
    """`FullForms` over one client per source, opened when it is first needed."""

    def __init__(
        self,
        sections: Mapping[str, RecordSection],
        secrets: SecretLookup,
        *,
        database: Database,
        clock: Clock,
    ) -> None:
        self._sections = sections
        self._secrets = secrets
        self._database = database
        self._clock = clock
        self._clients: dict[str, HttpClient] = {}
        self._opening = asyncio.Lock()

    async def fetch(self, source: str, external_id: str) -> Mapping[str, Any]:
        """Return the full form of a record."""
        section = self._sections[source]
        assert section.enrich is not None  # noqa: S101 - only such sources have requests
        client = await self._client(source, section)
        path = section.enrich.path.replace("{id}", quote(external_id, safe=""))
        reply = await client.fetch(path)
        return _record_in(reply.data, section.enrich, source)

    async def close(self) -> None:
        """Close every connection."""
        for client in self._clients.values():
            with contextlib.suppress(TimeoutError):
                await client.close()
        self._clients.clear()

    async def _client(self, source: str, section: RecordSection) -> HttpClient:
        async with self._opening:
            if source not in self._clients:
                assert section.api is not None  # noqa: S101 - as above
                self._clients[source] = await open_client(
                    section.api, self._secrets, clock=self._clock, database=self._database
                )
            return self._clients[source]


def _record_in(body: object, enrich: EnrichSection, source: str) -> Mapping[str, Any]:
    for name in enrich.record_path.split(".") if enrich.record_path else ():
        body = body.get(name) if isinstance(body, dict) else None
    if not isinstance(body, dict):
        raise ApiBodyError(f"`{source}`: the full form is no JSON object")
    return body
