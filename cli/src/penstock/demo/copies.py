"""The demo's copies: production to UAT, and an archive to Parquet."""

import asyncio
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from contracts.commands import (
    OverlapPolicy,
    RefreshApproveRequested,
    RefreshRequested,
    RefreshUndoRequested,
    WrdsSyncRequested,
)
from contracts.runs import RunStatus
from contracts.topics import (
    REFRESH_APPROVE_REQUESTED,
    REFRESH_REQUESTED,
    REFRESH_UNDO_REQUESTED,
    WRDS_SYNC_REQUESTED,
)
from penstock.demo.commander import REASON, REQUESTER, Commander
from penstock.demo.factors import DATASET, START_YEAR, Archive
from penstock.demo.figures import Row
from penstock.demo.own_databases import OwnDatabase
from penstock.demo.scenario import DemoError
from penstock.demo.shop import Shop
from penstock.demo.view import DemoView

_ASKED = {"requester": REQUESTER, "reason": REASON, "overlap": OverlapPolicy.QUEUE}
_LAST_PLAN = """
select plan_id from refresher.plans where target = $1 and status = $2
order by created_at desc limit 1
"""
_FINGERPRINTS = re.compile(r"source is (\S+); target is (\S+)")


@dataclass(frozen=True, slots=True)
class Copies:
    """What is copied, and the hub that does it."""

    shop: Shop
    archive: Archive
    hub: OwnDatabase
    mirror: Path

    @classmethod
    async def open(cls, hub_url: str, examples: Path, mirror: Path) -> Self:
        """Make the databases to copy from and to."""
        return cls(
            await Shop.open(hub_url, examples),
            await Archive.open(hub_url, examples),
            OwnDatabase(hub_url),
            mirror,
        )

    @property
    def env(self) -> dict[str, str]:
        """What refresher and wrds_sync need of their environment."""
        return self.shop.env | self.archive.env(self.mirror)

    async def configure(self, folder: Path, env: Mapping[str, str]) -> None:
        """Write `refresh.yaml`, with both databases pinned in it, and `datasets.yaml`."""
        self.archive.write_config(folder)
        self.shop.write_config(folder)
        self.shop.write_config(folder, await fingerprints(env))

    async def refresh(self, commander: Commander, view: DemoView) -> Sequence[Row]:
        """Refresh everything, then what is new; take that back."""
        view.say(
            "penstock refresh --table all --wait   # is planned: rows of UAT would be replaced"
        )
        await self._request(commander, "all")
        plan = await self._plan("all", "waiting")
        view.say(f"penstock refresh approve {plan} --wait")
        approval = RefreshApproveRequested.model_validate({**_ASKED, "plan": plan, "table": "all"})
        await commander.follow(REFRESH_APPROVE_REQUESTED, approval)
        await self.shop.sell()
        view.say("penstock refresh --table orders --wait   # only what is new in production")
        await self._request(commander, "orders")
        rows = await self.shop.figures()
        plan = await self._plan("orders", "applied")
        view.say(f"penstock refresh undo {plan} --wait")
        undo = RefreshUndoRequested.model_validate({**_ASKED, "plan": plan, "table": "orders"})
        await commander.follow(REFRESH_UNDO_REQUESTED, undo)
        return [*rows, *await self.shop.figures_after_undo()]

    async def sync(self, commander: Commander, view: DemoView) -> Sequence[Row]:
        """Mirror the archive, then a later vintage of it; refuse a changed schema."""
        view.say(f"penstock wrds full-sync {DATASET}")
        await self._sync(commander, mode="full", start_year=START_YEAR)
        await self.archive.restate()
        view.say(f"penstock wrds incremental {DATASET}   # the archive has rewritten its history")
        await self._sync(commander)
        await self.archive.drop_a_column()
        view.say(f"penstock wrds incremental {DATASET}   # and now a column is gone")
        await self._sync(commander, expected=RunStatus.FAILED)
        return await self.archive.figures(self.hub)

    async def leave_a_plan(self, commander: Commander) -> None:
        """Leave a plan that waits for the user's approval."""
        await self._request(commander, "customers")
        await self._plan("customers", "waiting")

    async def _request(self, commander: Commander, table: str) -> None:
        command = RefreshRequested.model_validate({**_ASKED, "table": table})
        await commander.follow(REFRESH_REQUESTED, command)

    async def _sync(
        self,
        commander: Commander,
        *,
        expected: RunStatus = RunStatus.COMPLETED,
        **parameters: object,
    ) -> None:
        command = WrdsSyncRequested.model_validate({**_ASKED, "dataset": DATASET, **parameters})
        await commander.follow(WRDS_SYNC_REQUESTED, command, expected=expected)

    async def _plan(self, target: str, status: str) -> str:
        plan: str | None = await self.hub.value(_LAST_PLAN, target, status)
        if plan is None:
            raise DemoError(f"There is no plan for {target} that is {status}.")
        return plan


async def fingerprints(env: Mapping[str, str]) -> Sequence[str]:
    """Return what both databases say they are, as an operator learns it: `refresher --check`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "refresher", "--check"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env=dict(env),
        cwd="/",
    )
    written, _ = await process.communicate()
    messages = [json.loads(line)["message"] for line in written.decode().splitlines()]
    for message in messages:
        if found := _FINGERPRINTS.search(message):
            return found.groups()
    raise DemoError(f"The refresher does not see both databases: {'; '.join(messages)}")
