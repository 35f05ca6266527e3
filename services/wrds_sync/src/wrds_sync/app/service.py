"""The service: commands and the schedule become runs; a watch looks after the mirror."""

from chassis.clock import SystemClock
from chassis.commands import CommandSpec, cancel_handler, command_handler
from chassis.dead_letters.commands import replay_handler
from chassis.dead_letters.replay import replay_jobs
from chassis.doctor import Check, Finding, examine, standard_checks
from chassis.drift import decision_handler
from chassis.errors import PenstockError
from chassis.logs import get_logger, redact
from chassis.process import Host, host
from contracts.topics import WRDS_SYNC_REQUESTED
from wrds_sync import consumers
from wrds_sync.adapters.exchange_calendar import ExchangeSessions
from wrds_sync.adapters.showcase import PostgresShowcase
from wrds_sync.app.wiring import Mirror, build_mirror
from wrds_sync.errors import SourceRefusedError
from wrds_sync.handlers.showing import Showing
from wrds_sync.handlers.watching import Watch
from wrds_sync.jobs import (
    SYNC,
    Backups,
    Schedule,
    Showings,
    Watching,
    accept_schema,
    sync_jobs,
)
from wrds_sync.settings.environment import WrdsSyncSettings

SERVICE = "wrds_sync"


async def run(settings: WrdsSyncSettings) -> None:
    """Run the service until it is told to stop."""
    async with host(SERVICE, settings) as process:
        mirror = build_mirror(settings, database=process.database, clock=process.clock)
        try:
            _wire(process, settings, mirror)
            await process.run()
        finally:
            await mirror.close()


def _wire(process: Host, settings: WrdsSyncSettings, mirror: Mirror) -> None:
    clock = process.clock
    consumers.subscribe(
        process.bus,
        sync=command_handler(
            CommandSpec(WRDS_SYNC_REQUESTED, SYNC, mirror.catalog.targets),
            service=SERVICE,
            clock=clock,
        ),
        cancel=cancel_handler(service=SERVICE),
        replay=replay_handler(service=SERVICE),
        decisions=decision_handler(accept_schema, service=SERVICE, clock=clock),
    )
    process.work(sync_jobs(mirror.targets))
    process.work(replay_jobs(process.clock))
    watch = Watch(
        # Without an account nothing can be late.
        mirror.catalog.all if mirror.source else list,
        mirror.storage,
        mirror.locks,
        calendar=ExchangeSessions(),
        credentials=mirror.credentials,
        clock=clock,
        quarantine_days=settings.sync.quarantine_days,
    )
    process.background("watch", Watching(watch).run)
    showing = Showing(
        mirror.catalog,
        mirror.storage,
        mirror.locks,
        showcase=PostgresShowcase(process.database),
    )
    process.background("showing", Showings(showing).run)
    if mirror.source is None:
        get_logger().warning("no_account", outcome="warning")
    elif settings.sync.schedule:
        names = [item.name for item in mirror.catalog.all()]
        schedule = Schedule(process.database, names, at=settings.sync.schedule_at, clock=clock)
        process.background("schedule", schedule.run)
    if mirror.backup is not None:
        backups = Backups(mirror.backup, at=settings.sync.backup_at, clock=clock)
        process.background("backup", backups.run)


async def check(settings: WrdsSyncSettings) -> list[Finding]:
    """Look at configuration, storage, the archive and the other dependencies."""
    clock = SystemClock()
    standard = await examine(SERVICE, standard_checks(settings, SERVICE, clock=clock))
    try:
        mirror = build_mirror(settings, database=None, clock=clock)
    except PenstockError as error:
        text = redact(error.message)
        hint = "correct config/datasets.yaml or the settings it names"
        return [Finding(SERVICE, "datasets", False, text, hint, error.category.value), *standard]
    try:
        own = await examine(SERVICE, _checks(mirror))
    finally:
        await mirror.close()
    return [*own, *standard]


def _checks(mirror: Mirror) -> dict[str, Check]:
    doctor = _Doctor(mirror)
    return {
        "datasets": Check(doctor.datasets, "correct config/datasets.yaml"),
        "storage": Check(doctor.storage, "see docs/wrds/runbooks/data-storage.md"),
        "archive": Check(doctor.archive, "see docs/wrds/runbooks/wrds-credentials.md"),
    }


class _Doctor:
    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror

    async def datasets(self) -> str:
        count = len(self._mirror.catalog.all())
        return (
            f"{count} data sets" if count else "no `datasets.yaml`: nothing is mirrored from here"
        )

    async def storage(self) -> str:
        usage = await self._mirror.storage.disk()
        return f"{usage.used_share:.0%} of the disk used, {usage.free_bytes} bytes free"

    async def archive(self) -> str:
        source = self._mirror.source
        if source is None:
            return "no account: what is here can be verified, and nothing synced"
        tables = [item.selection.table for item in self._mirror.catalog.all()]
        found = await source.list_tables(sorted({table.schema for table in tables}))
        readable = {str(item.table) for item in found if item.is_readable}
        if lacking := sorted(str(table) for table in tables if str(table) not in readable):
            raise SourceRefusedError(f"not there, or not readable: {', '.join(lacking)}")
        return f"all {len(tables)} tables are readable"
