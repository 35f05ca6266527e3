"""A refresher over an estate, without Kafka: runs are submitted and executed here."""

import contextlib
import getpass
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chassis.clock import SystemClock
from chassis.db import Database
from chassis.runs import Job, RunWorker, submit
from refresher.app import build, engine_factory
from refresher.domain.catalog import Side
from refresher.domain.config import RefreshConfig
from refresher.domain.plan import Plan, from_json
from refresher.handlers.refresh import Refresher
from refresher.jobs import refresh_jobs
from refresher.settings import RefresherPart
from tests.integration.refresher.estate import READER_PASSWORD, WRITER_PASSWORD, Estate
from tests.support.databases import opened

KEY = "a key for tests, and only for tests"
PERSONAL = ("*.first_name", "*.last_name", "*.email", "*.phone")
MASKING = {
    "classes": {"public": {"method": "keep"}, "personal": {"method": "shape"}},
    "rules": [
        {"columns": list(PERSONAL), "types": ["text"], "class": "personal"},
        {"columns": ["*"], "class": "public"},
    ],
}
PUBLIC = {
    "classes": {"public": {"method": "keep"}},
    "rules": [{"columns": ["*"], "class": "public"}],
}


@dataclass(slots=True)
class Hub:
    """One refresher; `config` may be changed between runs."""

    estate: Estate
    database: Database
    config: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)

    def refresher(self) -> Refresher:
        return refresher_of(
            RefreshConfig.model_validate(self.config),
            self.database,
            logins=(self.estate.reader, self.estate.writer),
            environment=self.environment,
        )

    async def pin(self) -> None:
        """Write the fingerprints of both databases into the configuration."""
        async with self.refresher().open_engine() as engine:
            for side in Side:
                identity = await engine.identify(side)
                self.config["databases"][side.value]["fingerprint"] = identity.fingerprint

    async def run(
        self, kind: str, target: str, *, dry_run: bool = False, **parameters: Any
    ) -> dict[str, Any]:
        """Queue a run, execute it, and return its row in the ledger."""
        run_id = await self.queue(kind, target, dry_run=dry_run, **parameters)
        assert await self.work()
        return await self.row(run_id)

    def part(self) -> RefresherPart:
        return part_of((self.estate.reader, self.estate.writer), self.environment)

    async def work(self, jobs: dict[str, Job] | None = None) -> bool:
        """Execute one run, if one waits."""
        jobs = jobs or refresh_jobs(self.refresher())
        return await RunWorker(self.database, jobs, clock=SystemClock()).step()

    async def queue(
        self, kind: str, target: str, *, dry_run: bool = False, **parameters: Any
    ) -> str:
        async with self.database.transaction() as transaction:
            run_id = await submit(
                transaction,
                service="refresher",
                kind=kind,
                target=target,
                parameters=parameters,
                command_id=str(uuid.uuid4()),
                requester=getpass.getuser(),
                dry_run=dry_run,
            )
        assert run_id is not None
        return run_id

    async def row(self, run_id: str) -> dict[str, Any]:
        (row,) = await self.rows("select * from meta.runs where run_id = $1", uuid.UUID(run_id))
        return row

    async def refresh(self, table: str = "all", **parameters: Any) -> dict[str, Any]:
        """Refresh, and expect it to be completed."""
        row = await self.run("refresh", table, table=table, **parameters)
        assert row["status"] == "completed", row["message"]
        return row

    async def undo(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Take a run back, and expect that to be completed."""
        done = await self.run("refresh-undo", row["target"], plan=str(row["run_id"]))
        assert done["status"] == "completed", done["message"]
        return done

    async def plan_of(self, row: Mapping[str, Any]) -> tuple[Plan, str]:
        """Return a run's plan and what became of it."""
        (found,) = await self.rows(
            "select plan::text as plan, status from refresher.plans where run_id = $1",
            row["run_id"],
        )
        return from_json(found["plan"]), found["status"]

    async def rows(self, query: str, *args: object) -> list[dict[str, Any]]:
        async with self.database.connection() as connection:
            return [dict(row) for row in await connection.fetch(query, *args)]

    async def history(self, table: str) -> dict[str, Any]:
        """Return the last line of a table's history."""
        rows = await self.rows(
            "select * from refresher.refreshes where table_key = $1 order by id desc limit 1",
            table,
        )
        return rows[0]


def refresher_of(
    config: RefreshConfig,
    database: Database,
    *,
    logins: tuple[str, str],
    environment: Mapping[str, str] | None = None,
) -> Refresher:
    """Put a refresher together as the service does."""
    part = part_of(logins, environment or {})
    return build(config, part, database, engine_factory(config, part), clock=SystemClock())


def part_of(logins: tuple[str, str], environment: Mapping[str, str]) -> RefresherPart:
    """Return the settings of a refresher."""
    return RefresherPart.model_validate(
        {
            "SOURCE_DB_USER": logins[0],
            "SOURCE_DB_PASSWORD": READER_PASSWORD,
            "TARGET_DB_USER": logins[1],
            "TARGET_DB_PASSWORD": WRITER_PASSWORD,
            "REFRESHER_MASKING_KEY": KEY,
            **environment,
        }
    )


def configuration(
    estate: Estate, tables: Sequence[Mapping[str, Any]], **sections: Any
) -> dict[str, Any]:
    def database(name: str) -> dict[str, Any]:
        return {
            "kind": "postgresql",
            "server": estate.host,
            "port": estate.port,
            "database": name,
            "tls": "disable",
        }

    return {
        "databases": {
            "source": database(estate.production),
            "target": database(estate.uat),
        },
        "tables": [dict(table) for table in tables],
        "masking": PUBLIC,
        "approval": {"destructive": "auto"},
        **sections,
    }


@contextlib.asynccontextmanager
async def open_hub(
    estate: Estate, database_url: str, config: dict[str, Any]
) -> AsyncGenerator[Hub]:
    async with opened(database_url, "refresher") as database:
        hub = Hub(estate, database, config)
        await hub.pin()
        yield hub
