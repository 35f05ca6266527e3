"""The known schemas of data sets, `meta.schemas`: every version, per service and data set."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from chassis.db import Connection, Transaction

Origin = Literal["learnt", "extended", "accepted"]
"""How a version came to be: first seen, with new fields, or by a person's decision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSchema:
    """The latest version of a data set's schema."""

    version: int = 0
    """0: nothing is known yet."""

    columns: Mapping[str, str]


async def known_schemas(
    connection: Connection, service: str, datasets: Collection[str]
) -> dict[str, KnownSchema]:
    """Return the latest versions, of those data sets that have one."""
    rows = await connection.fetch(_LATEST, service, list(datasets))
    return {
        row["dataset"]: KnownSchema(version=row["version"], columns=row["columns"]) for row in rows
    }


async def hold(transaction: Transaction, service: str, dataset: str) -> None:
    """Keep others from changing a data set's known schema until the transaction ends."""
    await transaction.connection.execute(_LOCK, f"schema/{service}/{dataset}")


async def register(
    transaction: Transaction,
    *,
    service: str,
    dataset: str,
    columns: Mapping[str, str],
    origin: Origin,
) -> int:
    """Make columns the next version of a data set's schema; return its number."""
    await hold(transaction, service, dataset)
    version: int = await transaction.connection.fetchval(
        _NEXT, service, dataset, dict(columns), origin
    )
    return version


_LATEST = """
select distinct on (dataset) dataset, version, columns
from meta.schemas
where service = $1 and dataset = any($2::text[])
order by dataset, version desc
"""

_LOCK = "select pg_advisory_xact_lock(hashtextextended($1, 0))"

_NEXT = """
insert into meta.schemas (service, dataset, version, columns, status)
values ($1, $2, 1 + coalesce(
    (select max(version) from meta.schemas where service = $1 and dataset = $2), 0), $3, $4)
returning version
"""
