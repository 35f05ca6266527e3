"""The composition root: here, and nowhere else, ports meet adapters."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncGenerator, Mapping

from chassis.blobs.open import open_blobs
from chassis.blobs.port import BlobStore
from chassis.clock import SystemClock
from chassis.commands import cancel_handler
from chassis.db import Database
from chassis.dead_letters.commands import replay_handler
from chassis.dead_letters.replay import replay_jobs
from chassis.doctor import Check, standard_checks
from chassis.drift import decision_handler, silver_fields
from chassis.errors import TransientError
from chassis.logs import get_logger
from chassis.process import Background, host
from chassis.secrets import resolve_secrets
from chassis.sources import SourcesConfig, load_sources
from ingestor import metrics
from ingestor.adapters.disk_scratch import ScratchSpace
from ingestor.adapters.http_full_forms import HttpFullForms
from ingestor.adapters.parser_pool import ParserPool
from ingestor.adapters.postgres_catalog import PostgresCatalog
from ingestor.adapters.postgres_enrichments import PostgresEnrichments
from ingestor.adapters.share_files import ShareFiles
from ingestor.consumers import subscribe
from ingestor.domain.parsers import DOCUMENT_FIELDS, ROOTS, VOCABULARIES
from ingestor.domain.transcripts.tree import check_expat
from ingestor.handlers.admission import Admission, DataSet, Declared
from ingestor.handlers.decisions import accept
from ingestor.handlers.enrich import Enrich
from ingestor.handlers.fetching import Fetcher
from ingestor.handlers.ingest_files import IngestFiles
from ingestor.handlers.ingest_records import IngestRecords
from ingestor.jobs import KeepEnriching
from ingestor.ports import Catalog
from ingestor.settings import (
    IngestorSettings,
    RecordSection,
    read_record_sections,
    read_sections,
)

SERVICE = "ingestor"
PARTITION_CHECK_SECONDS = 6 * 3600.0
PROBE_KEY = "raw/probe"


async def run(settings: IngestorSettings) -> None:
    """Run the service until it is told to stop.

    Raises:
        ConfigError: `sources.yaml` is wrong.
        OutdatedParserError: this machine's XML parser is not safe.
    """
    check_expat()
    sources = load_sources(settings.process.config_directory)
    for source in sources.sources:
        metrics.begin_source(source.name)
    async with host(SERVICE, settings) as process:
        catalog = PostgresCatalog(process.database)
        blobs = open_blobs(settings.blobs)
        sections = read_record_sections(sources)
        schemas = admission(settings, sources, process.database)
        records = IngestRecords(
            sections,
            catalog=catalog,
            enrichments=PostgresEnrichments(process.database),
            blobs=blobs,
            schemas=schemas,
        )
        async with (
            handler(settings, sources, catalog=catalog, blobs=blobs, schemas=schemas) as files,
            enriching(sections, process.database, catalog=catalog) as enrich,
        ):
            subscribe(
                process.bus,
                files=files,
                records=records,
                cancel=cancel_handler(service=SERVICE),
                replay=replay_handler(service=SERVICE),
                decisions=decision_handler(accept, service=SERVICE, clock=process.clock),
            )
            process.work(replay_jobs(process.clock))
            if enrich is not None:
                process.background("enrichment", enrich.run)
            process.background("partitions", keep_partitions(catalog))
            process.health.readiness["object-store"] = probe(blobs)
            await process.run()


@contextlib.asynccontextmanager
async def handler(
    settings: IngestorSettings,
    sources: SourcesConfig,
    *,
    catalog: Catalog,
    blobs: BlobStore,
    schemas: Admission | None = None,
) -> AsyncGenerator[IngestFiles]:
    """Build the handler of `file.changed`, and close what it used."""
    sections = read_sections(sources)
    files = ShareFiles.open(sources, settings.nas)
    parser = ParserPool(settings.ingest.parser_threads)
    scratch = ScratchSpace(settings.ingest.scratch_memory_bytes)
    fetcher = Fetcher(settings.ingest, files=files, blobs=blobs, parser=parser, clock=SystemClock())
    try:
        yield IngestFiles(
            sections,
            catalog=catalog,
            fetcher=fetcher,
            open_scratch=scratch.open,
            schemas=schemas,
        )
    finally:
        await files.close()
        await parser.close()
        await scratch.close()
        await blobs.close()


def admission(settings: IngestorSettings, sources: SourcesConfig, database: Database) -> Admission:
    """Build what knows the shapes of all sources."""
    files = {
        name: Declared(
            VOCABULARIES[section.parser], (ROOTS[section.parser], *section.declared.required)
        )
        for name, section in read_sections(sources).items()
    }
    records = {
        name: Declared(section.declared.fields, section.declared.required)
        for name, section in read_record_sections(sources).items()
    }
    systems = {source.name: source.source_system for source in sources.sources}
    directory = settings.process.config_directory

    @functools.lru_cache(maxsize=256)
    def affected(data_set: DataSet, fields: tuple[str, ...]) -> tuple[str, ...]:
        source, entity_type = data_set
        if source in files:
            fields = tuple({DOCUMENT_FIELDS.get(name.partition("@")[0], name) for name in fields})
        system = systems.get(source, source)
        return tuple(
            silver_fields(directory, system=system, entity_type=entity_type, fields=fields)
        )

    return Admission(database, files | records, affected=affected)


@contextlib.asynccontextmanager
async def enriching(
    sections: Mapping[str, RecordSection], database: Database, *, catalog: Catalog
) -> AsyncGenerator[KeepEnriching | None]:
    """Build what completes records; None where no source asks for it.

    Raises:
        SettingsError: names every secret that is missing.
    """
    wanted = {name: item.enrich for name, item in sections.items() if item.enrich is not None}
    if not wanted:
        yield None
        return
    apis = [item.api.model_dump(mode="json") for item in sections.values() if item.api is not None]
    full_forms = HttpFullForms(
        sections, resolve_secrets(apis), database=database, clock=SystemClock()
    )
    enrichments = PostgresEnrichments(database)
    enrich = Enrich(database, catalog=catalog, enrichments=enrichments, full_forms=full_forms)
    try:
        yield KeepEnriching(enrich, enrichments, wanted)
    finally:
        await full_forms.close()


def keep_partitions(catalog: PostgresCatalog) -> Background:
    """Return the background task that has next month's partition made before next month."""

    async def keep() -> None:
        while True:
            try:
                created = await catalog.create_partitions()
            except TransientError as error:
                # Harmless for months: rows without a partition go to the default one.
                get_logger().warning("partitions_not_checked", error=error)
            else:
                if created:
                    get_logger().info("partitions_created", count=created)
            await asyncio.sleep(PARTITION_CHECK_SECONDS)

    return keep


def probe(blobs: BlobStore) -> Background:
    """Return the readiness check of the object store."""

    async def check() -> None:
        await blobs.exists(PROBE_KEY)

    return check


def checks(settings: IngestorSettings) -> dict[str, Check]:
    """Return what `--check` looks at."""

    async def configuration() -> str:
        sections = read_sections(load_sources(settings.process.config_directory))
        return f"{len(sections)} sources: {', '.join(sorted(sections))}"

    async def parser() -> str:
        check_expat()
        return "the XML parser is recent enough"

    async def object_store() -> str:
        blobs = open_blobs(settings.blobs)
        try:
            # Writing proves more than reading: the bucket exists and the keys may fill it.
            await blobs.put(PROBE_KEY, b"")
        finally:
            await blobs.close()
        return f"bucket `{settings.blobs.bucket}` takes objects"

    return {
        "sources": Check(configuration, "correct `config/sources.yaml`"),
        "xml": Check(parser, "install a Python whose expat is newer"),
        "object store": Check(object_store, "correct `S3_ENDPOINT_URL`, the bucket or the keys"),
        **standard_checks(settings, SERVICE),
    }
