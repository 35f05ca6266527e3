"""An SMB share behind the port: a pool of threads, and a connection for each call under way.

Neither client library allows a connection to be used by two threads at a time (pysmb mixes the
answers up, smbprotocol runs out of credits), so a call has its connection for itself. The one that
was used last is taken first: a quiet source keeps one connection, a busy one as many as threads.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from chassis.clock import Clock, SystemClock
from chassis.errors import PenstockError
from chassis.logs import get_logger
from chassis.shares import smb_operations as operations
from chassis.shares.logon_gate import LogonGate
from chassis.shares.paths import validate_directory_path, validate_file_path
from chassis.shares.port import (
    Entry,
    FileContent,
    ShareDescription,
    ShareNotFoundError,
    ShareUnavailableError,
)
from chassis.shares.smb_messages import MalformedReplyError
from chassis.shares.smb_wire import ConnectionLostError, Folder, Wire

T = TypeVar("T")

MAX_IDLE_SECONDS = 240.0
"""Older connections are replaced before use: firewalls forget them in silence after five minutes,
and the first call would wait for its whole time-out."""


@dataclass(slots=True)
class _Held:
    wire: Wire
    used_at: float


class SmbShare:
    """A folder of an SMB share; `connect` makes one more connection, logged on."""

    def __init__(
        self,
        connect: Callable[[], Wire],
        *,
        root: str,
        connections: int,
        gate: LogonGate,
        clock: Clock | None = None,
    ) -> None:
        self._connect = connect
        self._root = root
        self._gate = gate
        self._clock = clock or SystemClock()
        self._executor = ThreadPoolExecutor(connections, thread_name_prefix="share")
        self._lock = threading.Lock()
        self._wires: set[Wire] = set()
        self._idle: list[_Held] = []
        self._is_closed = False
        self._is_announced = False

    async def list_directory(self, path: str) -> Sequence[Entry]:
        """Return every entry of a directory, without `.` and `..`; complete, or an error."""
        validate_directory_path(path)
        return await self._call(lambda folder: operations.list_directory(folder, path))

    async def stat(self, path: str) -> Entry:
        """Return one entry; used to prove that a file is gone (`ShareNotFoundError`)."""
        validate_directory_path(path)
        return await self._call(lambda folder: operations.stat(folder, path))

    async def read_file(self, path: str, *, max_bytes: int) -> FileContent:
        """Read a whole file; see the port for what it raises."""
        validate_file_path(path)
        return await self._call(lambda folder: operations.read_file(folder, path, max_bytes))

    async def write_file(self, path: str, data: bytes) -> None:
        """Write a file so that readers see the old or the new one; parents are created."""
        validate_file_path(path)
        await self._call(lambda folder: operations.write_file(folder, path, data))

    async def make_directories(self, path: str) -> None:
        """Create a directory and its parents; existing ones are fine."""
        validate_directory_path(path)
        await self._call(lambda folder: operations.make_directories(folder, path))

    async def describe(self) -> ShareDescription:
        """Connect if need be, and tell what was negotiated."""
        return await self._call(lambda folder: folder.wire.description)

    async def close(self) -> None:
        """Cut every connection; calls under way end with `ShareUnavailableError`."""
        self._is_closed = True
        await asyncio.to_thread(self._cut)

    def _cut(self) -> None:
        with self._lock:
            wires = list(self._wires)
        for wire in wires:
            wire.close()
        self._executor.shutdown(wait=True)

    async def _call(self, operation: Callable[[Folder], T]) -> T:
        self._check_open()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._run, operation)

    def _run(self, operation: Callable[[Folder], T]) -> T:
        """Carry out an operation on a connection of its own.

        A connection that turns out to be dead since its last use is replaced once: servers close
        idle ones. Every operation may be repeated as a whole.
        """
        self._check_open()
        held = self._take_idle()
        if held is not None:
            try:
                return self._use(held, operation)
            except ConnectionLostError:
                self._check_open()
        return self._use(self._take_new(), operation)

    def _take_idle(self) -> _Held | None:
        while True:
            with self._lock:
                held = self._idle.pop() if self._idle else None
            if held is None or self._clock.monotonic() - held.used_at <= MAX_IDLE_SECONDS:
                return held
            self._drop(held)

    def _take_new(self) -> _Held:
        with self._gate.attempt():
            wire = self._connect()
        held = _Held(wire, self._clock.monotonic())
        with self._lock:
            self._wires.add(wire)
            is_announced, self._is_announced = self._is_announced, True
        # Closing may have taken its list of connections before this one was on it.
        if self._is_closed:
            self._drop(held)
        self._check_open()
        if not is_announced:
            _announce(wire.description)
        return held

    def _use(self, held: _Held, operation: Callable[[Folder], T]) -> T:
        is_sound = False
        try:
            result = operation(Folder(held.wire, self._root))
            is_sound = True
        except ShareNotFoundError:
            self._check_root(held.wire)
            is_sound = True
            raise
        except MalformedReplyError as error:
            raise ShareUnavailableError("The server's answer makes no sense.") from error
        except ShareUnavailableError:
            raise
        except PenstockError:
            is_sound = True
            raise
        finally:
            if is_sound:
                self._give_back(held)
            else:
                self._drop(held)
        return result

    def _check_root(self, wire: Wire) -> None:
        # A base folder that vanished is a volume that is not mounted, not a thousand deletions.
        if not self._root:
            return
        try:
            operations.stat(Folder(wire, ""), self._root)
        except ShareNotFoundError as error:
            raise ShareUnavailableError("The base folder is not on the share.") from error

    def _check_open(self) -> None:
        if self._is_closed:
            raise ShareUnavailableError("The share was closed.")

    def _give_back(self, held: _Held) -> None:
        held.used_at = self._clock.monotonic()
        with self._lock:
            self._idle.append(held)

    def _drop(self, held: _Held) -> None:
        with self._lock:
            self._wires.discard(held.wire)
        held.wire.close()


def _announce(description: ShareDescription) -> None:
    get_logger().info(
        "share_connected",
        backend=description.backend,
        dialect=description.dialect,
        is_signed=description.is_signed,
        is_encrypted=description.is_encrypted,
        verifies_signatures=description.verifies_signatures,
    )
