"""Start, recognise and end processes, so that none is orphaned and none is killed by mistake."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from penstock.stack.model import ProcessIdentity

_EXEC_CHILD = Path(__file__).with_name("exec_child.py")
_PR_SET_CHILD_SUBREAPER = 36
_START_TIME_FIELD = 19
"""Index of `starttime` in `/proc/<pid>/stat`, counted after the command's closing bracket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program to run as a child of the supervisor."""

    arguments: Sequence[str | Path]
    user: str | None = None
    """Account to run as, when the supervisor is root."""
    data_dir: Path = Path("/")
    """Folder which that account must be able to reach."""
    death_signal: signal.Signals = signal.SIGTERM
    """What the kernel sends when the supervisor dies, and what ends the program cleanly."""


def identify(pid: int) -> ProcessIdentity | None:
    """Return the identity of the process `pid`, or nothing when there is none."""
    with contextlib.suppress(OSError):
        # Ticks since boot: unlike a wall-clock start time, no clock adjustment changes them.
        after_command = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return ProcessIdentity(pid=pid, started=after_command[_START_TIME_FIELD])
    with contextlib.suppress(psutil.NoSuchProcess):
        return ProcessIdentity(pid=pid, started=f"{psutil.Process(pid).create_time():.0f}")
    return None


def is_alive(process: ProcessIdentity) -> bool:
    """Whether exactly this process still runs; a zombie does not."""
    if identify(process.pid) != process:
        return False
    try:
        return psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def spawn(program: Program, log: Path) -> asyncio.subprocess.Process:
    """Start `program` tied to this process; both its outputs are appended to `log`."""
    user = program.user if program.user and os.geteuid() == 0 else "-"
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(_EXEC_CHILD)),
            *(str(os.getpid()), str(int(program.death_signal)), user, str(program.data_dir)),
            *map(str, program.arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,
        )


async def run(program: Program, log: Path) -> int:
    """Run `program` to its end and return its exit code; it is killed when this is cancelled."""
    process = await spawn(program, log)
    try:
        return await process.wait()
    except asyncio.CancelledError:
        kill_group(process.pid, signal.SIGKILL)
        raise


async def stop(
    process: asyncio.subprocess.Process, how: signal.Signals, *, grace_seconds: float
) -> None:
    """Ask a child to end, wait, then end it and everything it started."""
    family = descendants(process.pid)
    if process.returncode is None and grace_seconds > 0:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(how)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), grace_seconds)
    kill_group(process.pid, signal.SIGKILL)
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    await process.wait()


def descendants(pid: int) -> list[psutil.Process]:
    """Return all processes that `pid` started, directly or not."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def kill_group(leader: int, how: signal.Signals) -> None:
    """Signal the process group that `leader` leads, if it still exists."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, how)


def adopt_orphans() -> None:
    """Make this process the parent of whatever its children leave behind (Linux).

    Samba starts helpers that detach themselves; without this they would become children of init and
    nobody could tell any more whose they are.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def orphans(own_children: Iterable[int]) -> list[psutil.Process]:
    """Return the adopted processes: children of this one which it did not start itself."""
    kept = set(own_children)
    return [child for child in psutil.Process().children() if child.pid not in kept]


def end_orphans(candidates: Iterable[psutil.Process], *, of_program: Path | None = None) -> None:
    """Kill adopted processes with all they started: every one, or those that run one program."""
    killed = []
    for orphan in candidates:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if of_program is not None and Path(orphan.exe()) != of_program.resolve():
                continue
            for member in (*orphan.children(recursive=True), orphan):
                member.kill()
                killed.append(member)
    psutil.wait_procs(killed, timeout=1)


def zombies(candidates: Iterable[psutil.Process]) -> frozenset[psutil.Process]:
    """Return those that have ended and were not collected."""
    ended = set()
    for candidate in candidates:
        with contextlib.suppress(psutil.NoSuchProcess):
            if candidate.status() == psutil.STATUS_ZOMBIE:
                ended.add(candidate)
    return frozenset(ended)


def collect(ended: Iterable[psutil.Process]) -> None:
    """Collect the exit codes of children nobody waits for."""
    for child in ended:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child.pid, os.WNOHANG)


def wait_until_gone(
    process: ProcessIdentity, *, seconds: float, pause: Callable[[float], None] = time.sleep
) -> bool:
    """Whether `process` ended within `seconds`."""
    deadline = time.monotonic() + seconds
    while is_alive(process):
        if time.monotonic() > deadline:
            return False
        pause(0.02)
    return True
