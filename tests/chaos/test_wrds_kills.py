"""kill -9 in every phase of a sync, and at any moment, while readers read without a pause.

`--chaos-kills 120` kills twenty times in each of the six ways; by default twice.
"""

import random
import signal
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from chassis.clock import SystemClock
from tests.chaos.wrds_readers import Readers
from tests.chaos.wrds_worker import DATASET, Mirror
from tests.support.wrds_server import WrdsServer
from wrds_sync.adapters.local_storage import LocalStorage

OF_A_PARTITION = (
    "wrds_sync.after_copy",
    "wrds_sync.after_store",
    "wrds_sync.after_checkpoint",
)
OF_THE_WHOLE = ("wrds_sync.before_publish", "wrds_sync.after_publish")
PHASES = OF_A_PARTITION + OF_THE_WHOLE
WAYS = len(PHASES) + 1
ROWS = {2022: 1040, 2023: 1040, 2024: 1048}
LONGEST_RUN_SECONDS = 0.8
"""On an idle machine; a random kill comes before."""

pytestmark = pytest.mark.timeout(3600)


@pytest.fixture
async def mirror(empty_database_url: str, tmp_path: Path) -> Mirror:
    server = await WrdsServer.create(empty_database_url)
    await server.fill_daily(date(2022, 1, 3), date(2024, 12, 31), securities=4)
    opened = Mirror(server, tmp_path)
    await opened.restate(1)
    return opened


class Killer:
    """Kills, and counts what it killed."""

    def __init__(self, mirror: Mirror, dice: random.Random) -> None:
        self._mirror = mirror
        self._dice = dice
        self._price = 1
        self.killed = dict.fromkeys((*PHASES, "any moment"), 0)

    async def once_in_each_phase(self, number: int) -> None:
        """The archive changes, a sync of it dies in a phase, and so does the one that goes on."""
        for phase in PHASES:
            self._price += 1
            await self._mirror.restate(self._price)
            # Of the first partition, the second or the last: then there is something to resume.
            nth = 1 + number % len(ROWS) if phase in OF_A_PARTITION else 1
            verb = "incremental" if number % 2 else "full-sync"
            code = await self._mirror.run(verb, phase=f"{phase}:{nth}")
            assert code == -signal.SIGKILL, f"{phase}:{nth} was not reached"
            self.killed[phase] += 1
            if self.killed["any moment"] <= number:
                await self._at_any_moment()

    async def _at_any_moment(self) -> None:
        moment = self._dice.uniform(0, LONGEST_RUN_SECONDS)
        code = await self._mirror.run("incremental", kill_after=moment)
        self.killed["any moment"] += code == -signal.SIGKILL


@pytest.mark.covers("S5-82", "S5-85", "S5-95", "S5-97", "S5-106")
async def test_no_kill_shows_half_a_file_or_loses_or_doubles_a_row(
    mirror: Mirror, request: pytest.FixtureRequest
) -> None:
    rounds = max(2, int(request.config.getoption("--chaos-kills")) // WAYS)
    dice = random.Random(request.config.getoption("--chaos-seed"))
    killer = Killer(mirror, dice)
    readers = Readers(mirror, ROWS)
    with readers.reading():
        for number in range(rounds):
            await killer.once_in_each_phase(number)
            assert await mirror.run("incremental") == 0
            assert readers.problems == []
    print(f"killed: {killer.killed}; {readers.reads} reads")  # noqa: T201 - of a long run
    assert readers.problems == []
    assert readers.reads > 0
    assert {killer.killed[phase] for phase in PHASES} == {rounds}
    assert await mirror.run("verify") == 0

    frame = pl.read_parquet(mirror.data / "wrds/crsp/daily/*.parquet")
    assert len(frame) == sum(ROWS.values())
    assert frame.select("permno", "date").is_duplicated().sum() == 0
    assert frame["prc"].n_unique() == 1
    async with mirror.server.connection() as connection:
        assert frame["prc"][0] == await connection.fetchval("select max(prc) from crsp.dsf")
    assert list(mirror.data.rglob("*.parquet.tmp")) == []
    assert not list((mirror.data / "locks").glob("*.lock"))
    storage = LocalStorage(mirror.data, clock=SystemClock())
    assert len(await storage.vintages(DATASET)) <= 4
