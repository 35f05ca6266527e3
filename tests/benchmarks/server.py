"""The server of benchmarks that fill tables with millions of rows."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import uvloop

from penstock.stack import PartName, Stack, read_settings

CACHE = os.environ.get("BENCH_CACHE", "512MB")  # noqa: TID251 - a script's option
"""`shared_buffers`, as docs/operations/install.md asks for; PostgreSQL's own default is 128MB."""


@contextmanager
def filled_server() -> Generator[tuple[str, Path]]:
    """Run PostgreSQL, durability off; yield its address, and a folder for scratch."""
    with TemporaryDirectory(prefix="penstock-bench-") as name:
        folder = Path(name)
        stack = Stack(settings=read_settings().in_folder(folder), fast=True)
        try:
            url = stack.up([PartName.POSTGRES], tied=True).env["DATABASE_URL"]
            uvloop.run(_resize_cache(url))
            stack.down()
            yield stack.up([PartName.POSTGRES], tied=True).env["DATABASE_URL"], folder
        finally:
            stack.down()


async def _resize_cache(url: str) -> None:
    """Set what the server takes up when it starts the next time."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"alter system set shared_buffers = '{CACHE}'")
    finally:
        await connection.close()
