"""Sources, as the scanner's tables and the ledger tell them."""

import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from chassis.db import Connection, Database
from console.adapters.run_lines import COLUMNS, recent_runs, run_line
from console.domain.paging import PAGE_SIZE, Page, decode_cursor, page_of
from console.ports.runs import RunError
from console.ports.sources import (
    MANY,
    HeldDeletion,
    HeldFilter,
    ScanLine,
    SourceDetail,
    SourceLine,
)

_SERVICE, _KIND = "scanner", "scan"
_SCANS = 50
_RUNS = 50
_ERRORS = 50
_PROBLEMS = 20
_REASONS = 20

# One step of the index a source, however many runs there are.
_NAMES = """
with recursive names as (
    (select target from meta.runs where service = 'scanner' and kind = 'scan'
     order by target limit 1)
    union all
    select (select r.target from meta.runs r
            where r.service = 'scanner' and r.kind = 'scan' and r.target > n.target
            order by r.target limit 1)
    from names n where n.target is not null
)
select target from names where target is not null limit 1000
"""

_RUNS_OF = f"""
select {COLUMNS} from unnest($1::text[]) as t (name) cross join lateral (
    select * from meta.runs r
    where r.service = 'scanner' and r.kind = 'scan' and r.target = t.name
    order by r.queued_at desc limit 1) r
"""  # noqa: S608 - the parts are constants of this module

_SLOTS = """
select t.name, array_agg(split_part(r.command_id, '/', 4)) as slots
from unnest($1::text[]) as t (name) cross join lateral (
    select command_id from meta.runs r
    where r.service = 'scanner' and r.kind = 'scan' and r.target = t.name
      and starts_with(r.command_id, 'schedule/scan/')
    order by r.queued_at desc limit 6) r
group by t.name
"""

_SCAN = """
s.scan_id::text as scan_id, s.mode, s.prefix, s.outcome, s.started_at, s.finished_at,
s.files as seen, s.added, s.modified, s.deleted, s.held, jsonb_array_length(s.failures) as failed,
jsonb_path_query_array(s.failures, '$[0 to 19]') as problems
"""

_POLL = """
p.run_id::text as scan_id, p.mode, '' as prefix, p.outcome, p.started_at, p.finished_at,
p.records as seen, p.new as added, p.changed as modified, p.deleted, p.held, p.failed,
jsonb_path_query_array(p.gaps, '$[0 to 19]') as problems
"""

_LAST = f"""
select t.name, 'files' as kind, l.* from unnest($1::text[]) as t (name) cross join lateral (
    select {_SCAN} from scanner.scans s where s.source = t.name
    order by s.started_at desc limit 1) l
union all
select t.name, 'records' as kind, l.* from unnest($1::text[]) as t (name) cross join lateral (
    select {_POLL} from scanner.polls p where p.source = t.name
    order by p.started_at desc limit 1) l
"""  # noqa: S608 - as above

_SEEN = """
select t.name, l.* from unnest($1::text[]) as t (name) cross join lateral (
    select s.files as seen, s.finished_at as seen_at from scanner.scans s
    where s.source = t.name and s.mode = 'full' and s.prefix = '' and s.outcome = 'complete'
    order by s.started_at desc limit 1) l
union all
select t.name, l.* from unnest($1::text[]) as t (name) cross join lateral (
    select p.records as seen, p.finished_at as seen_at from scanner.polls p
    where p.source = t.name and p.mode = 'full' and p.outcome in ('complete', 'partial')
    order by p.started_at desc limit 1) l
"""

_HELD_COUNTS = f"""
select t.name, (
    select count(*) from (
        select from scanner.held_deletions h where h.source = t.name limit {MANY + 1}) few) as held
from unnest($1::text[]) as t (name)
"""  # noqa: S608 - as above

_SCANS_OF = f"""
(select {_SCAN} from scanner.scans s where s.source = $1 order by s.started_at desc limit {_SCANS})
union all
(select {_POLL} from scanner.polls p where p.source = $1 order by p.started_at desc limit {_SCANS})
"""  # noqa: S608 - as above

# Of what the whole scanner noted lately: no index leads to the errors of one source.
_ERRORS_OF = """
select at, category, error_class, message, source, external_id from (
    select occurred_at as at, category, error_class, message, source, external_id
    from meta.record_errors
    where service = 'scanner' and occurred_at > clock_timestamp() - interval '7 days'
    order by occurred_at desc limit 5000) recent
where source = $1 order by at desc limit $2
"""

_HELD = """
select path, reason, held_at, scan_id::text as scan_id
from scanner.held_deletions
where source = $1 and ($2::text is null or path > $2 collate "C")
order by path limit $3
"""

_HELD_REASONS = f"""
select reason, count(*) as held from (
    select reason from scanner.held_deletions where source = $1 limit {MANY}) few
group by reason order by 2 desc limit {_REASONS}
"""  # noqa: S608 - as above


class PostgresSources:
    """Sources, their scans and polls."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self) -> Sequence[SourceLine]:
        """Return every source that was ever looked at, by name."""
        async with self._database.connection() as connection:
            names = [row["target"] for row in await connection.fetch(_NAMES)]
            return await _lines(connection, names)

    async def find(self, name: str) -> SourceDetail | None:
        """Return a source."""
        async with self._database.connection() as connection:
            runs = await recent_runs(connection, _SERVICE, [_KIND], targets=[name], limit=_RUNS)
            if not runs:
                return None
            (line,) = await _lines(connection, [name])
            scans = [_scan(row) for row in await connection.fetch(_SCANS_OF, name)]
            return SourceDetail(
                line=line,
                scans=sorted(scans, key=lambda scan: scan.started_at, reverse=True)[:_SCANS],
                runs=runs,
                errors=[
                    RunError(**row) for row in await connection.fetch(_ERRORS_OF, name, _ERRORS)
                ],
                high_water=await connection.fetchval(
                    "select mark from scanner.high_waters where source = $1", name
                ),
            )

    async def held(self, name: str, wanted: HeldFilter) -> Page[HeldDeletion]:
        """Return deletions that wait, by path."""
        place = decode_cursor(wanted.cursor, parts=1)
        async with self._database.connection() as connection:
            rows = await connection.fetch(_HELD, name, place[0] if place else None, PAGE_SIZE + 1)
        return page_of([HeldDeletion(**row) for row in rows], lambda item: (item.path,))

    async def held_reasons(self, name: str) -> Mapping[str, int]:
        """Return why deletions wait, and how many each."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_HELD_REASONS, name)
        return {row["reason"]: row["held"] for row in rows}


async def _lines(connection: Connection, names: Sequence[str]) -> list[SourceLine]:
    async def by_name(query: str) -> dict[str, Any]:
        return {row["name"]: row for row in await connection.fetch(query, names)}

    runs = {row["target"]: run_line(row) for row in await connection.fetch(_RUNS_OF, names)}
    last, seen, held = await by_name(_LAST), await by_name(_SEEN), await by_name(_HELD_COUNTS)
    slots = await by_name(_SLOTS)
    lines = []
    for name in names:
        interval, next_at = next_slot(slots[name]["slots"] if name in slots else [])
        lines.append(
            SourceLine(
                name=name,
                kind=last[name]["kind"] if name in last else "files",
                last=_scan(last[name]) if name in last else None,
                seen=seen[name]["seen"] if name in seen else None,
                seen_at=seen[name]["seen_at"] if name in seen else None,
                held=held[name]["held"],
                run=runs.get(name),
                interval=interval,
                next_at=next_at,
            )
        )
    return lines


def next_slot(slots: Sequence[str]) -> tuple[timedelta | None, datetime | None]:
    """Return how far apart a schedule's times are, and the one after the last.

    The schedule names its runs by their nominal time; a run that came on top of another is left
    out, so the smallest distance counts.
    """
    moments = sorted({moment for text in slots if (moment := _moment(text)) is not None})
    gaps = [after - before for before, after in itertools.pairwise(moments)]
    if not gaps:
        return None, None
    return min(gaps), moments[-1] + min(gaps)


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None


def _scan(row: Any) -> ScanLine:
    return ScanLine(**{name: row[name] for name in ScanLine.__slots__})
