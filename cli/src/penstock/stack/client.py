"""Start, join, look at and stop a stack from another process: the CLI, the tests, the demo."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from penstock.stack.diagnosis import read_since
from penstock.stack.errors import (
    DiskFullError,
    NotRunningError,
    PartTimeoutError,
    StackError,
    SupervisorGoneError,
)
from penstock.stack.given import foreign
from penstock.stack.model import (
    ALL_PARTS,
    PartName,
    PartState,
    PartStatus,
    StackState,
    Wanted,
)
from penstock.stack.processes import is_alive, wait_until_gone
from penstock.stack.settings import StackSettings, read_settings
from penstock.stack.statedir import StateDir

Progress = Callable[[StackState], None]

_NEEDED_BYTES = 512 * 1024 * 1024
"""Less would not hold the first log segments, the WAL and a few thousand blobs."""
_START_SECONDS = 900.0
"""Generous, because the first start downloads the servers."""
_STOP_SECONDS = 40.0
_POLL_SECONDS = 0.05


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """The stack of one state folder, running or not."""

    settings: StackSettings
    fast: bool = False
    free_bytes: Callable[[Path], int] = field(default=_free_bytes)
    """Replaced in tests, where no disk can be filled."""

    @property
    def state_dir(self) -> StateDir:
        """The folder with everything the stack keeps."""
        return StateDir(self.settings.state_dir)

    def up(
        self,
        parts: Iterable[PartName] = ALL_PARTS,
        *,
        tied: bool = False,
        on_progress: Progress = lambda _state: None,
    ) -> "RunningStack":
        """Start `parts`, or join the stack that runs already and add what it lacks.

        Args:
            parts: The servers that must be ready when this returns.
            tied: Stop the stack when this process ends, however it ends. A stack that was already
                running stays tied to whom it was tied to.
            on_progress: Called with the state of the stack while servers start.

        Raises:
            StackError: A part could not be started; the message says what to do.
        """
        state = self.state_dir
        state.create()
        with state.changing(timeout_seconds=_START_SECONDS):
            if state.is_supervised():
                with contextlib.suppress(SupervisorGoneError):  # it was about to stop: start anew
                    return self._join(frozenset(parts), on_progress)
            return self._start(frozenset(parts), on_progress, tied=tied)

    def down(self) -> bool:
        """Stop the stack; returns whether there was one."""
        state = self.state_dir
        if not state.root.exists() or not state.is_supervised():
            return False
        report = state.read_state()
        if report is None:
            raise StackError(f"The supervisor of {state.root} is still starting; try again.")
        with contextlib.suppress(ProcessLookupError):
            os.kill(report.supervisor.pid, signal.SIGTERM)
        if not wait_until_gone(report.supervisor, seconds=_STOP_SECONDS):
            # Its children are tied to it by the kernel.
            with contextlib.suppress(ProcessLookupError):
                os.kill(report.supervisor.pid, signal.SIGKILL)
            wait_until_gone(report.supervisor, seconds=5)
        return True

    def status(self) -> StackState | None:
        """Return the state of the stack as it is now, or nothing when there never was one."""
        state = self.state_dir
        report = state.read_state() if state.root.exists() else None
        if report is None:
            return None
        if state.is_supervised():
            parts = _without_the_dead(report.parts, state.explain_full_disk())
        else:
            parts = _without_supervisor(report.parts)
        return report.model_copy(update={"parts": parts})

    def env(self) -> dict[str, str]:
        """Return the exports with which a client reaches the running parts."""
        report = self.status()
        if report is None or not report.env:
            raise NotRunningError(
                f"No stack is running in {self.settings.state_dir}; start it with `penstock up`."
            )
        return report.env

    # --- the steps of up ---------------------------------------------------------------------
    def _join(self, parts: frozenset[PartName], on_progress: Progress) -> "RunningStack":
        wanted = self._ask_for(parts, previous=self.state_dir.read_wanted())
        report = self.state_dir.read_state()
        if report is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(report.supervisor.pid, signal.SIGHUP)
        self._wait(wanted, on_progress, self.state_dir.is_supervised)
        return RunningStack(stack=self, supervisor=None)

    def _start(
        self, parts: frozenset[PartName], on_progress: Progress, *, tied: bool
    ) -> "RunningStack":
        self._check_disk()
        wanted = self._ask_for(parts, previous=None)
        supervisor = self._spawn_supervisor()
        try:
            self._wait(wanted, on_progress, lambda: supervisor.poll() is None, of=supervisor.pid)
        except BaseException:
            _end(supervisor)
            raise
        if not tied:
            _release(supervisor)
        return RunningStack(stack=self, supervisor=supervisor)

    def _check_disk(self) -> None:
        free = self.free_bytes(self.settings.state_dir)
        if free < _NEEDED_BYTES:
            raise DiskFullError(
                f"Only {free // 1_000_000} MB are free for {self.settings.state_dir}, and the "
                f"stack needs {_NEEDED_BYTES // 1_000_000} MB: free some space, "
                "or choose another folder with PENSTOCK_STATE_DIR."
            )

    def _ask_for(self, parts: frozenset[PartName], *, previous: Wanted | None) -> Wanted:
        given = foreign(self.settings.given, self.state_dir)
        ports = dict(self.settings.ports)
        if previous is None:
            wanted = Wanted(generation=1, parts=parts, fast=self.fast, ports=ports, given=given)
        else:
            wanted = previous.model_copy(
                update={
                    "generation": previous.generation + 1,
                    "parts": previous.parts | parts,
                    "ports": previous.ports | ports,
                    "given": given | previous.given,
                }
            )
        self.state_dir.write_wanted(wanted)
        return wanted

    def _spawn_supervisor(self) -> "subprocess.Popen[bytes]":
        state = self.state_dir
        state.rotate_log("supervisor")
        module = "penstock.stack.supervisor"
        with state.log("supervisor").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", module, str(state.root), str(self.settings.cache_dir)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )

    def _wait(
        self,
        wanted: Wanted,
        on_progress: Progress,
        is_supervised: Callable[[], bool],
        *,
        of: int | None = None,
    ) -> None:
        """Wait until the supervisor, `of` that process number if given, has done its best."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            lives = is_supervised()
            report = self.state_dir.read_state()
            # An older report may still lie there when a new supervisor starts.
            if report is not None and of in {None, report.supervisor.pid}:
                on_progress(report)
                if report.generation >= wanted.generation:
                    _raise_if_unusable(report, wanted)
                    return
            if not lives:
                raise self._supervisor_gone()
            time.sleep(_POLL_SECONDS)
        raise PartTimeoutError(
            f"The stack did not start within {_START_SECONDS:.0f} s; "
            f"look at {self.state_dir.root / 'logs'}."
        )

    def _supervisor_gone(self) -> StackError:
        full = self.state_dir.explain_full_disk()
        if full is not None:
            return full
        log = self.state_dir.log("supervisor")
        last = read_since(log, 0).strip().rpartition("\n")[2]
        return SupervisorGoneError(
            f"The supervisor of the stack ended ({last or 'without a word'}); look at {log}."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningStack:
    """A stack that is up. As a context manager it is stopped at the end, if it was started here."""

    stack: Stack
    supervisor: "subprocess.Popen[bytes] | None"
    """The process we started, or nothing when we joined a running stack."""

    @property
    def env(self) -> dict[str, str]:
        """The exports with which a client reaches every usable part."""
        return self.stack.env()

    @property
    def is_joined(self) -> bool:
        """Whether somebody else started the stack."""
        return self.supervisor is None

    @property
    def has_real_share(self) -> bool:
        """Whether the share is served over SMB, rather than being a plain folder."""
        return self.env.get("PENSTOCK_SHARE_KIND") != "local"

    def is_supervised(self) -> bool:
        """Whether the supervisor still lives."""
        return self.stack.state_dir.is_supervised()

    def part(self, name: PartName) -> PartState:
        """Return the present state of a part."""
        report = self.stack.status()
        if report is None or name not in report.parts:
            raise NotRunningError(f"{name.value} was not started; add it with `penstock up`.")
        return report.parts[name]

    def stop(self) -> None:
        """Stop all servers, whoever started them."""
        self.stack.down()
        if self.supervisor is not None:
            _end(self.supervisor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.is_joined:
            self.stop()


def start_stack(
    parts: Iterable[PartName | str] = ALL_PARTS,
    *,
    state_dir: Path | None = None,
    fast: bool = False,
    tied: bool = True,
    on_progress: Progress = lambda _state: None,
) -> RunningStack:
    """Start a stack for this process, or join the one of `state_dir`.

    Args:
        parts: The servers to start, by name.
        state_dir: Its folder; by default what the environment says, else `.penstock`.
        fast: Speed before durability, for tests.
        tied: Stop the stack when this process ends, however it ends.
        on_progress: Called with the state of the stack while servers start.
    """
    settings = read_settings()
    if state_dir is not None:
        settings = settings.in_folder(state_dir)
    names = [PartName(part) for part in parts]
    return Stack(settings=settings, fast=fast).up(names, tied=tied, on_progress=on_progress)


def _raise_if_unusable(report: StackState, wanted: Wanted) -> None:
    problems = [
        report.parts[part].message
        for part in sorted(wanted.parts)
        if not report.parts[part].status.is_usable
    ]
    if problems:
        raise StackError("\n".join(problems))


def _without_supervisor(parts: Mapping[PartName, PartState]) -> dict[PartName, PartState]:
    """Correct a report whose author is gone: nothing it started can still be alive."""
    message = "The stack is not running; start it with `penstock up`."
    return {
        name: part
        if part.status in {PartStatus.STOPPED, PartStatus.FAILED}
        else PartState(status=PartStatus.DEAD, address=part.address, message=message)
        for name, part in parts.items()
    }


def _without_the_dead(
    parts: Mapping[PartName, PartState], full_disk: StackError | None
) -> dict[PartName, PartState]:
    """Correct a report that could not be told, which happens on a full disk."""
    reason = full_disk or "It has ended; start it again with `penstock up`."
    return {
        name: PartState(
            status=PartStatus.DEAD,
            address=part.address,
            message=str(reason),
        )
        if part.process is not None and not is_alive(part.process)
        else part
        for name, part in parts.items()
    }


def _release(supervisor: "subprocess.Popen[bytes]") -> None:
    """Let the supervisor outlive us."""
    assert supervisor.stdin is not None  # noqa: S101 - we asked for the pipe
    supervisor.stdin.write(b"stay\n")
    supervisor.stdin.close()


def _end(supervisor: "subprocess.Popen[bytes]") -> None:
    """Let go of a supervisor, which stops the stack if it does not stop already, and wait."""
    if supervisor.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            supervisor.stdin.close()
    try:
        supervisor.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        supervisor.kill()
        supervisor.wait()
