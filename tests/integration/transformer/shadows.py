"""Shadow runs behind a hub: made, promoted and discarded as the ledger's worker does it."""

import contextlib
import re
import uuid
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from chassis.clock import SystemClock
from chassis.db import Connection
from chassis.runs import Job, RunWorker, submit
from tests.integration.transformer.hub import Hub
from transformer.adapters.polars_merger import PolarsMerger
from transformer.adapters.postgres_bronze import PostgresBronze
from transformer.adapters.postgres_references import PostgresReferences
from transformer.adapters.postgres_shadow import PostgresPromotion, PostgresShadow
from transformer.adapters.postgres_xref import PostgresXref
from transformer.adapters.shadow_links import ShadowXref, in_shadow
from transformer.adapters.shadow_tables import make_shadow_tables
from transformer.domain.chunks import ChunkLimits
from transformer.domain.entity import Entity
from transformer.handlers.identify import Identify
from transformer.handlers.promote import PromoteShadow
from transformer.handlers.refer import Refer
from transformer.handlers.shadow import MakeShadow
from transformer.jobs import TransformJobs


@dataclass(slots=True)
class Shadows:
    """A hub's shadows; `on_disk` are the rules that a shadow is made by."""

    hub: Hub
    entity_type: str
    on_disk: Mapping[str, Entity]
    page: int = 2
    keep: timedelta = timedelta(hours=1)
    store: PostgresShadow | None = None
    wrap: Callable[[Job], Job] = lambda jobs: jobs
    """Stands between the worker and the work."""

    async def prepare(self) -> "Shadows":
        """Make the tables."""
        async with self.hub.database.connection() as connection:
            await make_shadow_tables(connection, self.hub.entities.values())
        self.store = PostgresShadow(keep=self.keep)
        return self

    async def read(self) -> Mapping[str, Entity]:
        """Return the rules on disk."""
        return self.on_disk

    async def run(
        self, action: str = "transform", *, dry_run: bool = False, **parameters: Any
    ) -> dict[str, Any]:
        """Queue a run, have a worker execute it, and return its row in the ledger."""
        asked = {"entity_type": self.entity_type, "action": action} | parameters
        async with self.hub.database.transaction() as transaction:
            run_id = await submit(
                transaction,
                service="transformer",
                kind="transform",
                target=self.entity_type,
                parameters=asked,
                dry_run=dry_run,
                requester="ann",
            )
        return await self.step(uuid.UUID(run_id))

    async def step(self, run_id: uuid.UUID) -> dict[str, Any]:
        """Have a worker execute what waits, and return the row of a run."""
        merger = PolarsMerger()
        try:
            jobs = {"transform": self.wrap(self.jobs(merger))}
            assert await RunWorker(self.hub.database, jobs, clock=SystemClock()).step()
        finally:
            merger.close()
        (row,) = await self.hub.rows("select * from meta.runs where run_id = $1", run_id)
        return row

    @contextlib.contextmanager
    def counting(self, seen: list[str]) -> Iterator[None]:
        """Collect the statements of all connections, the ledger's own left out."""
        lend = self.hub.database.connection

        def note(record: Any) -> None:
            if not re.search(r"meta\.(runs|leases)|advisory_xact_lock|pg_notify", record.query):
                seen.append(record.query)

        @contextlib.asynccontextmanager
        async def connection() -> AsyncGenerator[Connection]:
            async with lend() as lent:
                with lent.query_logger(note):
                    yield lent

        self.hub.database.connection = connection  # type: ignore[method-assign]
        try:
            yield
        finally:
            self.hub.database.connection = lend  # type: ignore[method-assign]

    async def make(self, **parameters: Any) -> tuple[str, dict[str, Any]]:
        """Make a shadow; return its run and the difference."""
        row = await self.run("shadow", **parameters)
        assert row["status"].startswith("completed"), row["message"]
        return str(row["run_id"]), row["checkpoint"]["shadow"]

    async def promote(self, shadow_run: str) -> dict[str, Any]:
        return await self.run("promote", shadow_run=shadow_run)

    def jobs(self, merger: PolarsMerger) -> TransformJobs:
        hub, limits = self.hub, ChunkLimits(100, 2**20)
        assert self.store is not None
        make = MakeShadow(
            hub.database,
            self.store,
            rules=self,
            heads=PostgresBronze(in_shadow),
            identify=Identify(ShadowXref(), merger),
            refer=Refer(PostgresReferences(hub.entities), hub.entities),
            merger=merger,
            limits=limits,
            page=self.page,
        )
        decide = PromoteShadow(
            self.store,
            PostgresPromotion(),
            identify=Identify(PostgresXref(), merger),
            recompute=hub.recompute,
            page=self.page,
        )
        return TransformJobs(hub.entities, hub.job, make=make, decide=decide)
