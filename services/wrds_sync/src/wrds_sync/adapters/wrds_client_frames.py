"""Small results as polars frames, with the types that the statement has."""

from collections.abc import Mapping, Sequence

import polars as pl

from chassis.db import Connection

_TYPES: Mapping[str, pl.DataType] = {
    "bool": pl.Boolean(),
    "int2": pl.Int16(),
    "int4": pl.Int32(),
    "int8": pl.Int64(),
    "float4": pl.Float32(),
    "float8": pl.Float64(),
    "date": pl.Date(),
    "time": pl.Time(),
    "timestamp": pl.Datetime("us"),
    "timestamptz": pl.Datetime("us", "UTC"),
    "bytea": pl.Binary(),
    "text": pl.String(),
    "varchar": pl.String(),
    "bpchar": pl.String(),
    "name": pl.String(),
}


async def to_frame(connection: Connection, sql: str, parameters: Sequence[object]) -> pl.DataFrame:
    """Run a statement and return its rows; a frame without rows has its types, too."""
    statement = await connection.prepare(sql)
    rows = await statement.fetch(*parameters)
    attributes = statement.get_attributes()
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(attributes)
    return pl.DataFrame(
        [
            pl.Series(attribute.name, values, dtype=_TYPES.get(attribute.type.name), strict=True)
            for attribute, values in zip(attributes, columns, strict=True)
        ]
    )
