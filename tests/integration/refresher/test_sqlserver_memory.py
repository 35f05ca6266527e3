"""What a copy costs its process does not grow with the table."""

from pathlib import Path

import pytest

from refresher.adapters.sqlserver_process import CopyOrder, DriverProcess
from refresher.domain.catalog import Side
from tests.support.tds.script import Load, Rows, Rule, Script, Table
from tests.support.tds.server import ScriptedServer

_COLUMNS = {
    "id": "int",
    "amount": "decimal(18,2)",
    "changed": "datetime2(3)",
    "text": "nvarchar(200)",
}
_STAGING = Table("[dbo].[staging]", _COLUMNS)
_BLOCK = 5000
_ALLOWED_MIB = 12
"""Batches on their way, and what the allocator keeps; the larger table alone has 28 MiB."""


async def _peak_mib(server: ScriptedServer, blocks: int) -> int:
    """Return the largest resident size of a process that copies so many blocks of rows."""
    rows = tuple((n, "12.34", "2024-02-29 13:14:15.123", "x" * 100) for n in range(_BLOCK))
    server.follow(
        Script(
            (
                Rule("from orders", (Rows(_COLUMNS, rows, times=blocks),)),
                Rule("insert bulk", (Load(is_drained=True),)),
            ),
            tables=(_STAGING,),
        )
    )
    async with DriverProcess() as driver:
        for side, user in ((Side.SOURCE, "reader"), (Side.TARGET, "writer")):
            address = (
                f"Server=127.0.0.1,{server.port};Database=shop;UID={user};PWD={user[0]};"
                "Encrypt=no;ConnectRetryCount=0;PacketSize=8000"
            )
            await driver.connect(side, address, login_seconds=10, statement_seconds=10)
        order = CopyOrder(
            sql="select * from orders",
            table=_STAGING.name,
            columns=tuple(_COLUMNS),
            batch_rows=1000,
        )
        copied = await driver.copy(order, silence=30)
        assert copied.rows == blocks * _BLOCK
        process = driver._process
        assert process is not None
        return _resident_peak_mib(process.pid)


def _resident_peak_mib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    (peak,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) // 1024


@pytest.mark.covers("S4-17")
async def test_the_memory_of_a_copy_does_not_follow_the_size_of_the_table() -> None:
    with ScriptedServer() as server:
        small = await _peak_mib(server, 2)
        large = await _peak_mib(server, 40)
    assert large - small < _ALLOWED_MIB
