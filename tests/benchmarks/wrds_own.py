"""One table to Parquet our way, in a process of its own, measured as the others are.

`bench_wrds` runs it as `python -m tests.benchmarks.wrds_own ours URL SCHEMA TABLE FOLDER`; with
`encoding` instead of `ours` it writes the rows of an earlier copy once more, out of memory.
"""

import json
import logging
import resource
import sys
import time
from pathlib import Path

import wrds_sync  # noqa: F401  # isort: skip - tells Arrow, before it is loaded, which memory to use
import pyarrow as pa
import pyarrow.parquet as pq
import structlog
import uvloop

from tests.support.wrds_server import WrdsServer
from tests.support.wrds_server_client import opened
from wrds_sync.adapters.parquet_writer import ParquetFile, RowGroups, group_bytes
from wrds_sync.domain.tables import PartitionRange, Selection, TableRef


async def copy(url: str, schema: str, table: str, folder: Path) -> None:
    """Copy the whole table, from the first connection to the last byte."""
    async with opened(WrdsServer(url), max_overflow=0) as client:
        await client.copy(
            Selection(table=TableRef(schema, table)),
            PartitionRange(year=0),
            target=folder / "out.parquet",
        )


def encode(rows: pa.Table, target: Path) -> None:
    """Write rows as a copy does, when they have been received and read."""
    file, groups = ParquetFile(target, rows.schema), RowGroups(size=group_bytes(rows.num_columns))
    for batch in rows.to_batches(max_chunksize=8192):
        if group := groups.add(batch):
            file.write(group)
    file.write(groups.take())
    file.finish()


def main() -> None:
    """Copy and print what it took."""
    method, url, schema, table, folder = sys.argv[1:]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    target = Path(folder) / "out.parquet"
    rows = pq.read_table(target) if method == "encoding" else None
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, cpu = time.perf_counter(), time.process_time()
    if rows is None:
        uvloop.run(copy(url, schema, table, Path(folder)))
    else:
        encode(rows, target.with_suffix(".again"))
    took = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sys.stdout.write(json.dumps({**took, "megabytes": (peak - before) / 1024}) + "\n")


if __name__ == "__main__":
    main()
