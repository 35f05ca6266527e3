"""The demo's archive: daily Fama-French factors, published anew with another history.

What the mirror must report is counted in the two files.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Self, TypeAlias

import yaml

from penstock.demo.figures import Row
from penstock.demo.own_databases import Login, OwnDatabase

DATASET = "fama_french_daily"
START_YEAR = 2019
_VINTAGES = ("202102", "202311")
_COLUMNS = ("date", "mktrf", "smb", "hml", "rf")
_TABLE = """
create schema ff_store;
create schema ff;
create table ff_store.factors_daily (
    date date primary key,
    mktrf numeric(8, 6), smb numeric(8, 6), hml numeric(8, 6), rf numeric(8, 6), umd numeric(8, 6)
);
create view ff.factors_daily as select * from ff_store.factors_daily;
"""
_WITHOUT_MOMENTUM = """
drop view ff.factors_daily;
alter table ff_store.factors_daily drop column umd;
create view ff.factors_daily as select * from ff_store.factors_daily;
grant select on ff.factors_daily to {reader};
"""
_FOUND = "select array_agg(rows order by vintage) from wrds_sync.vintages where dataset = $1"
_TOLD = """
select array[rows_added, rows_changed, rows_removed] from wrds_sync.restatements
where dataset = $1
"""
_WAITING = "select count(*) from meta.drifts where service = 'wrds_sync' and status = 'waiting'"

Factors: TypeAlias = Mapping[date, tuple[Decimal, ...]]


@dataclass(frozen=True, slots=True)
class Archive:
    """A database that looks like the archive's, with one table."""

    database: OwnDatabase
    reader: Login
    examples: Path

    @classmethod
    async def open(cls, server_url: str, examples: Path) -> Self:
        """Lay it out, with the first vintage in it."""
        reader = Login.new("demo_researcher")
        await OwnDatabase(server_url).run(reader.create)
        database = await OwnDatabase.create(server_url, "demo_archive")
        await database.run(
            _TABLE,
            f"grant usage on schema ff to {reader.name}",
            f"grant select on ff.factors_daily to {reader.name}",
        )
        archive = cls(database, reader, examples / "factors")
        await archive.publish(_VINTAGES[0])
        return archive

    def env(self, mirror: Path) -> dict[str, str]:
        """What the syncer needs of its environment, with the mirror in a folder."""
        return {
            "WRDS_HOST": self.database.host,
            "WRDS_PORT": str(self.database.port),
            "WRDS_DATABASE": self.database.name,
            "WRDS_USERNAME": self.reader.name,
            "WRDS_PASSWORD": self.reader.password,
            "WRDS_SSL_MODE": "disable",
            # The archive's own limit; this one is ours.
            "WRDS_RATE_LIMIT_QUERIES_PER_MINUTE": "6000",
            "WRDS_SYNC_STORAGE_PATH": str(mirror),
            "WRDS_SYNC_SCHEDULE": "false",
        }

    def write_config(self, folder: Path) -> None:
        """Write `datasets.yaml`."""
        dataset = {
            "name": DATASET,
            "vendor": "fama_french",
            "frequency": "daily",
            "table": "ff.factors_daily",
            "date_column": "date",
            "start_year": START_YEAR,
            "is_daily": False,
            "rules": {"key": ["date"], "required": ["date"]},
        }
        document = {"version": 1, "datasets": [dataset]}
        (folder / "datasets.yaml").write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")

    async def publish(self, vintage: str) -> None:
        """Replace the whole table, as the archive does with every vintage."""
        rows = [(day, *values) for day, values in self._read(vintage).items()]
        async with self.database.connection() as connection, connection.transaction():
            await connection.execute("delete from ff_store.factors_daily")
            await connection.copy_records_to_table(
                "factors_daily", schema_name="ff_store", records=rows, columns=_COLUMNS
            )
            await connection.execute(
                f"comment on view ff.factors_daily is 'Last modified: {vintage}'"
            )

    async def restate(self) -> None:
        """Publish the later vintage."""
        await self.publish(_VINTAGES[1])

    async def drop_a_column(self) -> None:
        """Take a column away that readers know."""
        await self.database.run(_WITHOUT_MOMENTUM.format(reader=self.reader.name))

    async def figures(self, hub: OwnDatabase) -> Sequence[Row]:
        """Return what the mirror must have told the hub, and what it has."""
        before, after = (self._read(vintage) for vintage in _VINTAGES)
        changed = sum(1 for day in before if before[day] != after[day])
        found = await hub.value(_FOUND, DATASET)
        told = await hub.value(_TOLD, DATASET)
        waiting = await hub.value(_WAITING)
        return [
            Row("mirror: days in each vintage", _list([len(before), len(after)]), _list(found)),
            Row(
                "mirror: days added / restated / removed",
                _list([len(after.keys() - before.keys()), changed, 0]),
                _list(told),
            ),
            Row("schema changes that wait for a decision", "1", str(waiting)),
        ]

    def _read(self, vintage: str) -> Factors:
        path = self.examples / f"F-F_Research_Data_Factors_daily.{vintage}.CSV"
        return dict(_rows(path))


def _rows(path: Path) -> Iterator[tuple[date, tuple[Decimal, ...]]]:
    """Yield the days of a file as published: percents, with text around the table."""
    with path.open(encoding="ascii", newline="") as file:
        for row in csv.reader(file):
            if row and row[0].strip().isdigit():
                day = date.fromisoformat(row[0].strip())
                yield day, tuple(Decimal(value.strip()) / 100 for value in row[1:5])


def _list(numbers: Sequence[int] | None) -> str:
    return " / ".join(f"{number:,}" for number in numbers or ()) or "-"
