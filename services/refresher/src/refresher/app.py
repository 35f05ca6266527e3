"""How the refresher is put together: the only module that knows all the parts."""

import asyncio
import getpass
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from chassis.bus.delivery import Handler
from chassis.clock import Clock, SystemClock
from chassis.commands import CommandSpec, cancel_handler, command_handler
from chassis.db import Database
from chassis.dead_letters.commands import replay_handler
from chassis.dead_letters.replay import replay_jobs
from chassis.doctor import Check, standard_checks
from chassis.drift import decision_handler
from chassis.errors import PenstockError, SettingsError
from chassis.logs import configure_logging, register_secrets
from chassis.process import exit_on_bad_settings, host
from chassis.runs import RunWorker, submit
from chassis.settings import secret_values
from contracts.runs import RunStatus
from contracts.topics import (
    REFRESH_APPROVE_REQUESTED,
    REFRESH_PREVIEW_REQUESTED,
    REFRESH_REQUESTED,
    REFRESH_UNDO_REQUESTED,
    Topic,
)
from refresher import consumers
from refresher.adapters.config_file import load_config
from refresher.adapters.figures import RefreshFigures
from refresher.adapters.ledger import PostgresLedger
from refresher.adapters.observations import PostgresObservations
from refresher.adapters.postgres import open_postgres
from refresher.adapters.postgres_connections import Access, Connections
from refresher.adapters.postgres_samples import PostgresSampler
from refresher.adapters.sqlserver import open_sqlserver
from refresher.adapters.sqlserver_connections import SqlServerAddress, SqlServerPair
from refresher.adapters.sqlserver_samples import SqlServerSampler
from refresher.domain.catalog import Side
from refresher.domain.config import DatabaseConfig, EngineKind, RefreshConfig
from refresher.domain.describe import describe
from refresher.domain.plan import from_json
from refresher.handlers.applying import Applying
from refresher.handlers.decisions import Decisions
from refresher.handlers.looking import Looking
from refresher.handlers.planning import Planning
from refresher.handlers.refresh import ALL, Refresher
from refresher.jobs import (
    APPLY,
    PREVIEW,
    REFRESH,
    UNDO,
    Housekeeping,
    Observing,
    refresh_jobs,
)
from refresher.ports import EngineFactory, SamplerFactory
from refresher.settings import OnceSettings, RefresherPart, RefresherSettings

SERVICE = "refresher"


async def run(settings: RefresherSettings) -> None:
    """Read the configuration and work until told to stop."""
    config = load_config(settings.process.config_directory / settings.refresher.config_file)
    open_engine = engine_factory(config, settings.refresher)
    async with host(SERVICE, settings) as process:
        refresher = build(
            config, settings.refresher, process.database, open_engine, clock=process.clock
        )
        decisions = Decisions(refresher.ledger)
        names = frozenset((ALL, *(table.name for table in config.tables)))

        def runs(topic: Topic, kind: str) -> Handler:
            spec = CommandSpec(topic, kind=kind, targets=lambda: names)
            return command_handler(spec, service=SERVICE, clock=process.clock)

        consumers.subscribe(
            process.bus,
            refresh=runs(REFRESH_REQUESTED, REFRESH),
            approve=runs(REFRESH_APPROVE_REQUESTED, APPLY),
            undo=runs(REFRESH_UNDO_REQUESTED, UNDO),
            preview=runs(REFRESH_PREVIEW_REQUESTED, PREVIEW),
            cancel=cancel_handler(service=SERVICE),
            replay=replay_handler(service=SERVICE),
            decisions=decision_handler(
                decisions.accept,
                service=SERVICE,
                clock=process.clock,
                on_reject=decisions.reject,
            ),
        )
        looking = build_looking(config, settings.refresher, refresher)
        process.work(refresh_jobs(refresher, looking))
        process.work(replay_jobs(process.clock))
        housekeeping = Housekeeping(
            process.database,
            ledger=refresher.ledger,
            planning=refresher.planning,
            open_engine=open_engine,
        )
        process.background("housekeeping", housekeeping.run)
        figures = RefreshFigures(process.database, [table.name for table in config.tables])
        process.background("figures", figures.run)
        observing = Observing(
            process.database, looking, every_seconds=settings.refresher.observe_seconds
        )
        process.background("observing", observing.run)
        await process.run()


def build(
    config: RefreshConfig,
    part: RefresherPart,
    database: Database,
    open_engine: EngineFactory,
    *,
    clock: Clock,
) -> Refresher:
    """Return what executes the runs."""
    ledger = PostgresLedger()
    key = part.masking_key.get_secret_value().encode() if part.masking_key else b""
    return Refresher(
        config=config,
        open_engine=open_engine,
        ledger=ledger,
        database=database,
        planning=Planning(config, ledger=ledger, database=database, clock=clock),
        applying=Applying(config, ledger=ledger, database=database, key=key),
        clock=clock,
        is_test=(part.environment or config.settings.environment) == "test",
        has_key=bool(key),
    )


def engine_factory(config: RefreshConfig, part: RefresherPart) -> EngineFactory:
    """Return what opens the engine of a configuration.

    Raises:
        SettingsError: credentials are missing, or the log-on cannot be used here.
    """
    settings = config.settings
    if config.databases.target.kind is EngineKind.SQLSERVER:
        addresses = _addresses(config, part)
        return lambda: open_sqlserver(
            addresses[Side.SOURCE], addresses[Side.TARGET], silence=settings.command_timeout
        )
    logins = {side: _login(side, config, part) for side in Side}
    return lambda: open_postgres(
        Connections(Side.SOURCE, logins[Side.SOURCE]),
        Connections(Side.TARGET, logins[Side.TARGET]),
        silence=settings.command_timeout,
    )


def sampler_factory(config: RefreshConfig, part: RefresherPart) -> SamplerFactory:
    """Return what opens a configuration's databases for a look at a few rows."""
    if config.databases.target.kind is EngineKind.SQLSERVER:
        addresses = _addresses(config, part)
        return lambda: SqlServerSampler.opened(
            SqlServerPair(addresses[Side.SOURCE], addresses[Side.TARGET])
        )
    logins = {side: _login(side, config, part) for side in Side}
    return lambda: PostgresSampler.opened(
        {side: Connections(side, login) for side, login in logins.items()}
    )


def build_looking(config: RefreshConfig, part: RefresherPart, refresher: Refresher) -> Looking:
    """Return what counts tables and fetches a few rows."""
    key = part.masking_key.get_secret_value().encode() if part.masking_key else b""
    return Looking(
        config=config,
        open_engine=refresher.open_engine,
        open_sampler=sampler_factory(config, part),
        observations=PostgresObservations(),
        ledger=refresher.ledger,
        database=refresher.database,
        planning=refresher.planning,
        key=key,
    )


def _addresses(config: RefreshConfig, part: RefresherPart) -> dict[Side, SqlServerAddress]:
    settings = config.settings
    return {
        side: SqlServerAddress.of(
            login.config,
            user=login.user,
            password=login.password.get_secret_value(),
            login_seconds=settings.connection_timeout,
            statement_seconds=settings.command_timeout,
        )
        for side, login in ((side, _login(side, config, part)) for side in Side)
    }


def _login(side: Side, config: RefreshConfig, part: RefresherPart) -> Access:
    database: DatabaseConfig = getattr(config.databases, side.value)
    user: str | None = getattr(part, f"{side.value}_user")
    password: SecretStr | None = getattr(part, f"{side.value}_password")
    prefix = f"{side.value.upper()}_DB"
    problems = []
    by_ticket = database.auth_type == "windows"
    if by_ticket and database.kind is EngineKind.POSTGRESQL:
        problems.append(f"`databases.{side.value}.auth_type`: PostgreSQL is reached with `sql`")
    if user is None and not by_ticket:
        problems.append(f"`{prefix}_USER` is missing")
    if password is None and not by_ticket:
        problems.append(f"`{prefix}_PASSWORD` is missing")
    if problems:
        raise SettingsError("settings: " + "; ".join(problems), problems=problems)
    return Access(
        config=database,
        user=user or "",
        password=password or SecretStr(""),
        connect_seconds=config.settings.connection_timeout,
        command_seconds=config.settings.command_timeout,
    )


def checks(settings: RefresherSettings) -> dict[str, Check]:
    """Return what `--check` looks at."""
    path = settings.process.config_directory / settings.refresher.config_file

    async def configuration() -> str:
        if not path.exists():
            return f"there is no `{path.name}`: nothing is refreshed from here"
        config = load_config(path)
        return f"{len(config.tables)} tables: {', '.join(table.name for table in config.tables)}"

    async def databases() -> str:
        part = settings.refresher
        if not path.exists() or (part.source_user is None and part.target_user is None):
            return "no logins are set (`SOURCE_DB_USER`, `TARGET_DB_USER`): nothing to look at"
        return await look(path, part)

    return {
        "configuration": Check(configuration, f"correct `{path.name}`"),
        "databases": Check(databases, "see docs/refresher.md, `Before the first refresh`"),
        **standard_checks(settings, SERVICE),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """A single refresh from the command line."""

    path: Path
    table: str
    is_dry: bool
    is_forced: bool


async def run_once(settings: OnceSettings, once: Once) -> int:
    """Refresh once with a file, through the same ledger as the service; return the exit code."""
    configure_logging(SERVICE, level=settings.process.log_level, form="console")
    register_secrets(secret_values(settings))
    try:
        return await _once(settings, once)
    except PenstockError as error:
        return exit_on_bad_settings(error)


async def _once(settings: OnceSettings, once: Once) -> int:
    config = load_config(once.path)
    open_engine = engine_factory(config, settings.refresher)
    clock = SystemClock()
    database = await Database.open(settings.database, SERVICE)
    try:
        refresher = build(config, settings.refresher, database, open_engine, clock=clock)
        # A kind of its own: no worker with another configuration takes it.
        kind = f"refresh-{uuid.uuid4().hex[:12]}"
        async with database.transaction() as transaction:
            run_id = await submit(
                transaction,
                service=SERVICE,
                kind=kind,
                target=once.table,
                parameters={"table": once.table, "force": once.is_forced},
                requester=getpass.getuser(),
                reason=f"command line, {once.path.name}",
                dry_run=once.is_dry,
            )
        worker = RunWorker(database, {kind: refresher.refresh}, clock=clock, concurrency=1)
        while True:
            await worker.step()
            async with database.connection() as connection:
                row = await connection.fetchrow(_OUTCOME, run_id)
            if row is not None and RunStatus(row["status"]).is_final:
                break
            await asyncio.sleep(_POLL_SECONDS)
    finally:
        await database.close()
    plan = from_json(row["plan"]) if row["plan"] else None
    sys.stdout.write(describe(plan, row["plan_status"], row["status"], row["message"]))
    return 0 if row["status"] == RunStatus.COMPLETED.value else 1


_OUTCOME = """
select r.status, r.message, p.status as plan_status, p.plan::text as plan
from meta.runs r left join refresher.plans p using (run_id)
where r.run_id = $1::uuid
order by p.created_at desc limit 1
"""
_POLL_SECONDS = 0.2


async def look(path: Path, part: RefresherPart) -> str:
    """Return what both databases say they are, to be pinned."""
    config = load_config(path)
    async with engine_factory(config, part)() as engine:
        found = {side: await engine.identify(side) for side in Side}
    return "; ".join(f"{side.value} is {identity.fingerprint}" for side, identity in found.items())
