"""How the transformer is put together: the only module that knows all the parts."""

from datetime import timedelta

from chassis.commands import CommandSpec, cancel_handler, command_handler
from chassis.db import Database
from chassis.dead_letters.commands import replay_handler
from chassis.dead_letters.replay import replay_jobs
from chassis.doctor import Check, standard_checks
from chassis.process import host
from contracts.topics import TRANSFORM_REQUESTED
from transformer import consumers
from transformer.adapters.entity_files import load_entities
from transformer.adapters.figures import SilverFigures
from transformer.adapters.polars_merger import PolarsMerger
from transformer.adapters.postgres_bronze import PostgresBronze
from transformer.adapters.postgres_references import PostgresReferences
from transformer.adapters.postgres_runs import PostgresRuns
from transformer.adapters.postgres_shadow import PostgresPromotion, PostgresShadow
from transformer.adapters.postgres_silver import PostgresSilver
from transformer.adapters.postgres_xref import PostgresXref
from transformer.adapters.rules_on_disk import RulesOnDisk
from transformer.adapters.shadow_expiry import ShadowExpiry
from transformer.adapters.shadow_links import ShadowXref, in_shadow
from transformer.adapters.shadow_tables import make_shadow_tables
from transformer.adapters.silver_tables import check_tables, make_tables, may_create
from transformer.domain.chunks import ChunkLimits
from transformer.handlers.identify import Identify
from transformer.handlers.promote import PromoteShadow
from transformer.handlers.recompute import Recompute
from transformer.handlers.refer import Refer
from transformer.handlers.shadow import MakeShadow
from transformer.handlers.simulate import Simulate
from transformer.handlers.transform import TransformBatch
from transformer.jobs import TransformJob, TransformJobs
from transformer.settings import TablesSettings, TransformerSettings

SERVICE = "transformer"


async def run(settings: TransformerSettings) -> None:
    """Load the rules, check them against the tables, and work until told to stop."""
    entities = load_entities(settings.process.config_directory)
    part = settings.transformer
    bronze = PostgresBronze()
    silver = PostgresSilver(entities.values())
    merger = PolarsMerger(workers=part.merge_workers)
    limits = ChunkLimits(part.chunk_entities, part.chunk_bytes)
    identify = Identify(PostgresXref(), merger)
    refer = Refer(PostgresReferences(entities), entities)
    shadows = PostgresShadow(keep=timedelta(hours=part.shadow_hours))
    recompute = Recompute(
        bronze, silver, identify=identify, refer=refer, merger=merger, limits=limits
    )
    async with host(SERVICE, settings) as process:
        async with process.database.connection() as connection:
            if await may_create(connection):
                await make_tables(connection, entities.values())
                await make_shadow_tables(connection, entities.values())
            else:
                await check_tables(connection, entities.values())
        consumers.subscribe(
            process.bus,
            transform=TransformBatch(entities, recompute),
            command=command_handler(
                CommandSpec(TRANSFORM_REQUESTED, kind="transform", targets=lambda: entities),
                service=SERVICE,
                clock=process.clock,
            ),
            cancel=cancel_handler(service=SERVICE),
            replay=replay_handler(service=SERVICE),
        )
        job = TransformJob(
            entities,
            recompute,
            simulate=Simulate(bronze, identify=identify, merger=merger, limits=limits),
            bronze=bronze,
            history=PostgresRuns(),
            database=process.database,
            page=part.page_entities,
        )
        rules = RulesOnDisk(settings.process.config_directory)
        make = MakeShadow(
            process.database,
            shadows,
            rules=rules,
            heads=PostgresBronze(in_shadow),
            identify=Identify(ShadowXref(), merger),
            refer=refer,
            merger=merger,
            limits=limits,
            page=part.page_entities,
        )
        decide = PromoteShadow(
            shadows,
            PostgresPromotion(),
            identify=identify,
            recompute=recompute,
            page=part.page_entities,
        )
        process.work({"transform": TransformJobs(entities, job, make=make, decide=decide)})
        process.background("shadows", ShadowExpiry(process.database, shadows, entities).run)
        process.work(replay_jobs(process.clock))
        process.background("figures", SilverFigures(process.database, entities).run)
        try:
            await process.run()
        finally:
            merger.close()


async def make(settings: TablesSettings) -> list[str]:
    """Add the silver tables and columns that the rules need and the database lacks; name them."""
    entities = load_entities(settings.process.config_directory)
    database = await Database.open(settings.database, SERVICE)
    try:
        async with database.connection() as connection:
            made = await make_tables(connection, entities.values())
            return made + await make_shadow_tables(connection, entities.values())
    finally:
        await database.close()


def checks(settings: TransformerSettings) -> dict[str, Check]:
    """Return what `--check` looks at."""

    async def rules() -> str:
        entities = load_entities(settings.process.config_directory)
        return f"{len(entities)} entities: {', '.join(sorted(entities))}"

    return {
        "rules": Check(rules, "correct the file in `config/entities` that is named"),
        **standard_checks(settings, SERVICE),
    }
