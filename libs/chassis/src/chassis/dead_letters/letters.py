"""Reads `meta.dead_letters`: what the command line, the console and replays look at."""

import uuid
from datetime import datetime
from typing import Any

from chassis.bus.raw_headers import unpack
from chassis.db import Connection
from chassis.dead_letters.model import Letter, LetterFilter, LetterGroup

WHERE = """
    ($1::text is null or consumer = $1)
    and ($2::text is null or topic = $2)
    and ($3::text is null or status = $3)
    and ($4::uuid[] is null or id = any($4))
    and ($5::text[] is null or event_id = any($5))
    and ($6::text is null or category = $6)
    and ($7::text is null or error_class = $7)
    and ($8::timestamptz is null or failed_at >= $8)
    and ($9::timestamptz is null or failed_at < $9)
    and ($10::uuid is null or drift_id = $10)
"""
"""The condition of a `LetterFilter`."""


_COLUMNS = ", ".join('"offset"' if name == "offset" else name for name in Letter.__slots__)

_BODIES = {
    "value": "null::bytea as value",
    "original_headers": """'{"base64": []}'::jsonb as original_headers""",
}
_COLUMNS_OF_A_LIST = ", ".join(_BODIES.get(name, name) for name in _COLUMNS.split(", "))
"""Bodies are a quarter of a megabyte each, and lists have thousands of lines."""


async def find_letters(
    connection: Connection,
    wanted: LetterFilter,
    *,
    limit: int,
    before: tuple[datetime, uuid.UUID] | None = None,
) -> list[Letter]:
    """Return the newest letters, without their bodies; `before` is the time and id of the last one
    seen.
    """
    rows = await connection.fetch(_FIND, *wanted.arguments(), *(before or (None, None)), limit)
    return [to_letter(row) for row in rows]


async def get_letter(connection: Connection, letter_id: uuid.UUID) -> Letter | None:
    """Return one letter with all its bytes."""
    row = await connection.fetchrow(_GET, letter_id)
    return None if row is None else to_letter(row)


async def count_letters(connection: Connection, wanted: LetterFilter) -> int:
    """Return how many letters there are."""
    return await connection.fetchval(_COUNT, *wanted.arguments()) or 0


async def group_letters(connection: Connection, wanted: LetterFilter) -> list[LetterGroup]:
    """Return letters by consumer, topic and kind of error, the largest group first."""
    rows = await connection.fetch(_GROUP, *wanted.arguments())
    return [LetterGroup(**dict(row)) for row in rows]


def to_letter(row: Any) -> Letter:
    """Return the letter that a row with all columns is."""
    fields = dict(row)
    return Letter(**fields | {"original_headers": unpack(fields["original_headers"])})


# The parts are constants of this module.
_FIND = f"""
select {_COLUMNS_OF_A_LIST} from meta.dead_letters
where {WHERE} and ($11::timestamptz is null or (failed_at, id) < ($11, $12::uuid))
order by failed_at desc, id desc
limit $13
"""  # noqa: S608

_GET = f"select {_COLUMNS} from meta.dead_letters where id = $1"  # noqa: S608

_COUNT = f"select count(*) from meta.dead_letters where {WHERE}"  # noqa: S608

_GROUP = f"""
select consumer, topic, category, error_class, count(*) as count,
       min(failed_at) as oldest_at, max(failed_at) as newest_at,
       substr(max((to_char(failed_at, 'YYYYMMDDHH24MISSUS') || message) collate "C"), 21) as message
from meta.dead_letters
where {WHERE}
group by consumer, topic, category, error_class
order by count(*) desc, consumer, topic, category, error_class
"""  # noqa: S608

NEXT_OPEN = f"""
select {_COLUMNS} from meta.dead_letters
where {WHERE} and (partition, "offset", id) > ($11, $12, $13::uuid)
order by partition, "offset", id
limit $14
for update
"""  # noqa: S608
"""The next letters of a topic in the order of its log, locked until they are decided."""

DECIDE = """
update meta.dead_letters
set status = $2, decided_at = $3, decided_by = $4, decision_reason = $5, run_id = $6::uuid
where id = any($1::uuid[])
"""
