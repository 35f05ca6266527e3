"""The one process that owns a stack: it starts the servers, watches them, and dies with them.

Run as `python -m penstock.stack.supervisor STATE_DIR CACHE_DIR`. It reads what is wanted from the
state folder (again at SIGHUP), reports what is, and stops everything at SIGTERM or when its
standard input closes before the line `stay` came: a parent that is killed takes its stack with it.
"""

import asyncio
import contextlib
import os
import signal
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

import psutil

from penstock.stack.diagnosis import explain_exit, known_cause, read_since
from penstock.stack.errors import PartDiedError, StackError
from penstock.stack.given import check_reachable
from penstock.stack.java import JarCache
from penstock.stack.model import (
    PartName,
    PartState,
    PartStatus,
    Wanted,
)
from penstock.stack.parts import PARTS
from penstock.stack.parts.part import Launch, PartContext
from penstock.stack.processes import (
    adopt_orphans,
    collect,
    end_orphans,
    identify,
    is_alive,
    orphans,
    spawn,
    stop,
    zombies,
)
from penstock.stack.provision import provision
from penstock.stack.report import Report
from penstock.stack.statedir import StateDir, explain_os_error

_GRACE_SECONDS = 20.0
_SWEEP_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Child:
    launch: Launch
    process: asyncio.subprocess.Process
    log_offset: int


class Supervisor:
    """Carries out what is wanted, one generation after the other."""

    def __init__(self, state: StateDir, jars: JarCache) -> None:
        self._state = state
        self._jars = jars
        self._children: dict[PartName, _Child] = {}
        self._watches: dict[PartName, asyncio.Task[None]] = {}
        self._report = Report(state)
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()
        self._fast = False

    async def run(self) -> None:
        """Supervise until asked to stop, then stop everything."""
        self._listen_to_signals()
        self._kill_leftovers()
        self._report.flush()
        try:
            async with asyncio.TaskGroup() as tasks:
                background = (
                    tasks.create_task(self._carry_out_what_is_wanted(tasks)),
                    tasks.create_task(self._listen_to_parent()),
                    tasks.create_task(self._sweep()),
                )
                await self._stop.wait()
                for task in background:
                    task.cancel()
                await self._stop_children()
        finally:
            await self._stop_children()
            end_orphans(orphans(()))

    # --- what others tell us -----------------------------------------------------------------
    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._wake.set)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)

    async def _listen_to_parent(self) -> None:
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
        if await reader.readline() != b"stay\n":
            self._stop.set()

    # --- carrying out ------------------------------------------------------------------------
    async def _carry_out_what_is_wanted(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            self._wake.clear()
            wanted = self._state.read_wanted()
            if wanted is not None and wanted.generation > self._report.state.generation:
                await self._carry_out(wanted, tasks)
            await self._wake.wait()

    async def _carry_out(self, wanted: Wanted, tasks: asyncio.TaskGroup) -> None:
        self._fast = wanted.fast
        context = PartContext(
            state=self._state, jars=self._jars, fast=wanted.fast, ports=wanted.ports
        )
        await self._notice_deaths()
        async with asyncio.TaskGroup() as starts:
            for part in sorted(wanted.parts):
                present = self._report.state.parts.get(part)
                if present is not None and present.status.is_usable:
                    continue
                starts.create_task(self._start(part, context, tasks, wanted.given.get(part)))
        self._report.finish(wanted.generation)

    async def _start(
        self,
        part: PartName,
        context: PartContext,
        tasks: asyncio.TaskGroup,
        given: dict[str, str] | None,
    ) -> None:
        log_offset = self._log_size(part)
        try:
            if given is not None:
                await self._accept(part, given)
            else:
                await self._start_or_raise(part, context, tasks)
        except PartDiedError as error:
            log = self._state.log(part.value)
            cause = known_cause(part, read_since(log, log_offset), log=log)
            await self._give_up(part, cause or str(error))
        except StackError as error:
            await self._give_up(part, str(error))
        except OSError as error:
            traceback.print_exc()
            await self._give_up(part, str(explain_os_error(error, self._state.root)))
        except Exception as error:  # noqa: BLE001 - one part's bug must not take the others down
            traceback.print_exc()
            reason = f"{type(error).__name__}: {error}"
            log = self._state.log("supervisor")
            await self._give_up(part, f"{part.value} could not be started ({reason}); see {log}.")

    async def _accept(self, part: PartName, env: dict[str, str]) -> None:
        self._report.set(part, PartState(status=PartStatus.STARTING))
        address = await asyncio.to_thread(check_reachable, part, env)
        self._report.set(part, PartState(status=PartStatus.GIVEN, address=address, env=env))

    async def _start_or_raise(
        self, part: PartName, context: PartContext, tasks: asyncio.TaskGroup
    ) -> None:
        self._state.rotate_log(part.value)
        self._report.set(part, PartState(status=PartStatus.PREPARING))
        launch = await PARTS[part].prepare(context)
        if launch.program is not None:
            await self._launch(part, launch)
            await provision(part, launch.env)
        self._report.set(part, self._describe(part, launch, PartStatus.READY))
        child = self._children.get(part)
        if child is not None:
            self._watches[part] = tasks.create_task(self._watch(part, child))

    async def _launch(self, part: PartName, launch: Launch) -> None:
        assert launch.program is not None  # noqa: S101 - for the type checker
        offset = self._log_size(part)
        process = await spawn(launch.program, self._state.log(part.value))
        child = _Child(launch=launch, process=process, log_offset=offset)
        self._children[part] = child
        self._report.set(part, self._describe(part, launch, PartStatus.STARTING))
        try:
            async with asyncio.TaskGroup() as race:
                death = race.create_task(self._raise_when_it_ends(part, child))
                await PARTS[part].until_ready(launch)
                death.cancel()
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors

    async def _raise_when_it_ends(self, part: PartName, child: _Child) -> None:
        await child.process.wait()
        raise PartDiedError(self._explain_exit(part, child))

    async def _give_up(self, part: PartName, message: str) -> None:
        child = self._children.pop(part, None)
        if child is not None:
            await self._end(child)
        self._report.fail(part, message)

    # --- watching ----------------------------------------------------------------------------
    async def _watch(self, part: PartName, child: _Child) -> None:
        await child.process.wait()
        if self._stop.is_set():
            return
        del self._children[part]
        self._end_orphans_of(child)
        self._report.bury(part, child.launch.address, self._explain_exit(part, child))

    async def _notice_deaths(self) -> None:
        """Let the watches of ended servers report first: a client may have been quicker."""
        for name, part in self._report.state.parts.items():
            if part.process is not None and not is_alive(part.process):
                await self._watches[name]

    async def _sweep(self) -> None:
        """Look after what no event announces: ended helpers, and room on a full disk."""
        seen: frozenset[psutil.Process] = frozenset()
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            ended = zombies(self._orphans())
            # What asyncio itself waits for is gone by the second look.
            collect(ended & seen)
            seen = ended
            self._report.flush()

    def _log_size(self, part: PartName) -> int:
        log = self._state.log(part.value)
        return log.stat().st_size if log.exists() else 0

    def _explain_exit(self, part: PartName, child: _Child) -> str:
        log = self._state.log(part.value)
        return explain_exit(
            part,
            child.process.returncode or 0,
            read_since(log, child.log_offset),
            log=log,
            address=child.launch.address,
        )

    # --- stopping ----------------------------------------------------------------------------
    async def _stop_children(self) -> None:
        async with asyncio.TaskGroup() as stops:
            for part in list(self._children):
                stops.create_task(self._stop_child(part))

    async def _stop_child(self, part: PartName) -> None:
        child = self._children.pop(part)
        await self._end(child)
        self._report.set(part, PartState(status=PartStatus.STOPPED, address=child.launch.address))

    async def _end(self, child: _Child) -> None:
        assert child.launch.program is not None  # noqa: S101 - for the type checker
        # A stack for tests is thrown away: nothing is worth waiting for.
        grace = 0.0 if self._fast else _GRACE_SECONDS
        await stop(child.process, child.launch.program.death_signal, grace_seconds=grace)
        self._end_orphans_of(child)

    def _end_orphans_of(self, child: _Child) -> None:
        assert child.launch.program is not None  # noqa: S101 - for the type checker
        program = Path(child.launch.program.arguments[0])
        end_orphans(self._orphans(), of_program=program)

    def _orphans(self) -> list[psutil.Process]:
        return orphans(child.process.pid for child in self._children.values())

    def _kill_leftovers(self) -> None:
        """End what a supervisor left behind that was killed where the kernel could not help."""
        previous = self._state.read_state()
        for part in previous.parts.values() if previous else ():
            if part.process is not None and is_alive(part.process):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(part.process.pid, signal.SIGKILL)

    # --- reporting ---------------------------------------------------------------------------
    def _describe(self, part: PartName, launch: Launch, status: PartStatus) -> PartState:
        child = self._children.get(part)
        return PartState(
            status=status,
            address=launch.address,
            process=identify(child.process.pid) if child else None,
            env=dict(launch.env),
        )


def main() -> None:
    """Supervise the stack of the given state folder."""
    # A client may already be waiting with more wishes; they are read at the start anyway.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    state = StateDir(Path(sys.argv[1]))
    jars = JarCache(Path(sys.argv[2]))
    with state.supervising() as is_free:
        if not is_free:
            sys.exit("another supervisor owns this folder")
        adopt_orphans()
        asyncio.run(Supervisor(state, jars).run())


if __name__ == "__main__":
    main()
