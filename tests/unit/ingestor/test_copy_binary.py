"""Bytes by hand, from the chapter on COPY of PostgreSQL's manual."""

import uuid
from datetime import UTC, datetime

from ingestor.adapters import copy_binary

NULL = b"\xff\xff\xff\xff"


def test_a_text_is_its_length_in_bytes_and_itself() -> None:
    assert copy_binary.texts(["a", None, "é", ""]) == [
        b"\0\0\0\1a",
        NULL,
        b"\0\0\0\2\xc3\xa9",
        b"\0\0\0\0",
    ]


def test_numbers_have_the_width_of_their_type() -> None:
    assert copy_binary.integers([1, -1]) == [b"\0\0\0\4\0\0\0\1", b"\0\0\0\4\xff\xff\xff\xff"]
    assert copy_binary.bigints([258, None]) == [b"\0\0\0\10\0\0\0\0\0\0\1\2", NULL]


def test_a_moment_is_microseconds_since_2000() -> None:
    after = datetime(2000, 1, 1, 0, 0, 1, tzinfo=UTC)
    before = datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    assert copy_binary.moments([after, before]) == [
        b"\0\0\0\10" + (1_000_000).to_bytes(8),
        b"\0\0\0\10" + b"\xff" * 8,
    ]


def test_other_types_are_their_bytes() -> None:
    number = uuid.UUID(int=7)
    assert copy_binary.uuids([number, None]) == [b"\0\0\0\20" + bytes(15) + b"\7", NULL]
    assert copy_binary.booleans([True, False]) == [b"\0\0\0\1\1", b"\0\0\0\1\0"]
    assert copy_binary.document(b"{}") == b"\0\0\0\3\1{}"
    assert copy_binary.document(None) == NULL


def test_what_all_rows_have_is_encoded_once() -> None:
    assert copy_binary.texts(["a", "a"]) == b"\0\0\0\1a"
    assert copy_binary.texts([None, None]) == NULL
    assert copy_binary.texts(["a", "b", "a"]) == [b"\0\0\0\1a", b"\0\0\0\1b", b"\0\0\0\1a"]


def test_rows_begin_with_their_number_of_columns_and_keep_the_order() -> None:
    pieces = copy_binary.joined([[b"c1", b"c2"], b"d"], count=2)
    assert pieces == [b"c1d", b"c2d"]
    columns: list[copy_binary.Fields] = [b"a", b"b", pieces, b"e"]
    assert copy_binary.rows(columns, width=5, count=2) == b"\0\5abc1de\0\5abc2de"
