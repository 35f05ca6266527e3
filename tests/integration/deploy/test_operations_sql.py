"""The statements that the pages on operation tell people to type do what the pages say."""

import re

import asyncpg
import pytest

from tests.support.paths import PROJECT

_FENCE = re.compile(r"^ *```sql\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`(select [^`]+)`", re.DOTALL)


def _statements(page: str) -> list[str]:
    text = (PROJECT / "docs/operations" / page).read_text("utf-8")
    return [*_FENCE.findall(text), *_SPAN.findall(text)]


@pytest.mark.parametrize("page", ["backup-restore.md", "disaster-recovery.md", "scale-out.md"])
async def test_every_statement_of_a_page_can_be_executed(page: str, database_url: str) -> None:
    statements = _statements(page)
    connection = await asyncpg.connect(database_url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
    assert statements


async def test_after_a_restore_events_are_newer_than_all_that_were_lost(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        before = await connection.fetchval("select nextval('meta.outbox_id_seq')")
        await connection.execute(_statements("backup-restore.md")[0])
        after = await connection.fetchval("select nextval('meta.outbox_id_seq')")
    finally:
        await connection.close()

    assert after - before > 1_000_000_000
