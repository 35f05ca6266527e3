"""Every type through a real server, copied to Parquet, against values written by hand.

Each case is one that a widely used tool gets wrong without a word: see docs/benchmarks.md.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.wrds_server import WrdsServer
from tests.support.wrds_server_client import opened
from wrds_sync.adapters import wrds_client
from wrds_sync.domain.tables import PartitionRange, Selection, TableRef
from wrds_sync.domain.types import ColumnPlan
from wrds_sync.errors import UnstorableValueError

ALL_ROWS = PartitionRange(year=0)
TORTURE = TableRef("public", "torture")

# column type, SQL value, stored type, value in Python
CASES: tuple[tuple[str, str, str, Any], ...] = (
    ("boolean", "true", "bool", True),
    ("smallint", "-32768", "int16", -32768),
    ("integer", "2147483647", "int32", 2147483647),
    ("bigint", "-9223372036854775808", "int64", -9223372036854775808),
    ("real", "0.1", "float", 0.10000000149011612),
    ("double precision", "0.1", "double", 0.1),
    ("double precision", "1.0/3", "double", 0.3333333333333333),
    ("double precision", "'5e-324'", "double", 5e-324),
    ("double precision", "'-Infinity'", "double", float("-inf")),
    ("numeric(11,5)", "-0.00001", "decimal128(11, 5)", Decimal("-0.00001")),
    ("numeric(10,6)", "9999.999999", "decimal128(10, 6)", Decimal("9999.999999")),
    (
        "numeric(38,10)",
        "1234567890123456789012345678.0123456789",
        "decimal128(38, 10)",
        Decimal("1234567890123456789012345678.0123456789"),
    ),
    ("numeric(50,1)", "1e48", "decimal256(50, 1)", Decimal("1" + "0" * 48 + ".0")),
    (
        "numeric",
        "3.141592653589793238462643383279502884197",
        "string",
        "3.141592653589793238462643383279502884197",
    ),
    ("numeric(3,-2)", "12345", "decimal128(5, 0)", Decimal(12300)),
    ("date", "'1925-12-31'", "date32[day]", date(1925, 12, 31)),
    ("time", "'23:59:59.999999'", "time64[us]", time(23, 59, 59, 999999)),
    (
        "timestamp",
        "'2024-02-29 23:59:59.999999'",
        "timestamp[us]",
        datetime(2024, 2, 29, 23, 59, 59, 999999),  # noqa: DTZ001 - has no zone at the source
    ),
    (
        "timestamptz",
        "'2024-03-10 02:30:00 America/New_York'",
        "timestamp[us, tz=UTC]",
        datetime(2024, 3, 10, 7, 30, tzinfo=UTC),
    ),
    ("varchar(8)", "'00012345'", "string", "00012345"),
    ("char(5)", "'ab'", "string", "ab   "),
    ("text", "''", "string", ""),
    ("text", "E'tab\\tquote\"back\\\\slash\\r\\nline'", "string", 'tab\tquote"back\\slash\r\nline'),
    ("text", "'\\N'", "string", "\\N"),
    ("text", "E'\\x0b'", "string", "\v"),
    ("text", "U&'\\FEFFmark'", "string", "\ufeffmark"),
    ("json", "'null'", "string", "null"),
    ("jsonb", '\'{"a": [1, null, "x\\\\n"]}\'', "string", '{"a": [1, null, "x\\\\n"]}'),
    (
        "uuid",
        "'df2a98a5-1517-a4d2-f424-ea5dc35a5a5b'",
        "string",
        "df2a98a5-1517-a4d2-f424-ea5dc35a5a5b",
    ),
    ("bytea", "'\\x00ff5c'", "binary", b"\x00\xff\x5c"),
    ("bytea", "''", "binary", b""),
    ("interval", "'1 year 2 days 03:04:05.6'", "string", "1 year 2 days 03:04:05.6"),
    ("integer[]", "'{1,NULL,3}'", "string", "{1,NULL,3}"),
    ("text[]", "array['a,b', 'c\"d', null]", "string", '{"a,b","c\\"d",NULL}'),
    ("timetz", "'12:00:00+05:30'", "string", "12:00:00+05:30"),
    ("mood", "'so so'", "string", "so so"),
    ("price", "12.5", "decimal128(12, 5)", Decimal("12.50000")),
    ("pair", "row(1, 'x')::pair", "string", "(1,x)"),
)

TEXT_ONLY = ("bytea", "integer[]", "text[]", "mood", "pair")
"""Types without a binary form that is known to be exact."""


@pytest.fixture
async def server(empty_database_url: str) -> WrdsServer:
    server = WrdsServer(empty_database_url)
    await server.execute("create type mood as enum ('so so', 'well')")
    await server.execute("create domain amount as numeric(12,5); create domain price as amount")
    await server.execute("create type pair as (a int, b text)")
    return server


@pytest.fixture(params=["text", "binary"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the rows travel, whatever would be cheaper."""

    def decide(plans: Sequence[ColumnPlan], _: int | None) -> bool:
        assert request.param == "text" or all(plan.binary is not None for plan in plans)
        return bool(request.param == "binary")

    monkeypatch.setattr(wrds_client, "is_worth_binary", decide)
    return str(request.param)


async def copied(server: WrdsServer, target: Path, **types: str) -> pa.Table:
    async with opened(server) as client:
        await client.copy(Selection(table=TORTURE, types=types), ALL_ROWS, target=target)
    return pq.read_table(target)


async def create(server: WrdsServer, columns: str, *rows: str) -> None:
    await server.execute(f"create table torture ({columns})")
    for row in rows:
        await server.execute(f"insert into torture values ({row})")


async def test_every_type_keeps_its_value(server: WrdsServer, tmp_path: Path, form: str) -> None:
    cases = [case for case in CASES if form == "text" or case[0] not in TEXT_ONLY]
    columns = ", ".join(f"c{number} {case[0]}" for number, case in enumerate(cases))
    values = ", ".join(case[1] for case in cases)
    nulls = ", ".join("null" for _ in cases)
    await create(server, columns, values, nulls)

    table = await copied(server, tmp_path / "f")

    assert [str(field.type) for field in table.schema] == [case[2] for case in cases]
    expected = [case[3] for case in cases]
    assert list(table.to_pylist()[0].values()) == expected
    assert set(table.to_pylist()[1].values()) == {None}


@pytest.mark.usefixtures("form")
async def test_dates_before_christ_and_far_ahead_are_right(
    server: WrdsServer, tmp_path: Path
) -> None:
    await create(server, "d date", "'0044-03-15 BC'", "'4714-11-24 BC'", "'99999-01-01'")

    days = (await copied(server, tmp_path / "f"))["d"].cast(pa.int32()).to_pylist()

    # Counted from the calendar's rule; the second is day 0 of the Julian count.
    assert days == [-735160, -2440588, 35804357]


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("date", "'infinity'"),
        ("date", "'-infinity'"),
        ("timestamp", "'infinity'"),
        ("timestamptz", "'-infinity'"),
        ("timestamp", "'0044-03-15 12:00:00 BC'"),
        ("numeric(11,5)", "'NaN'"),
    ],
)
async def test_what_no_type_can_hold_is_refused_with_the_columns_name(
    server: WrdsServer, tmp_path: Path, type_: str, value: str
) -> None:
    await create(server, f"fine date, guilty {type_}", f"'2020-01-01', {value}")

    with pytest.raises(UnstorableValueError, match="`guilty`") as caught:
        await copied(server, tmp_path / "f")

    assert caught.value.facts["column"] == "guilty"


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize(
    ("type_", "value", "stored"),
    [
        ("date", "'infinity'", "infinity"),
        ("timestamp", "'-infinity'", "-infinity"),
        ("timestamp", "'0044-03-15 12:00:00 BC'", "0044-03-15 12:00:00 BC"),
        ("numeric(11,5)", "'NaN'", "NaN"),
        ("numeric(11,5)", "1.5", "1.50000"),
    ],
)
async def test_declared_as_text_it_is_kept(
    server: WrdsServer, tmp_path: Path, type_: str, value: str, stored: str
) -> None:
    await create(server, f"c {type_}", value, "null")

    table = await copied(server, tmp_path / "f", c="string")

    assert table["c"].to_pylist() == [stored, None]


@pytest.mark.usefixtures("form")
async def test_floats_that_hold_whole_numbers_can_be_integers(
    server: WrdsServer, tmp_path: Path
) -> None:
    await create(server, "permno double precision", "10001", "null")

    table = await copied(server, tmp_path / "f", permno="int32")

    assert table["permno"].to_pylist() == [10001, None]
    assert table.schema.field("permno").type == pa.int32()


async def test_an_accounts_own_settings_change_no_value(server: WrdsServer, tmp_path: Path) -> None:
    await create(
        server,
        "f float8, t timestamptz, b bytea, d date, i interval, s text",
        "0.1::float8 + 0.2, '2024-01-01 00:00:00+00', '\\x5c00', '2024-02-03', '-1 day', 'a\\b'",
    )
    plain = await copied(server, tmp_path / "plain")
    name = server.env["WRDS_DATABASE"]
    for setting in (
        "timezone = 'Asia/Tokyo'",
        "datestyle = 'German'",
        "extra_float_digits = -15",
        "bytea_output = 'escape'",
        "intervalstyle = 'iso_8601'",
        "standard_conforming_strings = off",
        "client_encoding = 'LATIN1'",
    ):
        await server.execute(f"alter database {name} set {setting}")

    assert (await copied(server, tmp_path / "odd")).equals(plain)
    assert plain["f"].to_pylist() == [0.30000000000000004]
