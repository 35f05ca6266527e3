"""One run of the demo on a stack that is up: services, files, sums."""

import asyncio
import shlex
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from chassis.bus.topics import apply_topics
from chassis.clock import SystemClock
from chassis.migrations import migrate
from chassis.settings import DatabaseSettings, KafkaSettings
from contracts.commands import FlowRequested, OverlapPolicy, ScanRequested
from contracts.topics import FLOW_REQUESTED, SCAN_REQUESTED, topic_specs
from penstock.commands.migrate import installed_owners
from penstock.demo.commander import REASON, REQUESTER, Commander
from penstock.demo.console import ConsoleProcess
from penstock.demo.copies import Copies
from penstock.demo.figures import Row, compare, differences
from penstock.demo.ledger import Figures, Ledger
from penstock.demo.observe import Observer, observing
from penstock.demo.project import SETTLE_SECONDS, SOURCE, Project, write_config
from penstock.demo.records import (
    FLOW,
    KEYS,
    RecordInputs,
    SampleApiProcess,
    compare_records,
    write_record_sources,
)
from penstock.demo.scenario import DemoError, Scenario
from penstock.demo.view import DemoView
from penstock.processes import ServiceProcesses
from penstock.settings import HubAccess
from penstock.stack import RunningStack

_SERVICES = ("scanner", "ingestor", "transformer", "refresher", "wrds_sync")
_PATIENCE_SECONDS = 90.0
"""For one step; past it the figures are shown as they are."""

_QUIET_SECONDS = 3.0
"""After the last figure is right: long enough for a second effect to show, if there were one."""

_POLL_SECONDS = 0.1
_RECORDS_POLL_SECONDS = 0.5
_QUERY = "select ticker, title, data_quality_score, quality_flags from silver.transcripts"


@dataclass(slots=True)
class Share:
    """The folder that the share serves; every file is complete when it gets its name."""

    root: Path
    written_at: dict[str, list[datetime]] = field(default_factory=dict)

    def put(self, files: Mapping[str, bytes]) -> None:
        """Lay files, or overwrite them, all in a moment."""
        drafts = []
        for path, data in files.items():
            target = self.root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            draft = target.with_name(f".{target.name}.part")
            draft.write_bytes(data)
            drafts.append((draft, target, path))
        for draft, target, path in drafts:
            draft.replace(target)
            self.written_at.setdefault(path, []).append(SystemClock().now())

    def remove(self, path: str) -> None:
        """Take a file away."""
        (self.root / path).unlink()


class DemoSession:
    """Goes through a scenario, and keeps the ledger beside it."""

    def __init__(
        self, project: Project, scenario: Scenario, stack: RunningStack, view: DemoView
    ) -> None:
        self._project = project
        self._scenario = scenario
        self._view = view
        self._folder = stack.stack.settings.state_dir
        self._config = self._folder / "config"
        self._env = _service_env(stack.env, self._config)
        self._access = HubAccess(
            kafka=KafkaSettings.model_validate(_only(self._env, "KAFKA_BOOTSTRAP_SERVERS")),
            database=DatabaseSettings.model_validate(_only(self._env, "DATABASE_URL")),
        )
        self._commander = Commander(self._access)
        self._share = Share(Path(stack.env["PENSTOCK_SHARE_PATH"]))
        self._ledger = Ledger(project.institutions())

    async def run(self, *, stays: bool) -> bool:
        """Go through everything; return whether every figure was what the inputs imply."""
        logs = self._folder / "logs"
        api = await SampleApiProcess.start(self._project.root / "examples", logs / "sample_api.log")
        try:
            copies = await self._set_up(api.url)
            return await self._run(logs, api, copies, stays=stays)
        finally:
            await api.stop()

    async def _run(self, logs: Path, api: SampleApiProcess, copies: Copies, *, stays: bool) -> bool:
        async with ServiceProcesses(self._env, logs) as services, observing(self._env) as observer:
            self._view.chapter(f"Starting {', '.join(_SERVICES)}: a process each")
            await services.start(*_SERVICES)
            with self._view:
                await self._steps(services, observer)
                seen = await self._rest(observer)
            problems = await self._report(observer, seen)
            problems += await self._records(observer, api)
            problems += await self._copies(copies)
            console = await ConsoleProcess.start(services)
            if stays:
                await copies.leave_a_plan(self._commander)
                self._view.verdict(problems)
                self._view.how_to_look(self._hints(services, console))
                await _until_interrupted()
            codes = await services.stop()
            problems += [f"{name} ended with {code}" for name, code in codes.items() if code != 0]
            if not stays:
                self._view.verdict(problems)
        return not problems

    # --- setting up --------------------------------------------------------------------------
    async def _set_up(self, api: str) -> Copies:
        self._view.chapter("Applying migrations, checking topics, writing the configuration")
        applied = await migrate(self._env["DATABASE_URL"], owners=installed_owners())
        await apply_topics(self._access.kafka, topic_specs())
        is_real = self._env["PENSTOCK_SHARE_KIND"] == "smb"
        (self._config / "secrets").mkdir(parents=True, exist_ok=True)
        write_config(
            self._project,
            self._config,
            share_kind="smb" if is_real else "local",
            share_root="" if is_real else str(self._share.root),
        )
        write_record_sources(
            self._project.root / "config" / "presets",
            self._config,
            api=api,
            market=self._project.root / "examples" / "market",
        )
        shutil.copyfile(self._project.root / "config" / "flows.yaml", self._config / "flows.yaml")
        copies = await Copies.open(
            self._env["DATABASE_URL"], self._project.root / "examples", self._folder / "mirror"
        )
        self._env |= copies.env
        await copies.configure(self._config, self._env)
        self._view.say(f"{len(applied)} migrations, {len(topic_specs())} topics")
        return copies

    # --- the scenario ------------------------------------------------------------------------
    async def _steps(self, services: ServiceProcesses, observer: Observer) -> None:
        """Take every step once the one before has had its whole effect; stop where it has not."""
        for step in (self._lay, self._change, self._delete, self._let_go):
            await step()
            if not await self._until_right(services, observer):
                return

    async def _lay(self) -> None:
        files = self._scenario.first
        self._view.chapter(f"Laying {len(files)} transcripts on the empty share")
        self._put(files)

    async def _change(self) -> None:
        scenario = self._scenario
        self._view.chapter("Adding, editing and breaking files")
        for what, note, files in (
            ("add", "a new transcript", scenario.late),
            ("edit", "overwritten: one sentence more", scenario.edited),
            ("edit", "written again as it was: no new version may come of it", scenario.touched),
            ("break", "overwritten with half of itself", scenario.truncated),
            ("break", "a new file: an XML bomb", scenario.bombs),
        ):
            self._put(files)
            for path in files:
                self._view.file(what, path, note)

    async def _delete(self) -> None:
        paths = self._scenario.removed
        self._view.chapter(f"Deleting {len(paths)} files: more than the guard lets pass")
        for path in paths:
            self._share.remove(path)
            self._view.file("remove", path)
        self._ledger.remove(*paths)

    async def _let_go(self) -> None:
        self._view.chapter("Releasing the deletions that are held back")
        self._view.say(f"penstock scan {SOURCE} --release-held-deletions --wait")
        await self._release()
        self._ledger.release(*self._scenario.removed)

    def _put(self, files: Mapping[str, bytes]) -> None:
        self._share.put(files)
        for path, data in files.items():
            self._ledger.put(path, data)

    async def _release(self) -> None:
        command = ScanRequested(
            source=SOURCE,
            mode="full",
            release_held_deletions=True,
            requester=REQUESTER,
            reason=REASON,
            overlap=OverlapPolicy.QUEUE,
        )
        await self._commander.follow(SCAN_REQUESTED, command)

    async def _records(self, observer: Observer, api: SampleApiProcess) -> list[str]:
        """Run the daily market flow, wait for people and prices, and show what came of them."""
        self._view.chapter("People, departments, companies and prices, from a sample API")
        self._view.say(f"penstock flow {FLOW} --wait")
        command = FlowRequested(flow=FLOW, requester=REQUESTER, reason=REASON)
        await self._commander.follow(FLOW_REQUESTED, command)
        inputs = RecordInputs.load(self._project.root / "examples")
        expected = inputs.figures(await asyncio.to_thread(api.count_valuations))
        for _ in range(int(_PATIENCE_SECONDS / _RECORDS_POLL_SECONDS)):
            if await observer.records() == expected:
                break
            await asyncio.sleep(_RECORDS_POLL_SECONDS)
        await asyncio.sleep(_QUIET_SECONDS)
        rows = compare_records(expected, await observer.records())
        self._view.records(rows, await observer.disputes())
        return _wrong(rows)

    async def _copies(self, copies: Copies) -> list[str]:
        """Copy production to UAT and an archive to Parquet, and show what came of it."""
        self._view.chapter("Production to UAT: planned, approved, masked, verified, taken back")
        refreshed = await copies.refresh(self._commander, self._view)
        self._view.chapter("An archive to Parquet: mirrored, restated, a changed schema refused")
        mirrored = await copies.sync(self._commander, self._view)
        self._view.copies([*refreshed, *mirrored])
        return _wrong([*refreshed, *mirrored])

    async def _until_right(self, services: ServiceProcesses, observer: Observer) -> bool:
        """Return whether every figure became right in the time it has."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        running = set(services.running)
        while time.monotonic() < deadline:
            expected, seen = self._ledger.figures(), await observer.figures()
            self._view.progress(expected, seen)
            if not differences(expected, seen):
                return True
            if lost := running - set(services.running):
                raise DemoError(f"{', '.join(lost)} ended; look at {self._folder / 'logs'}.")
            await asyncio.sleep(_POLL_SECONDS)
        return False

    async def _rest(self, observer: Observer) -> Figures:
        """Look once more after a while in which nothing may happen any more."""
        await asyncio.sleep(_QUIET_SECONDS)
        return await observer.figures()

    # --- the end -----------------------------------------------------------------------------
    async def _report(self, observer: Observer, seen: Figures) -> list[str]:
        expected = self._ledger.figures()
        self._view.results(compare(expected, seen))
        self._view.dead_letters(list(observer.traffic.dead.values()))
        latencies = await observer.latencies(self._share.written_at)
        self._view.latencies(latencies, settle_seconds=SETTLE_SECONDS)
        problems = [f"not as the inputs imply: {name}" for name in differences(expected, seen)]
        missing = await observer.missing_blobs(self._ledger.blob_keys)
        if missing:
            problems.append(f"the object store lacks {', '.join(sorted(missing))}")
        if problems:
            problems.append(f"what the services said of it is in {self._folder / 'logs'}")
        return problems

    def _hints(self, services: ServiceProcesses, console: ConsoleProcess) -> Mapping[str, str]:
        folder = shlex.quote(str(self._folder))
        ports = {name: item.http_port for name, item in services.running.items()}
        return {
            "Console:": console.address,
            "Log on as:": console.login,
            "Addresses:": f'eval "$(penstock env --state-dir {folder})"',
            "SQL:": f"psql {shlex.quote(self._env['DATABASE_URL'])} -c {shlex.quote(_QUERY)}",
            "A scan of your own:": f"penstock scan {SOURCE} --wait   # after the first line",
            "The share:": str(self._share.root),
            "Logs:": f"{self._folder / 'logs'}",
            **{
                f"Metrics of {name}:": f"http://127.0.0.1:{port}/metrics"
                for name, port in ports.items()
            },
        }


def _service_env(exports: Mapping[str, str], config: Path) -> dict[str, str]:
    return (
        dict(exports)
        | KEYS
        | {
            "PENSTOCK_CONFIG_DIRECTORY": str(config),
            # A folder without secrets: those of the machine do not belong to a demo.
            "PENSTOCK_SECRETS_DIR": str(config / "secrets"),
        }
    )


def _wrong(rows: Sequence[Row]) -> list[str]:
    return [f"not as the inputs imply: {row.name}" for row in rows if not row.is_right]


def _only(env: Mapping[str, str], name: str) -> dict[str, str]:
    return {name: env[name]}


async def _until_interrupted() -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
