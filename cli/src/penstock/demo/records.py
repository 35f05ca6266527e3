"""The demo's records: people, departments, companies and prices, served by the sample API.

Like the ledger of the files, it says what must come of them, counted in the inputs by other means
than the hub's.
"""

import asyncio
import csv
import io
import json
import os
import signal
import sys
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import asyncpg
import yaml

from penstock.demo.figures import Row
from penstock.demo.scenario import DemoError
from penstock.stack import exec_child

KEYS = {
    "FMP_API_KEY": "demo-key",
    "TDX_API_TOKEN": "demo-token",
    "UMICH_API_CLIENT_ID": "demo-client",
    "UMICH_API_CLIENT_SECRET": "demo-secret",
}
"""What the sample API accepts: made up, and no secrets."""

FLOW = "daily-market"
_PRESETS = ("teamdynamix.yaml", "umich-api.yaml", "daily-market.yaml")
_START_SECONDS = 20.0
_ONE_SCAN_SECONDS = 86_400

_SEEN = """
select
    (select count(*) from bronze.heads
     where entity_type = 'user' and not is_deleted) as people_told,
    (select count(distinct external_id) from bronze.raw_entities
     where entity_type = 'user' and derived_from is not null) as completed,
    (select count(*) from silver.users) as people,
    (select count(*) from silver.departments) as departments,
    (select count(*) from silver.companies) as companies,
    (select count(*) from silver.stock_prices) as prices,
    (select count(*) from silver.dcf_valuations) as valuations
"""

_DISPUTED = """
select u.uniqname, p.field, to_jsonb(u) ->> p.field as value, p.source, p.losers
from silver.provenance p
join silver.users u on u.entity_id = p.entity_id
where p.entity_type = 'user' and p.field in ('first_name', 'last_name', 'title', 'email')
  and exists (
      select 1 from jsonb_array_elements(p.losers) as loser
      where lower(loser ->> 'value') <> lower(to_jsonb(u) ->> p.field))
order by u.uniqname, p.field
limit $1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFigures:
    """What the demo counts of records."""

    people_told: int = 0
    """Records about people, in all sources."""

    completed: int = 0
    """Of them, completed by a call of their own."""

    people: int = 0
    """Rows of `silver.users`."""

    departments: int = 0
    companies: int = 0
    prices: int = 0
    valuations: int = 0


class RecordInputs:
    """The example records, and what they imply."""

    def __init__(
        self, people: list[dict[str, Any]], jobs: list[dict[str, Any]], folder: Path
    ) -> None:
        # The preset asks for active people only.
        self._people = [person for person in people if person["IsActive"]]
        self._jobs = jobs
        self._folder = folder

    @classmethod
    def load(cls, examples: Path) -> Self:
        """Read the files that the sample API serves."""
        directory = examples / "directory" / "three_sources_febrl"
        lists = [
            json.loads((directory / name).read_text("utf-8"))
            for name in ("tdx_people.json", "umapi_department_employees.json")
        ]
        people, jobs = lists
        return cls(people, jobs, examples)

    def figures(self, valuations: int) -> RecordFigures:
        """Return what must have come of them, given what the API says of valuations."""
        return RecordFigures(
            people_told=len(self._people) + len(self._jobs),
            completed=len(self._people),
            people=self._distinct_people(),
            departments=len({job["DepartmentId"] for job in self._jobs}),
            companies=len(self.tickers()),
            prices=sum(len(self._series(ticker)) for ticker in self.tickers()),
            valuations=valuations,
        )

    def tickers(self) -> list[str]:
        """Return the shares of the holdings list: no cash, no rights."""
        text = (self._folder / "market" / "holdings.csv").read_text("utf-8-sig")
        _, _, table = text.partition("\n\xa0\n")
        rows = csv.DictReader(io.StringIO(table))
        return [
            row["Ticker"] for row in rows if row["Asset Class"] == "Equity" and row["Ticker"] != "-"
        ]

    def _series(self, ticker: str) -> list[Any]:
        path = self._folder / "market" / "fmp_v3" / f"historical-price-full_{ticker}.json"
        found: list[Any] = json.loads(path.read_text("utf-8"))["historical"]
        return found

    def _distinct_people(self) -> int:
        """Count people by what names them: a uniqname or an employee number that they share."""
        person_of: dict[str, set[str]] = {}
        pairs = [(row["AlternateID"], row["ExternalID"]) for row in self._people]
        pairs += [(row["UniqName"], row["EmplId"]) for row in self._jobs]
        for uniqname, number in pairs:
            names = {f"name {uniqname.strip().lower()}", f"number {number}"}
            merged = names.union(*(person_of.get(name, set()) for name in names))
            person_of |= dict.fromkeys(merged, merged)
        return len({id(names) for names in person_of.values()})


def write_record_sources(presets: Path, folder: Path, *, api: str, market: Path) -> None:
    """Write the sources of the demo's records: the presets, on the sample API."""
    target = folder / "presets"
    target.mkdir(parents=True, exist_ok=True)
    for name in _PRESETS:
        document = yaml.safe_load((presets / name).read_text("utf-8"))
        for source in document["sources"]:
            _turn_to_sample(source, api=api, market=market)
        (target / name).write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
    sources = folder / "sources.yaml"
    document = yaml.safe_load(sources.read_text("utf-8"))
    document["include"] = [f"presets/{name}" for name in _PRESETS]
    sources.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")


def _turn_to_sample(source: dict[str, Any], *, api: str, market: Path) -> None:
    records = source["records"]
    if records["kind"] == "file-list":
        records["share"] = {"kind": "local", "root": str(market)}
        records["path"] = "holdings.csv"
        records.pop("clean_list", None)
        source["scan"]["band"]["min_records"] = 1
    else:
        section = dict(records["api"])
        section.pop("budget", None)  # of the real providers' plans
        path = {"tdx": "/TDWebApi", "umich_api": "/um/bf"}.get(source["system"], "")
        section["base_url"] = f"{api}{path}"
        if section["auth"]["kind"] == "oauth2":
            section["auth"] = {**section["auth"], "token_url": f"{api}/um/oauth2/token"}
        records["api"] = section
    if "days" in records:
        # The series of the examples have ended.
        records["days"] |= {"start": "2023-01-01", "today": "2023-11-09"}
    source["scan"]["interval_seconds"] = _ONE_SCAN_SECONDS


class SampleApiProcess:
    """The sample API as a process; the kernel kills it when the demo dies."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self._process = process
        self.url = url

    @classmethod
    async def start(cls, examples: Path, log: Path) -> Self:
        """Start it, and wait until it listens.

        Raises:
            DemoError: it did not; the message names its log.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", exec_child.__file__),
                *(str(os.getpid()), str(int(signal.SIGKILL)), "-", "/"),
                *(sys.executable, "-m", "penstock.sample_api", "--data", str(examples)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=output,
                start_new_session=True,
            )
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            line = await asyncio.wait_for(process.stdout.readline(), _START_SECONDS)
            url = json.loads(line)["url"]
        except (TimeoutError, ValueError, KeyError) as error:
            raise DemoError(f"The sample API did not start; look at {log}.") from error
        return cls(process, url)

    def count_valuations(self) -> int:
        """Return of how many tickers the API has a valuation; it does not cover all."""
        address = f"{self.url}/stable/dcf-bulk?apikey={KEYS['FMP_API_KEY']}"
        with urllib.request.urlopen(address, timeout=_START_SECONDS) as answer:  # noqa: S310 - our own process
            return len(answer.read().decode().splitlines()) - 1

    async def stop(self) -> None:
        """End it."""
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()


async def count_records(connection: "asyncpg.Connection[asyncpg.Record]") -> RecordFigures:
    """Return what the hub shows of records."""
    row = await connection.fetchrow(_SEEN, timeout=30)
    assert row is not None  # noqa: S101 - a query of counts has one row
    return RecordFigures(**row)


async def disputed_values(
    connection: "asyncpg.Connection[asyncpg.Record]", *, limit: int = 4
) -> list[str]:
    """Return sentences about values on which the sources disagree."""
    rows = await connection.fetch(_DISPUTED, limit, timeout=30)
    return [_sentence(row) for row in rows]


def _sentence(row: "asyncpg.Record") -> str:
    losers = [f"{item['value']!r} ({item['source']})" for item in json.loads(row["losers"])]
    against = ", ".join(losers)
    return (
        f"{row['uniqname']}.{row['field']} = {row['value']!r} ({row['source']}), against {against}"
    )


def compare_records(expected: RecordFigures, seen: RecordFigures) -> Sequence[Row]:
    """Return the table of records."""
    names = (
        ("records about people, in two sources", "people_told"),
        ("of them, completed by a call of their own", "completed"),
        ("silver people", "people"),
        ("silver departments", "departments"),
        ("silver companies", "companies"),
        ("silver prices (a day each)", "prices"),
        ("silver valuations", "valuations"),
    )
    return [
        Row(name, f"{getattr(expected, field):,}", f"{getattr(seen, field):,}")
        for name, field in names
    ]
