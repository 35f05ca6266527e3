"""The client against a real server: pool, retries, time-outs, credentials, catalogue."""

import asyncio
import ssl
import time
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import polars as pl
import pytest

from tests.support.eventually import eventually
from tests.support.proxy import FaultProxy
from tests.support.wrds_server import WrdsServer
from tests.support.wrds_server_client import GivenCredentials, opened
from tests.support.wrds_server_tables import DAILY
from wrds_sync.adapters.wrds_client_pool import tls
from wrds_sync.domain.tables import TableRef
from wrds_sync.errors import (
    DatasetConfigError,
    QueryTimeoutError,
    SourceRefusedError,
    SourceUnavailableError,
)
from wrds_sync.settings.environment import WRDSConfig

CRSP_DAILY = TableRef("crsp", "dsf")
SLEEP = "select 1 as one from pg_sleep(60)"


@pytest.fixture
async def server(empty_database_url: str) -> WrdsServer:
    return await WrdsServer.create(empty_database_url)


@pytest.fixture
def proxy(server: WrdsServer) -> Iterator[FaultProxy]:
    parts = urlsplit(server.url)
    with FaultProxy(parts.hostname or "", parts.port or 5432) as proxy:
        yield proxy


class Naps:
    """Remembers what was slept, and does not sleep."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


async def sessions(server: WrdsServer) -> int:
    async with server.connection() as connection:
        found: int = await connection.fetchval(
            "select count(*) from pg_stat_activity "
            "where datname = current_database() and application_name = 'penstock'"
        )
    return found


@pytest.mark.covers("S5-75", "C-41")
async def test_three_connections_are_kept_and_two_more_are_opened_under_load(
    server: WrdsServer,
) -> None:
    async with opened(server, pool_size=3, max_overflow=2) as client:
        await client.execute_query("select 1")
        assert await sessions(server) == client.pool_size == 3

        async with asyncio.TaskGroup() as queries:
            for _ in range(7):
                queries.create_task(client.execute_query("select 1 as n from pg_sleep(0.3)"))
            await eventually(lambda: client.pool_size == 5)
            assert await sessions(server) == 5

    assert await sessions(server) == 0


@pytest.mark.covers("S5-11", "S5-77")
async def test_a_long_query_is_ended_at_the_server(server: WrdsServer) -> None:
    async with opened(server, query_timeout_seconds=0.3) as client:
        started = time.monotonic()
        with pytest.raises(QueryTimeoutError):
            await client.execute_query(SLEEP)

        assert time.monotonic() - started < 5
        assert (await client.execute_query("select 1 as one"))["one"].to_list() == [1]
        assert await sessions(server) == 1


@pytest.mark.covers("S5-77")
async def test_a_caller_that_gives_up_ends_the_query_at_the_server(server: WrdsServer) -> None:
    async with opened(server) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await client.execute_query(SLEEP)

        async with server.connection() as connection:
            active = "select count(*) from pg_stat_activity where query like $1"
            assert await connection.fetchval(active, "%pg_sleep(60)%") <= 1  # this one
        assert (await client.execute_query("select 1 as one"))["one"].to_list() == [1]


@pytest.mark.covers("S5-12", "S5-37", "S5-78")
async def test_three_more_attempts_are_made_to_connect_each_after_a_longer_wait(
    server: WrdsServer, proxy: FaultProxy
) -> None:
    proxy.refuse()
    naps = Naps()
    async with opened(server, sleep=naps, host=proxy.host, port=proxy.port) as client:
        with pytest.raises(SourceUnavailableError):
            await client.execute_query("select 1")

    first, second, third = naps.seconds
    assert first < second < third


@pytest.mark.covers("S5-78")
async def test_a_server_that_comes_back_is_used_again(
    server: WrdsServer, proxy: FaultProxy
) -> None:
    proxy.refuse()

    async def restore(_: float) -> None:
        await asyncio.to_thread(proxy.restore)

    async with opened(server, sleep=restore, host=proxy.host, port=proxy.port) as client:
        frame = await client.execute_query("select 1 as one")

    assert frame["one"].to_list() == [1]


@pytest.mark.covers("S5-12")
async def test_a_connection_that_died_unnoticed_is_replaced(
    server: WrdsServer, proxy: FaultProxy
) -> None:
    async with opened(server, sleep=Naps(), host=proxy.host, port=proxy.port) as client:
        await client.execute_query("select 1")
        await asyncio.to_thread(proxy.reset)

        assert (await client.execute_query("select 2 as two"))["two"].to_list() == [2]


@pytest.mark.covers("S5-13", "S5-79")
async def test_credentials_are_read_for_every_new_connection(server: WrdsServer) -> None:
    name = f"r_{server.env['WRDS_DATABASE']}"
    await server.execute(f"create role {name} login password 'second'")
    credentials = GivenCredentials(server.env["WRDS_USERNAME"], server.env["WRDS_PASSWORD"])
    try:
        async with opened(server, credentials, sleep=Naps()) as client:
            assert await user(client) == server.env["WRDS_USERNAME"]
            credentials.username, credentials.password = name, "second"
            await server.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and application_name = 'penstock'"
            )
            assert await user(client) == name
    finally:
        await server.execute(f"drop role {name}")


async def test_a_refused_log_on_is_not_tried_twice(server: WrdsServer, proxy: FaultProxy) -> None:
    name = f"n_{server.env['WRDS_DATABASE']}"
    await server.execute(f"create role {name} nologin password 'x'")
    try:
        credentials = GivenCredentials(name, "x")
        address = {"host": proxy.host, "port": proxy.port}
        async with opened(server, credentials, sleep=Naps(), **address) as client:
            for _ in range(3):
                with pytest.raises(SourceRefusedError):
                    await client.execute_query("select 1")
    finally:
        await server.execute(f"drop role {name}")

    assert proxy.accepted == 1


async def user(client: Any) -> str:
    return str((await client.execute_query("select current_user::text as who"))["who"].item())


@pytest.mark.covers("S5-09")
async def test_a_table_is_described(server: WrdsServer) -> None:
    await server.fill_daily(date(2020, 1, 1), date(2020, 12, 31), securities=2)
    await server.execute("analyze crsp_store.dsf")
    await server.say_modified(DAILY, datetime(2024, 2, 29, 13, 5, 14))  # noqa: DTZ001

    async with opened(server) as client:
        info = await client.table_info(CRSP_DAILY, types={"permno": "int32"})

    assert info.is_view
    assert info.last_modified == "02/29/2024 13:05:14"
    assert info.comment == "Last modified: 02/29/2024 13:05:14"
    assert info.estimated_rows == 524
    assert 100 < (info.estimated_row_bytes or 0) < 200
    shown = [(c.name, c.source_type, c.stored_type) for c in info.columns]
    assert shown[0] == ("cusip", "character varying(8)", "string")
    assert shown[1] == ("permno", "double precision", "int32")
    assert shown[6] == ("date", "date", "date32[day]")
    assert shown[7] == ("bidlo", "numeric(12,5)", "decimal128(12, 5)")
    assert len(shown) == 20


async def test_a_table_that_was_never_analysed_has_no_estimate(server: WrdsServer) -> None:
    async with opened(server) as client:
        info = await client.table_info(CRSP_DAILY)

    assert (info.estimated_rows, info.estimated_row_bytes) == (None, None)
    assert (info.comment, info.last_modified) == (None, None)


async def test_a_missing_table_and_an_impossible_type_are_refused(server: WrdsServer) -> None:
    async with opened(server) as client:
        with pytest.raises(SourceRefusedError, match=r"crsp\.ghost"):
            await client.table_info(TableRef("crsp", "ghost"))
        with pytest.raises(DatasetConfigError, match="`permno`"):
            await client.table_info(CRSP_DAILY, types={"permno": "number"})


async def test_a_listing_says_what_may_be_read(server: WrdsServer) -> None:
    name = f"s_{server.env['WRDS_DATABASE']}"
    await server.execute(
        f"create role {name} login password 'x'; grant usage on schema crsp to {name};"
        f"grant select on crsp.dsf to {name}; grant select on comp.funda to {name}"
    )
    try:
        async with opened(server, GivenCredentials(name, "x")) as client:
            listed = await client.list_tables(["crsp", "comp"])
            with pytest.raises(SourceRefusedError, match="permission denied"):
                await client.execute_query("select * from crsp.msf")
    finally:
        await server.execute(f"drop owned by {name}; drop role {name}")

    assert [(str(entry.table), entry.is_readable) for entry in listed] == [
        ("comp.funda", False),  # the schema may not be entered
        ("comp.fundq", False),
        ("crsp.dsf", True),
        ("crsp.dsf_v2", False),
        ("crsp.msf", False),
    ]


@pytest.mark.covers("S5-09")
async def test_a_query_is_a_frame_with_the_statements_types(server: WrdsServer) -> None:
    async with opened(server) as client:
        frame = await client.execute_query(
            "select $1::date as day, 1.50::numeric as amount, 2::int2 as small, null::text as note",
            [date(2020, 2, 29)],
        )
        empty = await client.execute_query("select 1::int8 as n, 'x'::text as s where false")

    assert frame.rows() == [(date(2020, 2, 29), Decimal("1.50"), 2, None)]
    assert frame.schema["small"] == pl.Int16()
    assert frame.schema["note"] == pl.String()
    assert empty.schema == {"n": pl.Int64(), "s": pl.String()}
    assert empty.height == 0


async def test_nothing_can_be_written_to_the_archive(server: WrdsServer) -> None:
    async with opened(server) as client:
        with pytest.raises(SourceRefusedError, match="read-only"):
            await client.execute_query("create table x (a int)")


async def test_a_parameter_that_does_not_fit_is_refused(server: WrdsServer) -> None:
    async with opened(server) as client:
        with pytest.raises(SourceRefusedError):
            await client.execute_query("select $1::int4", ["seven"])


async def test_a_server_without_encryption_is_not_trusted_with_a_password(
    server: WrdsServer,
) -> None:
    async with opened(server, sleep=Naps(), ssl_mode="verify-full") as client:
        with pytest.raises(SourceUnavailableError, match="SSL"):
            await client.execute_query("select 1")


@pytest.mark.covers("S5-08")
def test_certificates_are_checked_unless_the_settings_say_otherwise() -> None:
    required = {"WRDS_USERNAME": "u", "WRDS_PASSWORD": "p"}
    config = WRDSConfig.model_validate(required)
    assert (config.host, config.port, config.database) == (
        "wrds-pgdata.wharton.upenn.edu",
        9737,
        "wrds",
    )
    assert (config.pool_size, config.max_overflow) == (3, 2)
    assert (config.query_timeout_seconds, config.rate_limit_queries_per_minute) == (300, 10)
    strict = tls(config)
    assert isinstance(strict, ssl.SSLContext)
    assert strict.check_hostname
    assert strict.verify_mode is ssl.CERT_REQUIRED
    loose = tls(WRDSConfig.model_validate({**required, "WRDS_SSL_MODE": "require"}))
    assert isinstance(loose, ssl.SSLContext)
    assert loose.verify_mode is ssl.CERT_NONE
    assert tls(WRDSConfig.model_validate({**required, "WRDS_SSL_MODE": "disable"})) is False


async def test_a_client_that_was_never_used_has_no_connections(server: WrdsServer) -> None:
    async with opened(server) as client:
        assert client.pool_size == 0
