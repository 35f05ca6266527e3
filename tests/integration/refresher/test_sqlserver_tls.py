"""The real driver under TLS, its bulk loader too, with certificates that it should trust or not."""

from collections.abc import Generator
from pathlib import Path

import pytest

from refresher.adapters.sqlserver_connections import SqlServerAddress, SqlServerPair
from refresher.adapters.sqlserver_errors import SqlServerLostError, SqlServerRefusedError
from refresher.adapters.sqlserver_process import CopyOrder, DriverProcess
from refresher.domain.catalog import Side
from tests.support.tds.script import Load, Rows, Rule, Script, Table
from tests.support.tds.server import ScriptedServer
from tests.support.tls_site import write_authority

_COLUMNS = {"id": "int", "name": "nvarchar(50)"}
_ROWS = Rows(_COLUMNS, tuple((number, "x" * 40) for number in range(5000)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tls")
    write_authority(made)
    return made


@pytest.fixture(scope="module")
def server(folder: Path) -> Generator[ScriptedServer]:
    script = Script(
        (Rule("from orders", (_ROWS,)), Rule("insert bulk", (Load(),))),
        tables=(Table("[dbo].[staging]", _COLUMNS),),
        certificate=str(folder / "server.pem"),
    )
    with ScriptedServer(script) as running:
        yield running


def _address(
    running: ScriptedServer,
    *,
    host: str = "localhost",
    tls: str = "require",
    ca_file: str | None = None,
) -> SqlServerAddress:
    return SqlServerAddress(
        server=host,
        port=running.port,
        database="shop",
        user="reader",
        password="r",
        tls=tls,
        ca_file=ca_file,
        login_seconds=10,
        statement_seconds=10,
    )


async def _copied(address: SqlServerAddress) -> int:
    """Log in on both sides and copy; return the rows."""
    async with DriverProcess() as driver:
        for side in Side:
            await driver.connect(
                side,
                address.connection_string(),
                login_seconds=10,
                statement_seconds=10,
                ca_file=address.ca_file,
            )
        order = CopyOrder(
            sql="select id, name from orders",
            table="[dbo].[staging]",
            columns=("id", "name"),
            batch_rows=1000,
        )
        return (await driver.copy(order, silence=20)).rows


async def test_by_default_everything_is_encrypted(server: ScriptedServer) -> None:
    before = len(server.events("secured"))
    assert await _copied(_address(server)) == 5000
    # Source, target, and the loader's own connection.
    assert len(server.events("secured")) == before + 3


async def test_a_server_without_encryption_is_not_spoken_to() -> None:
    with ScriptedServer() as plain:
        with pytest.raises((SqlServerRefusedError, SqlServerLostError)):
            await _copied(_address(plain))
        assert plain.events("login") == []


async def test_an_unknown_authority_is_refused_where_certificates_are_verified(
    server: ScriptedServer,
) -> None:
    before = len(server.events("login"))
    with pytest.raises((SqlServerRefusedError, SqlServerLostError)):
        await _copied(_address(server, tls="verify-full"))
    assert len(server.events("login")) == before


async def test_a_private_authority_is_known_by_its_file(
    server: ScriptedServer, folder: Path
) -> None:
    address = _address(server, tls="verify-full", ca_file=str(folder / "ca.pem"))
    assert await _copied(address) == 5000


async def test_a_certificate_of_another_name_is_refused(
    server: ScriptedServer, folder: Path
) -> None:
    address = _address(server, tls="verify-full", ca_file=str(folder / "ca.pem"), host="127.0.0.1")
    with pytest.raises((SqlServerRefusedError, SqlServerLostError)):
        await _copied(address)


async def test_the_engine_asks_under_tls_too(server: ScriptedServer, folder: Path) -> None:
    address = _address(server, tls="verify-full", ca_file=str(folder / "ca.pem"))
    pair = SqlServerPair(address, address)
    async with pair.look(Side.SOURCE) as driver:
        result = await driver.query(Side.SOURCE, "select id, name from orders", seconds=10)
    await pair.close()
    assert len(result.rows) == 5000
