"""A record source that a test scripts."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from scanner.domain.records import (
    Abilities,
    ById,
    ItemFailure,
    PollRequest,
    RecordPage,
    Since,
    SourceDescription,
)


def _nothing(_: int) -> None:
    return None


@dataclass(slots=True)
class ScriptedSource:
    """Tells its records; `rows` map an identity to a record."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    page_size: int = 2
    since: bool = False
    by_id: bool = False
    high_water: str | None = None
    gap: str | None = None
    failures: tuple[ItemFailure, ...] = ()
    extra: tuple[dict[str, Any], ...] = ()
    """Told at the end, under whatever identity they have."""

    changed_since: Callable[[str], Sequence[str]] = lambda _: ()
    before_page: Callable[[int], None] = _nothing
    hangs: bool = False
    requests: list[PollRequest] = field(default_factory=list)
    closed: int = 0

    @property
    def abilities(self) -> Abilities:
        return Abilities(since=self.since, by_id=self.by_id)

    async def describe(self) -> SourceDescription:
        return SourceDescription("scripted", "in memory")

    async def poll(self, request: PollRequest) -> AsyncGenerator[RecordPage]:
        self.requests.append(request)
        if self.hangs:
            await asyncio.sleep(3600)
        rows = self._rows(request)
        pages = [
            tuple(rows[begin : begin + self.page_size])
            for begin in range(0, len(rows), self.page_size)
        ] or [()]
        for number, page in enumerate(pages):
            self.before_page(number)
            yield RecordPage(page, total=len(rows))
        is_last_word = not isinstance(request, ById)
        yield RecordPage(
            (),
            self.failures if is_last_word else (),
            high_water=self.high_water if is_last_word else None,
            gap=self.gap,
        )

    async def close(self) -> None:
        self.closed += 1

    def _rows(self, request: PollRequest) -> list[dict[str, Any]]:
        match request:
            case ById(external_ids):
                return [self.rows[name] for name in external_ids if name in self.rows]
            case Since(cursor):
                return [self.rows[name] for name in self.changed_since(cursor)]
            case _:
                return [*self.rows.values(), *self.extra]
