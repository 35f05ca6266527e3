"""The composition root: the only place where ports meet their adapters."""

from collections.abc import Callable, Collection
from datetime import timedelta
from pathlib import Path

from chassis.blobs.open import open_blobs
from chassis.clock import Clock, SystemClock
from chassis.commands import CommandSpec, cancel_handler, command_handler
from chassis.db import Database
from chassis.dead_letters.commands import replay_handler
from chassis.dead_letters.replay import replay_jobs
from chassis.doctor import Finding, examine, standard_checks
from chassis.errors import PenstockError
from chassis.logs import get_logger, redact, register_secrets
from chassis.process import Host, host
from chassis.secrets import resolve_secrets
from chassis.shares.logon_gate import LogonGate
from chassis.shares.open import open_share
from chassis.shares.paths import validate_nas_path
from chassis.shares.port import Share
from chassis.sources import (
    ConfigError,
    ShareConfig,
    SourceConfig,
    load_sources,
    parse_model,
    validate,
)
from contracts.topics import FLOW_REQUESTED, SCAN_REQUESTED
from scanner import consumers, metrics
from scanner.adapters.announcements import PostgresAnnouncements
from scanner.adapters.deletions import PostgresDeletions
from scanner.adapters.figures import SourceFigures
from scanner.adapters.flow_runs import LedgerStepRuns
from scanner.adapters.inventory import PostgresInventory
from scanner.adapters.kept_shares import KeptShares
from scanner.adapters.log_files import LocalLogFiles
from scanner.adapters.missing import PostgresMissing
from scanner.adapters.record_announcements import PostgresRecordAnnouncements
from scanner.adapters.record_inventory import PostgresRecordInventory
from scanner.adapters.record_polls import PostgresPolls
from scanner.adapters.record_sources import RecordAccess, open_record_list, open_record_source
from scanner.adapters.scans import PostgresAuditTrail, PostgresScans
from scanner.domain.institutions import InstitutionDirectory
from scanner.handlers.announcer import Announcer
from scanner.handlers.answers import FilesAgain, RepeatAnnouncements, TakeAnswers
from scanner.handlers.catalog import FileSource, NasConfigReader, SourceCatalog
from scanner.handlers.checks import check_records, check_sources
from scanner.handlers.flow import FlowCatalog, RunFlow
from scanner.handlers.poll import PollPorts, PollSource
from scanner.handlers.record_announcer import RecordAnnouncer
from scanner.handlers.record_answers import RecordsAgain
from scanner.handlers.record_catalog import RecordCatalog, RecordSourceEntry
from scanner.handlers.scan import ScanPorts, ScanSource
from scanner.jobs import (
    FLOW,
    SCAN,
    FlowSchedule,
    Housekeeping,
    Schedule,
    scan_jobs,
)
from scanner.settings.environment import ScannerSettings, ScanSettings, record_documents
from scanner.settings.flows import FlowConfig, load_flows
from scanner.settings.nas import Institutions, relative_to
from scanner.settings.records import RecordSections
from scanner.settings.scan import ScanConfig, override

SERVICE = "scanner"

OpenShare = Callable[[ShareConfig], Share]


def share_opener(settings: ScannerSettings, clock: Clock) -> OpenShare:
    """Return what opens shares; all of them log on through one gate."""
    gate = LogonGate(clock=clock)
    return lambda config: open_share(config, settings.nas, gate=gate)


def build_catalog(settings: ScannerSettings, open_one: OpenShare, clock: Clock) -> SourceCatalog:
    """Read the configuration files; the file on the NAS is read when a scan needs it.

    Raises:
        ConfigError: names what is wrong with which source.
    """
    directory = settings.process.config_directory
    sources = {
        entry.name: _file_source(entry, settings.scan, directory)
        for entry in load_sources(directory).sources
        if entry.share is not None
    }
    base = validate_nas_path(settings.nas.base_path) if settings.nas else ""
    nas = None
    if settings.config_path is not None:
        path = relative_to(validate_nas_path(settings.config_path), base, "")
        nas = NasConfigReader(
            lambda: open_one(ShareConfig(kind="smb", connections=1)),
            path or "",
            clock=clock,
            keep_seconds=settings.scan.nas_config_cache_seconds,
        )
    return SourceCatalog(sources, nas=nas, base_path=base)


def _file_source(entry: SourceConfig, settings: ScanSettings, directory: Path) -> FileSource:
    if entry.share is None:
        raise ConfigError(f"`{entry.name}` has no share")
    scan = validate(ScanConfig, entry.scan, name=f"{entry.name}.scan")
    institutions = InstitutionDirectory()
    if scan.institutions_file is not None:
        institutions = parse_model(Institutions, directory / scan.institutions_file).directory()
    return FileSource(entry.name, entry.share, override(scan, settings), institutions)


def build_scan(
    settings: ScannerSettings,
    database: Database,
    catalog: SourceCatalog,
    *,
    open_one: OpenShare,
    clock: Clock,
) -> ScanSource:
    """Wire the job `scan`."""
    log_directory = settings.process.log_directory
    ports = ScanPorts(
        inventory=PostgresInventory(database),
        missing=PostgresMissing.files(database),
        deletions=PostgresDeletions(),
        scans=PostgresScans(database),
        audit=PostgresAuditTrail(SERVICE),
        announcer=Announcer(catalog.institutions),
        clock=clock,
        log_files=LocalLogFiles(log_directory, SERVICE) if log_directory else None,
    )
    return ScanSource(
        catalog,
        lambda source: open_one(source.share),
        ports,
        is_guarded=settings.scan.deletion_guard,
    )


def build_record_catalog(settings: ScannerSettings) -> RecordCatalog:
    """Read the record sources of the configuration.

    Raises:
        ConfigError: names what is wrong with which source.
    """
    sources = load_sources(settings.process.config_directory).sources
    return RecordCatalog(
        {
            entry.name: record_entry(entry, settings.scan)
            for entry in sources
            if entry.records is not None
        }
    )


def record_entry(entry: SourceConfig, settings: ScanSettings) -> RecordSourceEntry:
    """Return one record source; what its section leaves out comes from the environment.

    Raises:
        ConfigError: names what is wrong.
    """
    sections = validate(
        RecordSections, {"records": entry.records, "scan": entry.scan}, name=entry.name
    )
    scan = sections.scan
    return RecordSourceEntry(
        name=entry.name,
        records=sections.records,
        scan=scan,
        batch_size=settings.batch_size if scan.batch_size is None else scan.batch_size,
        max_records=settings.max_records if scan.max_records is None else scan.max_records,
    )


def record_access(
    settings: ScannerSettings, open_one: OpenShare, database: Database | None
) -> RecordAccess:
    """Return what the adapters of record sources need; their secrets stay out of the logs.

    Raises:
        SettingsError: names every secret that is missing.
    """
    secrets = resolve_secrets(record_documents(settings.process.config_directory))
    register_secrets(secrets.values())
    return RecordAccess(
        secrets=secrets, open_share=open_one, clock=SystemClock(), database=database
    )


def build_flows(settings: ScannerSettings, sources: Collection[str]) -> FlowCatalog:
    """Read the flows; one whose sources are not all configured is left out, and told.

    Raises:
        ConfigError: `flows.yaml` cannot be used.
    """
    active: dict[str, FlowConfig] = {}
    for flow in load_flows(settings.process.config_directory).flows:
        if missing := flow.missing(sources):
            get_logger().info("flow_inactive", flow=flow.name, missing=missing)
        else:
            active[flow.name] = flow
    return FlowCatalog(active)


def build_poll(
    settings: ScannerSettings,
    database: Database,
    catalog: RecordCatalog,
    *,
    access: RecordAccess,
    clock: Clock,
) -> PollSource:
    """Wire the polls of record sources."""
    blobs = open_blobs(settings.blobs) if settings.blobs is not None else None
    ports = PollPorts(
        inventory=PostgresRecordInventory(database),
        missing=PostgresMissing.records(database),
        polls=PostgresPolls(database, SERVICE),
        audit=PostgresAuditTrail(SERVICE),
        announcer=RecordAnnouncer(blobs),
        clock=clock,
        open_list=lambda entry: open_record_list(entry.records, access),
    )
    return PollSource(
        catalog,
        lambda entry: open_record_source(entry.records, entry.scan, access),
        ports,
        is_guarded=settings.scan.deletion_guard,
    )


async def run(settings: ScannerSettings) -> None:
    """Run the service until it is told to stop."""
    async with host(SERVICE, settings) as process:
        shares = KeptShares(share_opener(settings, process.clock))
        _wire(process, settings, shares.open)
        try:
            await process.run()
        finally:
            await shares.close()


async def check(settings: ScannerSettings) -> list[Finding]:
    """Look at configuration, shares and dependencies (S1-36)."""
    clock = SystemClock()
    open_one = share_opener(settings, clock)
    standard = await examine(SERVICE, standard_checks(settings, SERVICE, clock=clock))
    try:
        catalog = build_catalog(settings, open_one, clock)
        records = build_record_catalog(settings)
        flows = load_flows(settings.process.config_directory).flows
        access = record_access(settings, open_one, None)
    except PenstockError as error:
        return [_finding("configuration", error.message, category=error.category.value), *standard]
    own = [
        _finding(item.check, item.text, is_ok=item.is_good)
        async for item in check_sources(catalog, lambda source: open_one(source.share))
    ]
    polled = [
        _finding(item.check, item.text, is_ok=item.is_good)
        async for item in check_records(
            records, lambda entry: open_record_source(entry.records, entry.scan, access)
        )
    ]
    known = {*catalog.names(), *records.names()}
    planned = [_finding(f"flow {flow.name}", flow.tell(known), is_ok=True) for flow in flows]
    return [*own, *polled, *planned, *standard]


def _finding(name: str, text: str, *, is_ok: bool = False, category: str = "") -> Finding:
    hint = "" if is_ok else "see docs/runbooks/transcript-sync.md"
    return Finding(SERVICE, name, is_ok, redact(text), hint, category)


def _wire(process: Host, settings: ScannerSettings, open_one: OpenShare) -> None:
    clock, database = process.clock, process.database
    if settings.nas is not None:
        register_secrets([settings.nas.password.get_secret_value(), settings.nas.server_ip])
    if not settings.scan.deletion_guard:
        get_logger().warning("deletion_guard_off", outcome="warning")
    catalog = build_catalog(settings, open_one, clock)
    records = build_record_catalog(settings)
    flows = build_flows(settings, {*catalog.names(), *records.names()})
    announcements = PostgresAnnouncements(database)
    record_announcements = PostgresRecordAnnouncements(database)
    consumers.subscribe(
        process.bus,
        scan=command_handler(
            CommandSpec(SCAN_REQUESTED, SCAN, lambda: {*catalog.names(), *records.names()}),
            service=SERVICE,
            clock=clock,
        ),
        flow=command_handler(
            CommandSpec(FLOW_REQUESTED, FLOW, flows.names), service=SERVICE, clock=clock
        ),
        cancel=cancel_handler(service=SERVICE),
        replay=replay_handler(service=SERVICE),
        answers=TakeAnswers([announcements, record_announcements], clock),
    )
    access = record_access(settings, open_one, database)
    scan = build_scan(settings, database, catalog, open_one=open_one, clock=clock)
    poll = build_poll(settings, database, records, access=access, clock=clock)
    flow = RunFlow(flows, LedgerStepRuns(database, kind=SCAN), clock=clock)
    process.work(scan_jobs(scan, poll, flow))
    process.work(replay_jobs(process.clock))
    _keep_house(process, settings, catalog, announcements=announcements)
    _keep_records(process, settings, records, announcements=record_announcements)
    figures = SourceFigures(database, lambda: {*catalog.names(), *records.names()})
    process.background("figures", figures.run)
    if settings.scan.schedule:
        process.background("schedule", Schedule(database, catalog, clock=clock).run)
        by_interval = records.without(flows.scheduled_sources())
        process.background("record-schedule", Schedule(database, by_interval, clock=clock).run)
        process.background("flow-schedule", FlowSchedule(database, flows, clock=clock).run)


def _keep_house(
    process: Host,
    settings: ScannerSettings,
    catalog: SourceCatalog,
    *,
    announcements: PostgresAnnouncements,
) -> None:
    clock, database = process.clock, process.database
    repeat = RepeatAnnouncements(
        database,
        announcements,
        FilesAgain(Announcer(catalog.institutions)),
        clock=clock,
        after=timedelta(seconds=settings.scan.reannounce_after_seconds),
        limit=settings.scan.reannounce_limit,
    )
    housekeeping = Housekeeping(
        database,
        catalog,
        repeat,
        inventory=PostgresInventory(database),
        history=PostgresScans(database),
        known=metrics.INVENTORY_FILES,
        clock=clock,
    )
    process.background("housekeeping", housekeeping.run)


def _keep_records(
    process: Host,
    settings: ScannerSettings,
    catalog: RecordCatalog,
    *,
    announcements: PostgresRecordAnnouncements,
) -> None:
    clock, database = process.clock, process.database
    entity_types = {entry.name: entry.scan.entity_type for entry in catalog.all()}
    repeat = RepeatAnnouncements(
        database,
        announcements,
        RecordsAgain(entity_types.get),
        clock=clock,
        after=timedelta(seconds=settings.scan.reannounce_after_seconds),
        limit=settings.scan.reannounce_limit,
    )
    housekeeping = Housekeeping(
        database,
        catalog,
        repeat,
        inventory=PostgresRecordInventory(database),
        history=PostgresPolls(database, SERVICE),
        known=metrics.RECORDS_KNOWN,
        clock=clock,
    )
    process.background("record-housekeeping", housekeeping.run)
