"""Layouts of the archive's tables, each column with the expression that fills it.

The layouts are the documented ones (CRSP old and new, Compustat, Fama-French). The values are made
by the server from hashes of the row's key, so the same call makes the same rows everywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, its PostgreSQL type, and how a row's value is made."""

    name: str
    type: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A table as the archive has it: stored in one schema, read through a view in another."""

    schema: str
    table: str
    columns: tuple[Column, ...]

    @property
    def store(self) -> str:
        return f"{self.schema}_store"

    def ddl(self) -> str:
        columns = ", ".join(f"{column.name} {column.type}" for column in self.columns)
        return (
            f"create schema if not exists {self.schema};"
            f"create schema if not exists {self.store};"
            f"create table {self.store}.{self.table} ({columns});"
            f"create view {self.schema}.{self.table} as select * from {self.store}.{self.table}"
        )

    def insert(self, rows: str) -> str:
        """Return the statement that fills the table from a query that yields the keys."""
        values = ", ".join(f"({column.value})::{column.type}" for column in self.columns)
        return f"insert into {self.store}.{self.table} select {values} from ({rows}) as k"


def noise(salt: int, limit: int) -> str:
    """An integer below `limit`, from the row's key."""
    return f"(abs(hashint8extended(k.key, {salt})) % {limit})"


def rarely_null(salt: int, percent: int, value: str) -> str:
    return f"case when {noise(1000 + salt, 100)} < {percent} then null else {value} end"


def _price(salt: int) -> str:
    return f"k.price * (100000 + {noise(salt, 2000)} - 1000) / 100000.0"


_RETURN = f"({noise(20, 200000)} - 100000) / 1000000.0"

DAILY = Layout(
    schema="crsp",
    table="dsf",
    columns=(
        Column("cusip", "varchar(8)", "lpad((k.permno * 7 % 100000000)::text, 8, '0')"),
        Column("permno", "double precision", "k.permno"),
        Column("permco", "double precision", "k.permno + 10000"),
        Column("issuno", "double precision", "k.permno % 5000"),
        Column("hexcd", "smallint", "1 + k.permno % 3"),
        Column("hsiccd", "double precision", "1000 + k.permno % 8000"),
        Column("date", "date", "k.day"),
        Column("bidlo", "numeric(12,5)", rarely_null(1, 1, _price(1))),
        Column("askhi", "numeric(12,5)", rarely_null(1, 1, _price(2))),
        Column("prc", "numeric(12,5)", rarely_null(3, 1, f"k.sign * {_price(3)}")),
        Column("vol", "double precision", rarely_null(4, 2, noise(4, 5_000_000))),
        Column("ret", "numeric(11,6)", rarely_null(5, 2, _RETURN)),
        Column("bid", "numeric(11,5)", rarely_null(6, 1, _price(6))),
        Column("ask", "numeric(11,5)", rarely_null(6, 1, _price(7))),
        Column("shrout", "double precision", "1000 + k.permno * 13 % 900000"),
        Column("cfacpr", "double precision", "1 + (k.permno % 4) * 0.5"),
        Column("cfacshr", "double precision", "1 + (k.permno % 3) / 3.0::float8"),
        Column("openprc", "numeric(12,5)", rarely_null(8, 3, _price(8))),
        Column("numtrd", "double precision", rarely_null(9, 30, noise(9, 20_000))),
        Column("retx", "numeric(11,6)", rarely_null(5, 2, _RETURN)),
    ),
)

MONTHLY = Layout(
    schema="crsp",
    table="msf",
    columns=(
        *(column for column in DAILY.columns if column.name not in ("openprc", "numtrd")),
        Column("altprc", "numeric(12,5)", _price(11)),
        Column("spread", "numeric(11,5)", f"{noise(12, 1000)} / 1000.0"),
        Column("altprcdt", "date", "k.day"),
    ),
)

_FLAGS = ("TR", "BA", "MP")


def _flag(salt: int, values: Sequence[str] = _FLAGS) -> str:
    listed = ", ".join(f"'{value}'" for value in values)
    return f"(array[{listed}])[1 + {noise(salt, len(values))}]"


def _numbers(names: str, type_: str, salt: int) -> list[Column]:
    return [
        Column(name, type_, rarely_null(salt + i, 2, _price(salt + i)))
        for i, name in enumerate(names.split())
    ]


def _flags(names: str, salt: int) -> list[Column]:
    return [
        Column(name, "varchar(4)", rarely_null(salt + i, 5, _flag(salt + i)))
        for i, name in enumerate(names.split())
    ]


DAILY_V2 = Layout(
    schema="crsp",
    table="dsf_v2",
    columns=(
        Column("permno", "integer", "k.permno"),
        Column("permco", "integer", "k.permno + 10000"),
        Column("yyyymmdd", "integer", "to_char(k.day, 'YYYYMMDD')::int"),
        Column("dlycaldt", "date", "k.day"),
        Column("dlyprc", "numeric(12,6)", rarely_null(3, 1, _price(3))),
        Column("dlyprcflg", "varchar(4)", _flag(30)),
        *_numbers("dlyret dlyretx dlyreti", "numeric(11,6)", 40),
        *_flags("dlyretmissflg dlyretdurflg", 50),
        Column("dlyvol", "numeric(16,1)", rarely_null(4, 2, noise(4, 5_000_000))),
        *_numbers("dlybid dlyask dlyopen dlyclose dlylow dlyhigh", "numeric(12,6)", 60),
        Column("dlynumtrd", "integer", rarely_null(9, 30, noise(9, 20_000))),
        Column("dlymmcnt", "smallint", noise(70, 50)),
        Column("dlycap", "numeric(16,2)", "k.price * 1000"),
        *_flags("dlycapflg", 71),
        Column("dlyprevprc", "numeric(12,6)", _price(72)),
        *_flags("dlyprevprcflg", 73),
        Column("dlyprevdt", "date", "k.day - 1"),
        Column("dlyprevcap", "numeric(16,2)", "k.price * 999"),
        *_flags("dlyprevcapflg dlydelflg", 74),
        *_numbers("dlyorddivamt dlynonorddivamt dlyfacprc", "numeric(14,6)", 76),
        *_flags("dlydistretflg", 80),
        *_numbers("dlyprcvol dlycumfacpr dlycumfacshr", "numeric(18,6)", 81),
        Column("shrout", "integer", "1000 + k.permno * 13 % 900000"),
        Column("hdrcusip", "varchar(8)", "lpad((k.permno * 7 % 100000000)::text, 8, '0')"),
        Column("cusip", "varchar(8)", "lpad((k.permno * 7 % 100000000)::text, 8, '0')"),
        Column("ticker", "varchar(6)", "'T' || k.permno % 10000"),
        Column("siccd", "integer", "1000 + k.permno % 8000"),
        Column("nasdissuno", "integer", "k.permno % 5000"),
        *_flags(
            "exchangetier sharetype securitytype securitysubtype usincflg issuertype "
            "primaryexch conditionaltype tradingstatusflg",
            90,
        ),
    ),
)

_ITEMS = (
    "act ap at ceq che cogs csho dlc dltis dltt dp dvt emp ib invt ivao ivst lct lt mkvalt ni "
    "oiadp oibdp ppegt ppent prcc_f pstk re rect revt sale seq sstk txp txt xint xrd xsga"
)

_FUNDA_KEYS = (
    Column("gvkey", "varchar(6)", "lpad(k.permno::text, 6, '0')"),
    Column("datadate", "date", "k.day"),
    Column("indfmt", "varchar(12)", _flag(1, ("INDL", "FS"))),
    Column("consol", "varchar(2)", "'C'"),
    Column("popsrc", "varchar(2)", "'D'"),
    Column("datafmt", "varchar(12)", "'STD'"),
    Column("fyear", "integer", "extract(year from k.day)::int"),
    Column("fyr", "smallint", "extract(month from k.day)::int"),
    Column("tic", "varchar(8)", "'T' || k.permno % 10000"),
    Column("cusip", "varchar(9)", "lpad((k.permno * 7 % 1000000000)::text, 9, '0')"),
    Column("conm", "varchar(58)", "'COMPANY \"' || k.permno || '\", INC'"),
    Column("cik", "varchar(10)", "lpad(k.permno::text, 10, '0')"),
    Column("curcd", "varchar(3)", _flag(2, ("USD", "CAD"))),
    Column("costat", "varchar(1)", _flag(3, ("A", "I"))),
    Column("fic", "varchar(3)", _flag(4, ("USA", "CAN"))),
)


def _items(count: int) -> tuple[Column, ...]:
    """Compustat's mnemonics, then numbered ones; three of four values are missing."""
    known = _ITEMS.split()
    names = [*known, *(f"item{number:03d}" for number in range(len(known), count))]
    return tuple(
        Column(name, "numeric(18,4)", rarely_null(200 + i, 75, f"{noise(100 + i, 10**9)} / 1e4"))
        for i, name in enumerate(names[:count])
    )


ANNUAL = Layout(schema="comp", table="funda", columns=(*_FUNDA_KEYS, *_items(187)))
"""202 of the real table's 900 columns."""

QUARTERLY = Layout(
    schema="comp",
    table="fundq",
    columns=(
        *_FUNDA_KEYS,
        Column("fqtr", "smallint", "extract(quarter from k.day)::int"),
        Column("rdq", "date", "k.day + 40"),
        *(
            Column(name, "numeric(18,4)", rarely_null(300 + i, 20, f"{noise(i, 10**9)} / 1e4"))
            for i, name in enumerate(("atq", "ltq", "revtq", "niq"))
        ),
    ),
)

FACTORS_DAILY = Layout(
    schema="ff",
    table="factors_daily",
    columns=(
        Column("date", "date", "k.day"),
        *(Column(name, "numeric(8,6)", f"k.{name}") for name in ("mktrf", "smb", "hml", "rf")),
        Column("umd", "numeric(8,6)", "null"),
    ),
)

FACTORS_MONTHLY = Layout(
    schema="ff",
    table="factors_monthly",
    columns=(
        *FACTORS_DAILY.columns,
        Column("year", "double precision", "extract(year from k.day)"),
        Column("month", "double precision", "extract(month from k.day)"),
        Column("dateff", "date", "(k.day + interval '1 month - 1 day')::date"),
    ),
)

TEXTS = Layout(
    schema="ciq",
    table="transcripts",
    columns=(
        Column("transcriptid", "bigint", "k.key"),
        Column("companyid", "integer", "k.permno"),
        Column("mostimportantdateutc", "date", "k.day"),
        Column("headline", "varchar(200)", "k.headline"),
        Column("componenttext", "text", "k.body"),
        Column("speaker", "text", rarely_null(1, 20, "'Speaker ' || k.permno % 500")),
        Column("attributes", "jsonb", "k.attributes"),
        Column("created", "timestamp", "k.day + interval '16:30:00.25'"),
        Column("keyid", "uuid", "md5(k.key::text)::uuid"),
    ),
)
"""Long text, JSON and quotes: what transcripts and news look like."""

ALL = (DAILY, MONTHLY, DAILY_V2, ANNUAL, QUARTERLY, FACTORS_DAILY, FACTORS_MONTHLY, TEXTS)
