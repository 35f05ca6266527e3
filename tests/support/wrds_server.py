"""A server that looks like the archive: schemas, views, comments, and rows made by the server.

Fama-French factors come from the real files; everything else is licensed at the source, so the
layouts are real and the values are not.
"""

import contextlib
import csv
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

import asyncpg

from tests.support.wrds_server_tables import (
    ALL,
    ANNUAL,
    DAILY,
    DAILY_V2,
    FACTORS_DAILY,
    FACTORS_MONTHLY,
    MONTHLY,
    QUARTERLY,
    TEXTS,
    Layout,
)

# A price that hangs on the security and the day; every twentieth is a bid/ask average, which the
# old layout marks with a minus.
_KEYS = """
    select s.permno::bigint, d.day::date as day, x.key,
           5 + abs(hashint8extended(x.key, 0)) % 20000 / 100.0 as price,
           case when x.key % 20 = 0 then -1 else 1 end as sign
    from generate_series({first}, {last}) as s(permno)
    cross join generate_series(date '{start}', date '{end}', interval '{step}') as d(day)
    cross join lateral (
        select s.permno * 1000000::bigint + (d.day::date - date '1900-01-01')
    ) x(key)
    where extract(isodow from d.day) < 6 or interval '{step}' > interval '1 day'
"""

_WORDS = """
    create temp table sentences on commit drop as
    select s, string_agg('word' || abs(hashint8extended(s * 100 + w, 0)) % 3000, ' ' order by w)
        as text
    from generate_series(0, 9999) s, generate_series(1, 14) w group by s
"""

_TEXTS = """
    select k.*, a.text as headline,
           '"' || b.text || '," said the speaker;' || E'\\n' || c.text || E'.\\t' || d.text
               || ' 100\\% of it. ' || a.text as body,
           jsonb_build_object(
               'id', k.key, 'topic', a.text, 'tags', jsonb_build_array('a', null, 1.50)
           ) as attributes
    from ({keys}) k
    join sentences a on a.s = abs(hashint8extended(k.key, 1)) % 10000
    join sentences b on b.s = abs(hashint8extended(k.key, 2)) % 10000
    join sentences c on c.s = abs(hashint8extended(k.key, 3)) % 10000
    join sentences d on d.s = abs(hashint8extended(k.key, 4)) % 10000
"""

_FACTORS = """
    select day, mktrf, smb, hml, rf
    from unnest($1::date[], $2::numeric[], $3::numeric[], $4::numeric[], $5::numeric[])
        as k(day, mktrf, smb, hml, rf)
"""


@dataclass(frozen=True, slots=True)
class WrdsServer:
    """One database with the archive's shapes."""

    url: str

    @classmethod
    async def create(cls, url: str) -> Self:
        """Lay the schemas out in an empty database."""
        server = cls(url)
        async with server.connection() as connection:
            for layout in ALL:
                await connection.execute(layout.ddl())
        return server

    @property
    def env(self) -> dict[str, str]:
        """The settings with which a client reaches it."""
        parts = urlsplit(self.url)
        return {
            "WRDS_HOST": parts.hostname or "127.0.0.1",
            "WRDS_PORT": str(parts.port or 5432),
            "WRDS_DATABASE": parts.path.lstrip("/"),
            "WRDS_USERNAME": unquote(parts.username or ""),
            "WRDS_PASSWORD": unquote(parts.password or ""),
            "WRDS_SSL_MODE": "disable",
            "WRDS_RATE_LIMIT_QUERIES_PER_MINUTE": "6000",
        }

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncGenerator["asyncpg.Connection[asyncpg.Record]"]:
        connection = await asyncpg.connect(self.url, timeout=10)
        try:
            yield connection
        finally:
            await connection.close(timeout=10)

    async def execute(self, statement: str) -> None:
        """Run any statement, as the archive's owner would."""
        async with self.connection() as connection:
            await connection.execute(statement)

    # --- rows --------------------------------------------------------------------------------
    async def fill_daily(
        self, start: date, end: date, *, securities: int = 20, first: int = 10_001, v2: bool = False
    ) -> int:
        """Add a row for each security and weekday; return how many."""
        keys = self._keys(start, end, first=first, last=first + securities - 1, step="1 day")
        return await self._fill(DAILY_V2 if v2 else DAILY, keys)

    async def fill_monthly(self, start: date, end: date, *, securities: int = 20) -> int:
        keys = self._keys(start, end, first=10_001, last=10_000 + securities, step="1 month")
        return await self._fill(MONTHLY, keys)

    async def fill_annual(self, start: date, end: date, *, companies: int = 20) -> int:
        keys = self._keys(start, end, first=1_001, last=1_000 + companies, step="1 year")
        return await self._fill(ANNUAL, keys)

    async def fill_quarterly(self, start: date, end: date, *, companies: int = 20) -> int:
        keys = self._keys(start, end, first=1_001, last=1_000 + companies, step="3 months")
        return await self._fill(QUARTERLY, keys)

    async def fill_texts(self, start: date, end: date, *, companies: int = 20) -> int:
        keys = self._keys(start, end, first=1_001, last=1_000 + companies, step="1 day")
        async with self.connection() as connection, connection.transaction():
            await connection.execute(_WORDS)
            status = await connection.execute(TEXTS.insert(_TEXTS.format(keys=keys)))
        return int(status.rpartition(" ")[2])

    async def load_factors(self, path: Path) -> int:
        """Replace the factors by those of a real file, daily or monthly; return how many."""
        rows = list(_factors(path))
        is_daily = rows[1][0].month == rows[0][0].month
        layout = FACTORS_DAILY if is_daily else FACTORS_MONTHLY
        async with self.connection() as connection, connection.transaction():
            await connection.execute(f"delete from {layout.store}.{layout.table}")
            await connection.execute(layout.insert(_FACTORS), *map(list, zip(*rows, strict=True)))
        return len(rows)

    async def say_modified(self, layout: Layout, at: datetime) -> None:
        """Set the comment by which the archive tells that a table is new."""
        await self.execute(
            f"comment on view {layout.schema}.{layout.table} is "
            f"'Last modified: {at:%m/%d/%Y %H:%M:%S}'"
        )

    def _keys(self, start: date, end: date, *, first: int, last: int, step: str) -> str:
        return _KEYS.format(start=start, end=end, first=first, last=last, step=step)

    async def _fill(self, layout: Layout, keys: str) -> int:
        async with self.connection() as connection:
            status = await connection.execute(layout.insert(keys))
        return int(status.rpartition(" ")[2])


def _factors(path: Path) -> Iterator[tuple[date, Decimal, Decimal, Decimal, Decimal]]:
    """Read a file of factors: percent in the file, fractions in the archive."""
    with path.open(encoding="ascii", newline="") as file:
        for row in csv.reader(file):
            if row and row[0].strip().isdigit():
                market, smb, hml, rf = (Decimal(value.strip()) / 100 for value in row[1:5])
                yield _day(row[0].strip()), market, smb, hml, rf


def _day(digits: str) -> date:
    day = digits if len(digits) == len("YYYYMMDD") else f"{digits}01"
    return date(int(day[:4]), int(day[4:6]), int(day[6:]))
