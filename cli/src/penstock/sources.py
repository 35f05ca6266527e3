"""What `penstock sources` tells: from the console where one is named, or else from the database.

Both ways give the same objects, so that a program reads one form.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

import asyncpg

from chassis.db import translated_errors
from chassis.errors import PermanentError
from chassis.settings import DatabaseSettings
from contracts.errors import ErrorCategory
from penstock.console_api import ConsoleApi

_SHOWN_SCANS = 10
_SHOWN_ERRORS = 20

# A look at files is a scan, a look at records a poll; the words are those of the console.
_LOOKS = """
select source, 'files' as kind, mode, outcome, started_at, finished_at,
       files as seen, added, modified, deleted, held, jsonb_array_length(failures) as failed
from scanner.scans
union all
select source, 'records', mode, outcome, started_at, finished_at,
       records, new, changed, deleted, held, failed
from scanner.polls
"""

_LIST = f"""
with runs as (
    select distinct on (target) target as name, status from meta.runs
    where service = 'scanner' and kind = 'scan' order by target, queued_at desc)
select runs.name, coalesce(last.kind, 'files') as kind, runs.status as run_status,
       (select count(*) from scanner.held_deletions h where h.source = runs.name) as waiting,
       last.mode, last.outcome, last.started_at, last.finished_at, last.seen, last.added,
       last.modified, last.deleted, last.held, last.failed
from runs left join lateral (
    select * from ({_LOOKS}) looks where looks.source = runs.name
    order by looks.started_at desc limit 1) last on true
order by runs.name
"""  # noqa: S608 - the parts are constants of this module

_SCANS = f"select * from ({_LOOKS}) l where source = $1 order by started_at desc limit $2"  # noqa: S608

_ERRORS = """
select occurred_at as at, category, message, external_id from meta.record_errors
where service = 'scanner' and source = $1 and occurred_at > clock_timestamp() - interval '7 days'
order by occurred_at desc limit $2
"""


class UnknownSourceError(PermanentError):
    """There is no such source, or it was never looked at."""

    default_category = ErrorCategory.CONTENT_VALIDATION


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at a source."""

    mode: str
    outcome: str | None
    """None while it goes on."""

    started_at: datetime
    finished_at: datetime | None
    seen: int
    added: int
    modified: int
    deleted: int
    held: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A source and the last look at it."""

    name: str
    kind: str
    run_status: str | None
    """Of the newest run."""

    held: int
    """Deletions that wait for a person."""

    last: Look | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceError:
    """A record of a source that could not be read."""

    at: datetime
    category: str
    message: str
    external_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceDetail:
    """A source with its last looks and errors."""

    source: Source
    looks: Sequence[Look]
    errors: Sequence[SourceError]


def ask_sources(api: ConsoleApi) -> list[Source]:
    """Return every source as the console tells it."""
    return [_told(item) for item in api.get("/sources")]


def ask_source(api: ConsoleApi, name: str) -> SourceDetail:
    """Return a source as the console tells it.

    Raises:
        UnknownSourceError: it knows none of that name.
    """
    _require(name, [source.name for source in ask_sources(api)])
    found = api.get(f"/sources/{quote(name, safe='')}")
    return SourceDetail(
        source=_told(found["line"]),
        looks=[_look(item) for item in found["scans"][:_SHOWN_SCANS]],
        errors=[_error(item) for item in found["errors"][:_SHOWN_ERRORS]],
    )


def read_sources(database: DatabaseSettings) -> list[Source]:
    """Return every source as the database tells it."""
    return asyncio.run(_read_sources(database))


def read_source(database: DatabaseSettings, name: str) -> SourceDetail:
    """Return a source as the database tells it.

    Raises:
        UnknownSourceError: it knows none of that name.
    """
    return asyncio.run(_read_source(database, name))


async def _read_sources(database: DatabaseSettings) -> list[Source]:
    (rows,) = await _fetch(database, (_LIST,))
    return [_stored(row) for row in rows]


async def _read_source(database: DatabaseSettings, name: str) -> SourceDetail:
    lines, looks, errors = await _fetch(
        database, (_LIST,), (_SCANS, name, _SHOWN_SCANS), (_ERRORS, name, _SHOWN_ERRORS)
    )
    sources = {row["name"]: _stored(row) for row in lines}
    _require(name, list(sources))
    return SourceDetail(
        source=sources[name],
        looks=[_look(row) for row in looks],
        errors=[_error(row) for row in errors],
    )


async def _fetch(database: DatabaseSettings, *queries: tuple[Any, ...]) -> list[list[Any]]:
    with translated_errors():
        connection = await asyncpg.connect(database.url.get_secret_value(), timeout=30)
        try:
            return [list(await connection.fetch(*query, timeout=60)) for query in queries]
        finally:
            await connection.close(timeout=10)


def _told(item: Mapping[str, Any]) -> Source:
    return Source(
        name=item["name"],
        kind=item["kind"],
        run_status=item["run"]["status"] if item["run"] else None,
        held=item["held"],
        last=_look(item["last"]) if item["last"] else None,
    )


def _stored(row: Mapping[str, Any]) -> Source:
    return Source(
        name=row["name"],
        kind=row["kind"],
        run_status=row["run_status"],
        held=row["waiting"],
        last=_look(row) if row["started_at"] else None,
    )


def _look(item: Mapping[str, Any]) -> Look:
    facts = {name: item[name] for name in Look.__slots__}
    moments = {name: _moment(facts[name]) for name in ("started_at", "finished_at")}
    return Look(**facts | moments)


def _error(item: Mapping[str, Any]) -> SourceError:
    facts = {name: item[name] for name in SourceError.__slots__}
    return SourceError(**facts | {"at": _moment(item["at"])})


def _moment(value: Any) -> Any:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def _require(name: str, known: Sequence[str]) -> None:
    if name not in known:
        there = ", ".join(known) or "none was looked at yet"
        raise UnknownSourceError(f"there is no source `{name}`; there are: {there}")
