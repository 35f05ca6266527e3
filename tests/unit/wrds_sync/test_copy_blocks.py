"""Chunks that become blocks, in memory that is used again."""

import struct
from collections.abc import Sequence

import pytest

from wrds_sync.adapters.postgres_copy import Parser
from wrds_sync.adapters.postgres_copy_binary import BinaryParser
from wrds_sync.adapters.postgres_copy_blocks import Blocks
from wrds_sync.adapters.postgres_copy_text import BlockParser
from wrds_sync.domain.columns import ROW_MARK
from wrds_sync.domain.types import CatalogColumn, plan_column

PLANS = tuple(
    plan_column(CatalogColumn(name=name, source_type=type_, base_type=type_))
    for name, type_ in (("n", "int8"), ("day", "date"), ("s", "text"))
)


def cut_lines(data: bytearray, end: int) -> int:
    return data.rfind(b"\n", 0, end) + 1


def blocks_of(chunks: Sequence[bytes], *, size: int = 8) -> tuple[Blocks, list[bytes]]:
    blocks, found = Blocks(cut_lines, size), []
    for chunk in chunks:
        if block := blocks.add(chunk):
            found.append(bytes(block))
            blocks.give_back(block)
    return blocks, [*found, bytes(blocks.rest())]


def test_a_block_ends_with_a_row_and_the_rest_begins_the_next() -> None:
    assert blocks_of([b"one\nt", b"wo\nthr", b"ee\n"])[1] == [b"one\ntwo\n", b"three\n"]


def test_a_row_may_be_longer_than_any_buffer() -> None:
    long = b"x" * 300_000 + b"\n"

    assert b"".join(blocks_of([long[:200_000], long[200_000:], b"y\n", long])[1]) == (
        long + b"y\n" + long
    )


def test_blocks_that_were_read_lend_their_memory() -> None:
    blocks = Blocks(cut_lines, 4)
    first = blocks.add(b"one\n")
    second = blocks.add(b"two\n")
    assert first is not None
    assert second is not None
    assert first.obj is not second.obj
    blocks.give_back(first)

    blocks.add(b"three\n")  # fills what was begun before
    third = blocks.add(b"four\n")

    assert third is not None
    assert third.obj is first.obj
    assert bytes(second) == b"two\n"


def in_binary(number: int, day: int, text: bytes) -> bytes:
    fields = [ROW_MARK, struct.pack(">q", number), struct.pack(">i", day), text]
    written = (struct.pack(">i", len(field)) + field for field in fields)
    return struct.pack(">h", len(fields)) + b"".join(written)


@pytest.mark.parametrize(
    ("parser", "rows"),
    [
        (BlockParser(PLANS), b"1\t2\tone\n3\t4\ttwo\n"),
        (BinaryParser(PLANS), in_binary(1, 2, b"one") + in_binary(3, 4, b"two")),
    ],
    ids=["text", "binary"],
)
def test_what_was_read_lies_in_memory_of_its_own(parser: Parser, rows: bytes) -> None:
    buffer = bytearray(rows)

    batch = parser.parse(memoryview(buffer))
    buffer[:] = b"?" * len(buffer)

    assert batch.column("n").to_pylist() == [1, 3]
    assert batch.column("day").cast("int32").to_pylist() == [2, 4]
    assert batch.column("s").to_pylist() == ["one", "two"]
