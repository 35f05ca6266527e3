# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "adbc-driver-postgresql>=1.13",
#     "connectorx>=0.4.6",
#     "db2pq>=0.3",
#     # Upper bound: the scanner of that version is the last one that is a package.
#     "duckdb>=1.5,<1.6",
#     "duckdb-extension-postgres-scanner>=1.5,<1.6",
#     "pandas>=2.2",
#     "psycopg2-binary>=2.9",
#     "pyarrow>=20",
#     "sqlalchemy>=2",
# ]
# [tool.uv]
# exclude-newer = "7 days"
# ///
"""One table to Parquet, the way other tools do it; a script of its own, in an environment of its
own.

`bench_wrds` runs it as `uv run --script wrds_rivals.py METHOD URL SCHEMA TABLE FOLDER`, with the
packages named above, which no other part of the project installs; hence the imports by name. It
prints what the copy took, without the imports.
"""

import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Method = Callable[[str, str, str, Path], None]

_NUMERIC = """
    select column_name, data_type, numeric_precision, numeric_scale
    from information_schema.columns where table_schema = '{}' and table_name = '{}'
    order by ordinal_position
"""


def wrds_package(url: str, schema: str, table: str, folder: Path) -> None:
    """As `raw_sql` of the official package: chunks of a result that the driver holds whole."""
    pandas, sqlalchemy = _modules("pandas", "sqlalchemy")
    engine = sqlalchemy.create_engine(
        url.replace("postgresql://", "postgresql+psycopg2://"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        query = sqlalchemy.text(f'select * from "{schema}"."{table}"')
        chunks = pandas.read_sql_query(query, connection, chunksize=500_000)
        frame = next(chunks)
        for chunk in chunks:
            frame = pandas.concat([frame, chunk])
    frame.to_parquet(folder / "out.parquet")


def db2pq(url: str, schema: str, table: str, folder: Path) -> None:
    """As its documentation shows, with exact numbers."""
    (package,) = _modules("db2pq")
    _duckdb()
    parts = urlsplit(url)
    os.environ["PGPASSWORD"] = parts.password or ""  # noqa: TID251 - its only way
    package.db_to_pq(
        table,
        schema,
        user=parts.username,
        host=parts.hostname,
        port=parts.port,
        database=parts.path.lstrip("/"),
        data_dir=str(folder),
        numeric_mode="decimal",
    )


def duckdb(url: str, schema: str, table: str, folder: Path) -> None:
    """Its scanner for a view: one query, no parallel ranges."""
    connection = _duckdb()
    connection.execute(f"attach '{url}' as archive (type postgres, read_only)")
    connection.execute(
        f"copy (select * from postgres_query('archive', 'select * from {schema}.{table}')) "
        f"to '{folder / 'out.parquet'}' (format parquet, compression zstd)"
    )


def connectorx(url: str, schema: str, table: str, folder: Path) -> None:
    """Its Arrow stream into a Parquet writer."""
    (package,) = _modules("connectorx")
    reader = package.read_sql(
        url,
        f"select * from {schema}.{table}",
        return_type="arrow_stream",
        protocol="binary",
        batch_size=131_072,
    )
    _write(reader, folder)


def adbc(url: str, schema: str, table: str, folder: Path) -> None:
    """Its Arrow stream, numbers as text and made decimals here, because it knows none."""
    pyarrow, driver = _modules("pyarrow", "adbc_driver_postgresql.dbapi")
    with driver.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(_NUMERIC.format(schema, table))
        columns = cursor.fetchall()
        names = ", ".join(
            f"{name}::text" if kind in ("numeric", "jsonb", "uuid") else name
            for name, kind, _, _ in columns
        )
        wanted = {
            name: pyarrow.decimal128(digits, scale)
            for name, kind, digits, scale in columns
            if kind == "numeric"
        }
        cursor.execute(f"select {names} from {schema}.{table}")
        reader = cursor.fetch_record_batch()
        schema_out = pyarrow.schema(
            [field.with_type(wanted.get(field.name, field.type)) for field in reader.schema]
        )
        batches = (
            pyarrow.RecordBatch.from_arrays(
                [column.cast(field.type) for column, field in zip(batch, schema_out, strict=True)],
                schema=schema_out,
            )
            for batch in reader
        )
        _write(pyarrow.RecordBatchReader.from_batches(schema_out, batches), folder)


def _write(reader: Any, folder: Path) -> None:
    pyarrow, parquet = _modules("pyarrow", "pyarrow.parquet")
    with parquet.ParquetWriter(
        folder / "out.parquet", reader.schema, compression="zstd", compression_level=1
    ) as writer:
        waiting: list[Any] = []
        for batch in reader:
            waiting.append(batch)
            if sum(part.num_rows for part in waiting) >= 131_072:
                writer.write_table(pyarrow.Table.from_batches(waiting))
                waiting = []
        writer.write_table(pyarrow.Table.from_batches(waiting, reader.schema))


def _duckdb() -> Any:
    """Connect with the scanner from its package; by itself it would be downloaded."""
    package, extension = _modules("duckdb", "duckdb_extension_postgres_scanner")
    connection = package.connect()
    (found,) = Path(extension.__file__).parent.rglob("postgres_scanner.duckdb_extension")
    connection.execute(f"install '{found}'")
    connection.execute("load postgres_scanner")
    return connection


def _modules(*names: str) -> list[Any]:
    return [importlib.import_module(name) for name in names]


METHODS: dict[str, tuple[Method, tuple[str, ...]]] = {
    "wrds": (wrds_package, ("pandas", "sqlalchemy", "psycopg2", "pyarrow.parquet")),
    "db2pq": (db2pq, ("db2pq", "duckdb", "pyarrow.parquet")),
    "duckdb": (duckdb, ("duckdb", "duckdb_extension_postgres_scanner")),
    "connectorx": (connectorx, ("connectorx", "pyarrow.parquet")),
    "adbc": (adbc, ("adbc_driver_postgresql.dbapi", "pyarrow.parquet")),
}


def main() -> None:
    """Run one method and print what it took."""
    name, url, schema, table, folder = sys.argv[1:]
    method, imports = METHODS[name]
    _modules(*imports)
    os.environ["HOME"] = folder  # noqa: TID251 - where DuckDB installs its scanner
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, cpu = time.perf_counter(), time.process_time()
    method(url, schema, table, Path(folder))
    took = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sys.stdout.write(json.dumps({**took, "megabytes": (peak - before) / 1024}) + "\n")


if __name__ == "__main__":
    main()
