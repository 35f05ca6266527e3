"""What silver should hold, as columns: a row per entity, because there are millions of them.

Whoever looks at entities one by one iterates; whoever writes them takes the frame.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Any, TypeAlias, overload

import polars as pl

from transformer.domain.entity import COLUMN_TYPES, Entity
from transformer.domain.frames import ENTITY
from transformer.domain.hashing import hash_states
from transformer.domain.records import Absent, Basis, Merged, Origins, Outcome, Rejected, Status

STATUS = "@status"
REASONS = "@reasons"
"""Why the record is rejected; null for others."""

BRONZE_AT = "@bronze_at"
BRONZE_VERSIONS = "@bronze_versions"
STATE_HASH = "@state_hash"
CONTENT_HASH = "@content_hash"
SCORE = "@score"
"""As text of two decimals."""

FLAGS = "@flags"
VERSION_IDS = "@version_ids"
RECORDS = "@records"
WINNERS = "@winners"

_RECORD = {
    CONTENT_HASH: pl.String(),
    SCORE: pl.String(),
    FLAGS: pl.List(pl.String()),
    VERSION_IDS: pl.List(pl.String()),
    RECORDS: pl.String(),
    WINNERS: pl.List(pl.Int64()),
}
"""What is known of a merged record beside its values; null for others."""

_Rows: TypeAlias = dict[str, list[tuple[Any, ...]]]
"""Child rows by entity."""


class Outcomes(Sequence[Outcome]):
    """The outcomes of several entities, in order of their ids.

    Args:
        entity: The rules that made them.
        frame: A row per entity: the columns above, and its values by name.
        children: Rows by child table, of merged records and maybe of others.
    """

    def __init__(
        self, entity: Entity, frame: pl.DataFrame, children: Mapping[str, pl.DataFrame]
    ) -> None:
        self.entity = entity
        self.frame = frame
        self.children = children

    @overload
    def __getitem__(self, index: int) -> Outcome: ...

    @overload
    def __getitem__(self, index: slice) -> list[Outcome]: ...

    def __getitem__(self, index: int | slice) -> Outcome | list[Outcome]:
        """Return one outcome by its place, or several."""
        return self._one_by_one[index]

    def __len__(self) -> int:
        """Return how many entities there are."""
        return self.frame.height

    @cached_property
    def _one_by_one(self) -> list[Outcome]:
        children = {table: _rows_by_entity(frame) for table, frame in self.children.items()}
        values = self.frame.select(self.entity.columns).rows()
        rows = self.frame.iter_rows(named=True)
        return [self._read(row, held, children) for row, held in zip(rows, values, strict=True)]

    def _read(
        self, row: Mapping[str, Any], values: tuple[Any, ...], children: Mapping[str, _Rows]
    ) -> Outcome:
        entity_id, state_hash = row[ENTITY], row[STATE_HASH]
        basis = Basis(row[BRONZE_AT], row[BRONZE_VERSIONS])
        match Status(row[STATUS]):
            case Status.RETIRED:
                return Absent(entity_id, basis, state_hash)
            case Status.REJECTED:
                return Rejected(entity_id, basis, tuple(row[REASONS]), state_hash)
            case Status.LIVE:
                return Merged(
                    entity_id=entity_id,
                    basis=basis,
                    values=values,
                    version_ids=tuple(row[VERSION_IDS]),
                    score=Decimal(row[SCORE]),
                    flags=tuple(row[FLAGS]),
                    ruleset_version=self.entity.config.ruleset_version,
                    rules_hash=self.entity.rules_hash,
                    children={table: rows.get(entity_id, []) for table, rows in children.items()},
                    origins=Origins(row[RECORDS], tuple(row[WINNERS])),
                    content_hash=row[CONTENT_HASH],
                    state_hash=state_hash,
                )


def no_records(entity: Entity) -> pl.DataFrame:
    """Return an empty frame of merged records."""
    values = {name: COLUMN_TYPES[kind] for name, kind in entity.config.stored_columns().items()}
    return pl.DataFrame(schema={ENTITY: pl.String(), **_RECORD, **values})


def lay_out(
    entity: Entity,
    bases: pl.DataFrame,
    records: pl.DataFrame,
    *,
    rejected: Mapping[str, tuple[str, ...]],
) -> pl.DataFrame:
    """Put together what became of each entity.

    Args:
        entity: The rules.
        bases: Every entity, in order, with `BRONZE_AT` and `BRONZE_VERSIONS`.
        records: The merged records of those that have one.
        rejected: Why others have none; who is neither here nor there is absent.
    """
    status = (
        pl.when(pl.col(REASONS).is_not_null())
        .then(pl.lit(Status.REJECTED.value))
        .when(pl.col(CONTENT_HASH).is_not_null())
        .then(pl.lit(Status.LIVE.value))
        .otherwise(pl.lit(Status.RETIRED.value))
    )
    content = pl.coalesce(
        pl.lit("rejected: ") + pl.col(REASONS).list.join("; "), CONTENT_HASH, pl.lit("absent")
    )
    frame = (
        bases.join(records, on=ENTITY, how="left", maintain_order="left")
        .with_columns(_reasons(bases[ENTITY], rejected))
        .with_columns(status.alias(STATUS))
    )
    hashes = hash_states(
        entity,
        frame,
        basis=(BRONZE_AT, BRONZE_VERSIONS),
        content=content,
        origins=(WINNERS, RECORDS),
    )
    return frame.with_columns(hashes.alias(STATE_HASH))


def _reasons(entity_ids: pl.Series, rejected: Mapping[str, tuple[str, ...]]) -> pl.Series:
    reasons = map(rejected.get, entity_ids) if rejected else [None] * len(entity_ids)
    return pl.Series(REASONS, list(reasons), dtype=pl.List(pl.String()))


def _rows_by_entity(frame: pl.DataFrame) -> _Rows:
    found: _Rows = {}
    for entity_id, *row in frame.rows():
        found.setdefault(entity_id, []).append(tuple(row))
    return found
