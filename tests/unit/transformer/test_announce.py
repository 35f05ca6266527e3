"""Events that polars renders are, byte by byte, those that the contract renders one by one."""

import re
from collections.abc import AsyncIterator
from typing import Any

import orjson
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from chassis.db import Transaction
from chassis.outbox import Outbox
from contracts.layers import SilverChanged, SilverOperation
from tests.unit.transformer.calls import transcripts
from transformer.domain.changes import IS_VISIBLE, VERSION, Changes, Status
from transformer.domain.frames import ENTITY
from transformer.domain.outcomes import FLAGS, SCORE, STATUS
from transformer.handlers.announce import announce
from transformer.handlers.identify import Plan

RULES = transcripts()
SCHEMA = {
    ENTITY: pl.String(),
    STATUS: pl.String(),
    VERSION: pl.Int32(),
    SCORE: pl.String(),
    FLAGS: pl.List(pl.String()),
    IS_VISIBLE: pl.Boolean(),
}
Row = tuple[str, str, int, str | None, list[str] | None, bool]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
FLAG_NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True)
ROWS = st.tuples(
    TEXTS,
    st.just(Status.LIVE.value),
    st.integers(1, 2**31 - 1),
    st.sampled_from(["0.00", "0.95", "1.00"]),
    st.lists(FLAG_NAMES, max_size=3),
    st.just(value=True),
)


class Copied:
    """Stands for the connection, and keeps what is copied into the outbox."""

    content = b""

    async def fetchval(self, _query: str, count: int) -> list[int]:
        return list(range(1, count + 1))

    async def execute(self, _query: str, *_args: Any) -> str:
        return ""

    async def copy_to_table(self, _table: str, *, source: AsyncIterator[bytes], **_: Any) -> str:
        self.content = b"".join([part async for part in source])
        return ""


async def announced(*rows: Row, plan: Plan | None = None) -> list[bytes]:
    """What the events say of themselves, as it was stored."""
    copied = Copied()
    transaction = Transaction(copied, Outbox("transformer"))  # type: ignore[arg-type]
    frame = pl.DataFrame(list(rows), schema=SCHEMA, orient="row")
    announce(transaction, RULES, Changes(frame, {}, 0), plan=plan or Plan([]), causes={})
    await transaction.flush()
    return re.findall(rb'"data":(\{.*?\})\}\0', copied.content, re.DOTALL)


def upserted(row: Row) -> bytes:
    entity_id, _, version, score, flags, _ = row
    data = SilverChanged(
        operation=SilverOperation.UPSERTED,
        entity_type="transcript",
        entity_id=entity_id,
        version=version,
        quality_score=score,
        quality_flags=tuple(flags or ()),
    )
    return data.model_dump_json(exclude_none=True).encode()


@settings(max_examples=60)
@given(rows=st.lists(ROWS, max_size=5))
async def test_a_batch_says_what_the_model_says_of_each(rows: list[Row]) -> None:
    assert await announced(*rows) == [upserted(row) for row in rows]


@pytest.mark.parametrize(
    "text", ['"', "\\", "a\nb\tc", "\x00\x1f\x7f", "\u2028\u2029", "é€😀", "</script>", "%b%d", "/"]
)
async def test_no_character_is_rendered_otherwise(text: str) -> None:
    row: Row = (text, "live", 1, "1.00", [], True)

    assert await announced(row) == [upserted(row)]


async def test_who_is_retired_says_of_whom_it_has_become_part() -> None:
    plan = Plan([], entity_of={"b": "a"})
    told = await announced(
        ("a", "live", 2, "0.95", ["no_phone"], True),
        ("b", "retired", 3, None, None, True),
        ("c", "rejected", 4, None, None, True),
        ("d", "live", 5, "1.00", [], False),
        plan=plan,
    )

    kind = {"entity_type": "transcript", "quality_flags": []}
    assert [orjson.loads(text) for text in told] == [
        kind
        | {
            "operation": "upserted",
            "entity_id": "a",
            "version": 2,
            "quality_score": "0.95",
            "quality_flags": ["no_phone"],
        },
        kind | {"operation": "retired", "entity_id": "b", "version": 3, "merged_into": "a"},
        kind | {"operation": "retired", "entity_id": "c", "version": 4},
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        ("", "live", 1, "1.00", [], True),
        ("x" * 513, "live", 1, "1.00", [], True),
        ("a", "live", 0, "1.00", [], True),
        ("a", "live", 1, "1.01", [], True),
        ("a", "live", 1, "1.00", ["no phone"], True),
    ],
)
async def test_what_the_contract_refuses_is_refused_in_a_batch(wrong: Row) -> None:
    with pytest.raises(ValidationError):
        await announced(("z", "live", 1, "1.00", [], True), wrong)
