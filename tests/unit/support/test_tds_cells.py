"""The scripted server writes and reads values as MS-TDS says."""

import pytest

from tests.support.tds.cells import (
    Bytes,
    SqlType,
    Value,
    read_type,
    read_value,
    write_type,
    write_value,
)

_VALUES: list[tuple[str, Value]] = [
    ("tinyint", 255),
    ("smallint", -32768),
    ("int", -1),
    ("bigint", 2**62),
    ("bit", True),
    ("real", 1.5),
    ("float", -2.25),
    ("decimal(38,10)", "-1234567890123456789012345678.0123456789"),
    ("numeric(9,2)", "0.10"),
    ("money", "-1.2345"),
    ("date", "0001-01-01"),
    ("time(7)", "23:59:59.9999999"),
    ("time(0)", "13:14:15"),
    ("datetime", "2024-02-29 13:14:15.123"),
    ("smalldatetime", "2024-02-29 13:14:00.000"),
    ("datetime2(7)", "9999-12-31 23:59:59.9999999"),
    ("datetimeoffset(3)", "2024-02-29 01:14:15.123 +05:45"),
    ("datetimeoffset(0)", "2024-02-29 23:14:15 -08:00"),
    ("uniqueidentifier", "6f9619ff-8b86-d011-b42d-00c04fc964ff"),
    ("char(3)", "abc"),
    ("varchar(20)", "é"),
    ("nvarchar(50)", "Zoë"),
    ("nvarchar(max)", "x" * 10_000),
    ("varbinary(8)", "0x00ff"),
    ("varbinary(max)", "0x"),
    ("xml", "<a/>"),
]


@pytest.mark.parametrize(("kind", "value"), _VALUES)
def test_a_value_is_read_as_it_was_written(kind: str, value: Value) -> None:
    parsed = SqlType.parse(kind)
    data = Bytes(write_type(parsed) + write_value(parsed, value) + write_value(parsed, None))
    found = read_type(data)
    assert str(found) == kind
    assert read_value(found, data) == value
    assert read_value(found, data) is None
    assert data.is_empty


@pytest.mark.parametrize(
    ("kind", "value", "encoded"),
    [
        # Examples by hand, so that writing and reading are not wrong alike.
        ("int", 1, "04 01000000"),
        ("money", "1.0000", "08 00000000 10270000"),
        ("decimal(9,2)", "-1.23", "05 00 7b000000"),
        ("date", "0001-01-02", "03 010000"),
        ("datetime", "1900-01-02 00:00:01.000", "08 01000000 2c010000"),
        ("nvarchar(5)", "A", "0200 4100"),
        ("time(0)", "00:00:01", "03 010000"),
    ],
)
def test_the_bytes_are_those_of_the_protocol(kind: str, value: Value, encoded: str) -> None:
    assert write_value(SqlType.parse(kind), value) == bytes.fromhex(encoded)


def test_a_message_that_ends_too_early_is_an_error() -> None:
    with pytest.raises(ValueError, match="2 bytes too early"):
        Bytes(b"ab").take(4)
