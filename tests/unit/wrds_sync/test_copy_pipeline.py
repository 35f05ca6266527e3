"""The pipeline between a scripted connection and a file: cuts, order, limits, failures."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pyarrow.parquet as pq
import pytest

from chassis.db import Connection
from wrds_sync.adapters import postgres_copy
from wrds_sync.adapters.postgres_copy import CopyEngine
from wrds_sync.adapters.postgres_copy_text import BlockParser
from wrds_sync.domain.types import CatalogColumn, plan_column
from wrds_sync.errors import DiskFullError, SourceUnavailableError, UnstorableValueError

PLANS = tuple(
    plan_column(CatalogColumn(name=name, source_type=type_, base_type=type_))
    for name, type_ in (("n", "int4"), ("s", "text"))
)


@dataclass(slots=True)
class Script:
    """A connection that delivers given chunks."""

    chunks: Sequence[bytes]
    status: str = "COPY 0"
    failure: Exception | None = None
    delivered: int = field(default=0, init=False)
    ended: bool = field(default=False, init=False)

    async def copy_from_query(
        self, _: str, *, output: Callable[[bytes], Awaitable[None]], **__: Any
    ) -> str:
        try:
            for chunk in self.chunks:
                await output(chunk)
                self.delivered += 1
            if self.failure is not None:
                raise self.failure
        finally:
            self.ended = True
        return self.status


def rows(count: int) -> bytes:
    return b"".join(b"%d\trow %d\n" % (number, number) for number in range(count))


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.fixture
def blocks_of_a_kilobyte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_copy, "BLOCK_BYTES", 1024)


@pytest.fixture
async def engine() -> AsyncGenerator[CopyEngine]:
    engine = CopyEngine()
    yield engine
    engine.close()


async def write(engine: CopyEngine, script: Script, target: Path, **options: Any) -> int:
    return await engine.write(
        cast("Connection", script),
        "select",
        parser=BlockParser(PLANS),
        target=target,
        silence_seconds=5,
        **options,
    )


@pytest.mark.parametrize("size", [1, 7, 1000, 1024, 100_000])
@pytest.mark.usefixtures("blocks_of_a_kilobyte")
async def test_rows_survive_whatever_the_network_cuts(
    engine: CopyEngine, tmp_path: Path, size: int
) -> None:
    data = rows(1500) if size > 1 else rows(60)
    count = data.count(b"\n")

    written = await write(engine, Script(cut(data, size), f"COPY {count}"), tmp_path / "f")

    table = pq.read_table(tmp_path / "f")
    assert table["n"].to_pylist() == list(range(count))
    assert table["s"].to_pylist() == [f"row {number}" for number in range(count)]
    assert written == count


async def test_no_rows_make_a_file_with_columns(engine: CopyEngine, tmp_path: Path) -> None:
    await write(engine, Script([]), tmp_path / "f")

    assert pq.read_table(tmp_path / "f").schema.names == ["n", "s"]


@pytest.mark.usefixtures("blocks_of_a_kilobyte")
async def test_progress_counts_written_rows(engine: CopyEngine, tmp_path: Path) -> None:
    told: list[int] = []

    await write(engine, Script([rows(500)], "COPY 500"), tmp_path / "f", on_rows=told.append)

    assert told[-1] == 500
    assert told == sorted(told)


async def test_a_row_that_got_lost_is_noticed(engine: CopyEngine, tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailableError, match="COPY 11"):
        await write(engine, Script([rows(10)], "COPY 11"), tmp_path / "f")

    assert not is_complete(tmp_path / "f")


@pytest.mark.usefixtures("blocks_of_a_kilobyte")
async def test_a_lost_connection_ends_the_copy_without_a_footer(
    engine: CopyEngine, tmp_path: Path
) -> None:
    script = Script([rows(500)] * 20, failure=ConnectionResetError("gone"))

    with pytest.raises(ConnectionResetError, match="gone"):
        await write(engine, script, tmp_path / "f")

    assert not is_complete(tmp_path / "f")


@pytest.mark.usefixtures("blocks_of_a_kilobyte")
async def test_a_bad_value_stops_the_server_early(engine: CopyEngine, tmp_path: Path) -> None:
    script = Script([rows(100), b"x\ty\n", *[rows(100)] * 50], "COPY 5101")

    with pytest.raises(UnstorableValueError, match="`n`"):
        await write(engine, script, tmp_path / "f")

    assert script.ended
    assert script.delivered < 10


@pytest.mark.usefixtures("blocks_of_a_kilobyte")
async def test_a_full_disk_stops_the_server(engine: CopyEngine) -> None:
    script = Script([rows(100)] * 3, "COPY 300")

    with pytest.raises(DiskFullError):
        await write(engine, script, Path("/dev/full"))

    assert script.ended


@pytest.mark.usefixtures("blocks_of_a_kilobyte")
async def test_a_slow_reader_holds_the_server_back(engine: CopyEngine) -> None:
    script = Script([rows(100)] * 100, "COPY 10000")
    batches = engine.stream(
        cast("Connection", script), "", parser=BlockParser(PLANS), silence_seconds=5
    )

    await anext(batches)
    for _ in range(200):
        await asyncio.sleep(0)

    assert script.delivered <= 8
    await batches.aclose()
    assert script.ended


@pytest.mark.usefixtures("blocks_of_a_kilobyte")
async def test_a_stream_yields_rows_in_order(engine: CopyEngine) -> None:
    script = Script(cut(rows(1000), 300), "COPY 1000")
    batches = engine.stream(
        cast("Connection", script), "", parser=BlockParser(PLANS), silence_seconds=5
    )

    numbers = [number async for batch in batches for number in batch.column(0).to_pylist()]

    assert numbers == list(range(1000))


async def test_cancelling_ends_the_statement_and_leaves_no_footer(
    engine: CopyEngine, tmp_path: Path
) -> None:
    begun = asyncio.Event()

    class Endless(Script):
        async def copy_from_query(
            self, _: str, *, output: Callable[[bytes], Awaitable[None]], **__: Any
        ) -> str:
            try:
                while True:
                    begun.set()
                    await output(rows(10))
            finally:
                self.ended = True

    script = Endless([])
    async with asyncio.TaskGroup() as tasks:
        copying = tasks.create_task(write(engine, script, tmp_path / "f"))
        await begun.wait()
        copying.cancel()

    assert script.ended
    assert not is_complete(tmp_path / "f")


def is_complete(path: Path) -> bool:
    return path.exists() and path.read_bytes()[-4:] == b"PAR1"
