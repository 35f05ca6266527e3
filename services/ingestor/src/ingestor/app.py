"""The composition root: here, and nowhere else, ports meet adapters."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from chassis.blobs.open import open_blobs
from chassis.blobs.port import BlobStore
from chassis.clock import SystemClock
from chassis.doctor import Check, standard_checks
from chassis.errors import TransientError
from chassis.logs import get_logger
from chassis.process import Background, host
from chassis.sources import SourcesConfig, load_sources
from ingestor.adapters.disk_scratch import ScratchSpace
from ingestor.adapters.parser_pool import ParserPool
from ingestor.adapters.postgres_catalog import PostgresCatalog
from ingestor.adapters.share_files import ShareFiles
from ingestor.consumers import subscribe
from ingestor.domain.transcripts.tree import check_expat
from ingestor.handlers.fetching import Fetcher
from ingestor.handlers.ingest_files import IngestFiles
from ingestor.handlers.ingest_records import IngestRecords
from ingestor.ports import Catalog
from ingestor.settings import IngestorSettings, read_record_sections, read_sections

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
    async with host("ingestor", settings) as process:
        catalog = PostgresCatalog(process.database)
        blobs = open_blobs(settings.blobs)
        records = IngestRecords(read_record_sections(sources), catalog=catalog, blobs=blobs)
        async with handler(settings, sources, catalog=catalog, blobs=blobs) as files:
            subscribe(process.bus, files=files, records=records)
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
) -> AsyncGenerator[IngestFiles]:
    """Build the handler of `file.changed`, and close what it used."""
    sections = read_sections(sources)
    files = ShareFiles.open(sources, settings.nas)
    parser = ParserPool(settings.ingest.parser_threads)
    scratch = ScratchSpace(settings.ingest.scratch_memory_bytes)
    fetcher = Fetcher(settings.ingest, files=files, blobs=blobs, parser=parser, clock=SystemClock())
    try:
        yield IngestFiles(sections, catalog=catalog, fetcher=fetcher, open_scratch=scratch.open)
    finally:
        await files.close()
        await parser.close()
        await scratch.close()
        await blobs.close()


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
        **standard_checks(settings),
    }
