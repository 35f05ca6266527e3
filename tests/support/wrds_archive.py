"""An archive in memory: the `Source` port without a server, for tests of what is done with it.

`tests/contract/test_wrds_source.py` holds it to the same scenarios as the real client.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from wrds_sync.domain.tables import (
    WHOLE_TABLE,
    CatalogEntry,
    ColumnInfo,
    CopyResult,
    PartitionRange,
    PartitionStatistics,
    Selection,
    TableInfo,
    TableRef,
)
from wrds_sync.errors import SourceRefusedError
from wrds_sync.ports import OnRows

Before = Callable[[int], None]


def prices(
    year: int, *, rows: int = 4, start: int = 10_001, price: float = 10.0
) -> dict[str, list[object]]:
    """Rows of one year: a security each, all on the same day."""
    return {
        "permno": [start + number for number in range(rows)],
        "date": [date(year, 6, 30)] * rows,
        "prc": [float(price + number) for number in range(rows)],
    }


@dataclass
class Archive:
    """Tables, and what goes wrong with them."""

    tables: dict[str, pa.Table] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    queries: int = 0
    copied: list[int] = field(default_factory=list)
    """Years, in the order in which their copies ended."""

    before_copy: Before | None = None
    """May raise; is told the year."""

    after_copy: Callable[[Path], None] | None = None
    """May change the file, as a bad disk would."""

    hashes: bool = True

    def put(
        self, table: str, *years: Mapping[str, list[object]], modified: str | None = None
    ) -> None:
        """Replace a table's rows by those of some years."""
        parts = [pa.table(dict(rows)) for rows in years]
        self.tables[table] = pa.concat_tables(parts)
        if modified is not None:
            self.comments[table] = modified

    async def list_tables(self, schemas: Sequence[str]) -> list[CatalogEntry]:
        self.queries += 1
        found = [TableRef(*name.split(".")) for name in self.tables]
        return [
            CatalogEntry(table=ref, is_readable=True, last_modified=self.comments.get(str(ref)))
            for ref in found
            if ref.schema in schemas
        ]

    async def table_info(
        self, table: TableRef, *, types: Mapping[str, str] | None = None
    ) -> TableInfo:
        del types
        self.queries += 1
        schema = self._table(table).schema
        return TableInfo(
            table=table,
            columns=_columns(schema),
            last_modified=self.comments.get(str(table)),
            estimated_row_bytes=24,
        )

    async def statistics(
        self, selection: Selection, *, with_hash: bool = False, since_year: int | None = None
    ) -> list[PartitionStatistics]:
        self.queries += 1
        frame = self._frame(selection)
        years = sorted(set(self._years(selection, frame)))
        found = []
        for year in years:
            if since_year is not None and year < since_year:
                continue
            part = self._part(selection, frame, year)
            digest = hashlib.sha256(repr(sorted(part.rows(), key=repr)).encode()).hexdigest()
            is_hashed = with_hash and self.hashes
            found.append(
                PartitionStatistics(
                    year=year, rows=len(part), content_hash=f"rows:{digest}" if is_hashed else None
                )
            )
        return found

    async def copy(
        self,
        selection: Selection,
        partition: PartitionRange,
        *,
        target: Path,
        on_rows: OnRows | None = None,
    ) -> CopyResult:
        self.queries += 1
        if self.before_copy is not None:
            self.before_copy(partition.year)
        part = self._part(selection, self._frame(selection), partition.year).to_arrow()
        await asyncio.to_thread(pq.write_table, part, target)
        if on_rows is not None:
            on_rows(part.num_rows)
        size = await asyncio.to_thread(lambda: target.stat().st_size)
        if self.after_copy is not None:
            self.after_copy(target)
        self.copied.append(partition.year)
        days = pl.Series(part[selection.date_column]) if selection.date_column else None
        low, high = (days.min(), days.max()) if days is not None else (None, None)
        return CopyResult(
            rows=part.num_rows,
            columns=_columns(part.schema),
            size_bytes=size,
            lower=low if isinstance(low, date) else None,
            upper=high if isinstance(high, date) else None,
        )

    async def stream(
        self, selection: Selection, partition: PartitionRange
    ) -> AsyncIterator[pa.RecordBatch]:
        self.queries += 1
        part = self._part(selection, self._frame(selection), partition.year).to_arrow()
        for batch in part.to_batches():
            yield batch

    async def execute_query(self, sql: str, parameters: Sequence[object] = ()) -> pl.DataFrame:
        del parameters
        self.queries += 1
        with pl.SQLContext(
            {name.replace(".", "_"): pl.DataFrame(table) for name, table in self.tables.items()}
        ) as context:
            return context.execute(sql, eager=True)

    async def close(self) -> None:
        """Nothing is open."""

    def _table(self, table: TableRef) -> pa.Table:
        if str(table) not in self.tables:
            raise SourceRefusedError(f"there is no `{table}`")
        return self.tables[str(table)]

    def _frame(self, selection: Selection) -> pl.DataFrame:
        frame = pl.DataFrame(self._table(selection.table))
        for name, value in selection.equals.items():
            frame = frame.filter(pl.col(name) == value)
        return frame.select(selection.columns) if selection.columns else frame

    def _years(self, selection: Selection, frame: pl.DataFrame) -> list[int]:
        if selection.date_column is None:
            return [WHOLE_TABLE] if len(frame) else []
        return frame[selection.date_column].dt.year().to_list()

    def _part(self, selection: Selection, frame: pl.DataFrame, year: int) -> pl.DataFrame:
        if selection.date_column is None:
            return frame
        return frame.filter(pl.col(selection.date_column).dt.year() == year)


def _columns(schema: pa.Schema) -> tuple[ColumnInfo, ...]:
    return tuple(
        ColumnInfo(
            name=item.name,
            source_type=str(item.type),
            stored_type=str(item.type).replace("large_string", "string"),
        )
        for item in schema
    )
