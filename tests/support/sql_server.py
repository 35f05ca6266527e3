"""A real SQL Server for tests: `PENSTOCK_TEST_MSSQL=mssql://user:password@host:1433?tls=disable`.

The login must be allowed to create databases and logins; each test gets a production and a UAT
database of its own, which are dropped afterwards. Nothing in the project can start such a server,
so modules that use this one are left out, and named, where the variable is not set.
"""

import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from refresher.adapters.sqlserver import SqlServerEngine
from refresher.adapters.sqlserver_connections import SqlServerAddress, SqlServerPair
from refresher.adapters.sqlserver_errors import SqlServerRefusedError
from refresher.adapters.sqlserver_process import DriverProcess
from refresher.domain.catalog import Side, TableRef
from refresher.domain.config import RefreshConfig
from refresher.domain.guards import Pins, VerifiedTarget, verify
from refresher.domain.plan import ComponentPlan, Plan
from refresher.domain.planner import Findings, Request, make_plan, refs_of
from refresher.ports import Fence, Loaded, Question, Swapped
from tests.support.environment import GIVEN
from tests.support.errors import MissingServerError

_SECONDS = 60.0
_READER_PASSWORD = "Penstock-tests-1"
FENCE = Fence(run_id="r1", token=1)


def given_address() -> SqlServerAddress:
    """Return the server that the environment names."""
    if "PENSTOCK_TEST_MSSQL" not in GIVEN:
        raise MissingServerError(
            "These tests need a SQL Server, and nothing here can start one: name it by "
            "PENSTOCK_TEST_MSSQL=mssql://user:password@host:1433, as docs/refresher-sqlserver.md "
            "says."
        )
    parts = urlsplit(GIVEN["PENSTOCK_TEST_MSSQL"])
    options = {name: values[0] for name, values in parse_qs(parts.query).items()}
    return SqlServerAddress(
        server=parts.hostname or "localhost",
        port=parts.port,
        database="master",
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        tls=options.pop("tls", "require"),
        statement_seconds=_SECONDS,
    )


class Estate:
    """A production and a UAT database, and a refresh from the one to the other."""

    def __init__(
        self, admin: DriverProcess, engine: SqlServerEngine, target: VerifiedTarget
    ) -> None:
        self._admin = admin
        self.engine = engine
        self.target = target

    async def run(self, side: Side, *statements: str) -> Sequence[tuple[Any, ...]]:
        """Run statements as the owner; return the rows of the last one."""
        rows: Sequence[tuple[Any, ...]] = ()
        for sql in statements:
            rows = (await self._admin.query(side, sql, seconds=_SECONDS)).rows
        return rows

    async def both(self, *statements: str) -> None:
        """Run statements in both databases."""
        for side in Side:
            await self.run(side, *statements)

    async def plan(self, tables: Sequence[Mapping[str, Any]], **settings: Any) -> Plan:
        """Plan a refresh of these tables as the service does, nothing masked."""
        config = RefreshConfig.model_validate(
            {
                "databases": {
                    "source": {"server": "s", "database": "prod"},
                    "target": {"server": "t", "database": "uat"},
                },
                "tables": list(tables),
                "settings": settings,
                "masking": {
                    "classes": {"plain": {"method": "keep"}},
                    "rules": [{"columns": ["*"], "class": "plain"}],
                },
            }
        )
        keys = tuple(table.name for table in config.tables)
        return make_plan(
            config,
            self.engine.dialect,
            request=Request(keys=keys, is_forced=True),
            findings=await self._findings(config, keys),
            plan_id=f"plan-{datetime.now(UTC).timestamp()}",  # noqa: TID251 - a token
            now=datetime.now(UTC),  # noqa: TID251 - no test depends on it
        )

    async def _findings(self, config: RefreshConfig, keys: tuple[str, ...]) -> Findings:
        refs = refs_of(config, keys)
        columns = {table.name: table.incremental_column for table in config.tables}
        extents = {}
        catalogs = {}
        for side, number in ((Side.SOURCE, 0), (Side.TARGET, 1)):
            here: dict[str, TableRef] = {key: pair[number] for key, pair in refs.items()}
            questions = [Question(ref=ref, column=columns[key]) for key, ref in here.items()]
            found = await self.engine.measure(side, questions)
            extents[side] = dict(zip(here, found, strict=True))
            catalogs[side] = await self.engine.read_catalog(side, here.values())
        return Findings(
            source=catalogs[Side.SOURCE],
            target=catalogs[Side.TARGET],
            source_extents=extents[Side.SOURCE],
            target_extents=extents[Side.TARGET],
            history={},
            source_fingerprint="s",
            target_fingerprint=self.target.fingerprint,
        )

    async def can(self, *abilities: str) -> bool:
        """Return whether the target's server is able to do all of these, by its own account."""
        catalog = await self.engine.read_catalog(Side.TARGET, [])
        return catalog.capabilities.issuperset(abilities)

    async def knows(self, kind: str) -> bool:
        """Return whether the server has a type."""
        try:
            await self.run(Side.TARGET, f"SELECT CONVERT({kind}, NULL)")
        except SqlServerRefusedError:
            return False
        return True

    async def knows_ticks(self) -> bool:
        """Return whether the server's moments have a seventh digit."""
        sql = "SELECT CONVERT(varchar(40), CONVERT(time(7), '00:00:00.0000001'), 121)"
        return str((await self.run(Side.TARGET, sql))[0][0]).rstrip().endswith("1")

    async def load(self, plan: Plan, component: ComponentPlan) -> Mapping[str, Loaded]:
        """Bring the schema in step and fill staging."""
        for table in component.tables:
            await self.engine.apply_schema(self.target, table)
        return await self.engine.load(self.target, plan, component, key=b"", progress=_ignore)

    async def refresh(self, plan: Plan) -> list[Swapped]:
        """Apply a plan; whatever was not loaded exactly is an error."""
        assert plan.refusals == ()
        swapped = []
        for component in plan.components:
            for loaded in (await self.load(plan, component)).values():
                assert loaded.verification.problems == ()
            swapped.append(await self.engine.swap(self.target, plan, component, fence=FENCE))
            for table in component.tables:
                await self.engine.clean(self.target, table)
        return swapped

    async def undo(self, plan: Plan) -> None:
        """Put everything back."""
        for component in reversed(plan.components):
            await self.engine.undo(self.target, plan, component, fence=FENCE)


async def _ignore(_table: str, _rows: int, _bytes: int) -> None: ...


@dataclass(frozen=True, slots=True)
class _Names:
    source: str
    target: str
    reader: str


@contextlib.asynccontextmanager
async def new_estate(unique: str) -> AsyncGenerator[Estate]:
    """Make both databases, a login that only reads, and the marker; drop all of it at the end."""
    names = _Names(f"penstock_prod_{unique}", f"penstock_uat_{unique}", f"penstock_{unique}")
    address = given_address()
    async with DriverProcess() as master:
        await _connect(master, Side.TARGET, address)
        try:
            for ways in _made(names):
                await _any_of(master, Side.TARGET, ways)
            async with DriverProcess() as admin:
                await _connect(admin, Side.SOURCE, replace(address, database=names.source))
                await _connect(admin, Side.TARGET, replace(address, database=names.target))
                estate = await _estate(admin, address, names)
                try:
                    yield estate
                finally:
                    await estate.engine.close()
        finally:
            for ways in _dropped(names):
                await _any_of(master, Side.TARGET, ways)


async def _connect(driver: DriverProcess, side: Side, address: SqlServerAddress) -> None:
    await driver.connect(
        side, address.connection_string(), login_seconds=30, statement_seconds=_SECONDS
    )


async def _estate(admin: DriverProcess, address: SqlServerAddress, names: _Names) -> Estate:
    await admin.query(
        Side.TARGET,
        "EXECUTE sp_addextendedproperty @name = N'penstock.refresh_role', @value = N'target'",
        seconds=_SECONDS,
    )
    for ways in _granted(names):
        await _any_of(admin, Side.SOURCE, ways)
    reader = replace(address, database=names.source, user=names.reader, password=_READER_PASSWORD)
    engine = SqlServerEngine(
        SqlServerPair(reader, replace(address, database=names.target)), silence=_SECONDS
    )
    source, target = [await engine.identify(side) for side in (Side.SOURCE, Side.TARGET)]
    proof = verify(source, target, pins=Pins(source=source.fingerprint, target=target.fingerprint))
    assert isinstance(proof, VerifiedTarget), proof
    return Estate(admin, engine, proof)


async def _any_of(driver: DriverProcess, side: Side, ways: Sequence[str]) -> None:
    """Run the first of these statements that the server takes: not all speak all of T-SQL."""
    for sql in ways[:-1]:
        with contextlib.suppress(SqlServerRefusedError):
            await driver.query(side, sql, seconds=_SECONDS)
            return
    await driver.query(side, ways[-1], seconds=_SECONDS)


def _made(names: _Names) -> list[tuple[str, ...]]:
    allow = f"ALTER DATABASE [{names.source}] SET ALLOW_SNAPSHOT_ISOLATION ON"
    return [
        (f"CREATE LOGIN [{names.reader}] WITH PASSWORD = N'{_READER_PASSWORD}'",),
        (f"CREATE DATABASE [{names.source}]",),
        (f"CREATE DATABASE [{names.target}]",),
        # A server that always allows it has no word for it; the load refuses one that does not.
        (allow, "SELECT 1"),
    ]


def _granted(names: _Names) -> list[tuple[str, ...]]:
    everything = f"GRANT SELECT, VIEW DEFINITION TO [{names.reader}]"
    return [
        (f"CREATE USER [{names.reader}] FOR LOGIN [{names.reader}]",),
        (everything, f"GRANT SELECT ON SCHEMA::[dbo] TO [{names.reader}]"),
    ]


def _dropped(names: _Names) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name in (names.source, names.target):
        single = f"ALTER DATABASE [{name}] SET SINGLE_USER WITH ROLLBACK IMMEDIATE"
        found.append((single, "SELECT 1"))
        found.append((f"DROP DATABASE IF EXISTS [{name}]",))
    found.append((f"IF SUSER_ID(N'{names.reader}') IS NOT NULL DROP LOGIN [{names.reader}]",))
    return found
