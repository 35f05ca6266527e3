"""Small texts in a folder: each is replaced in one step, durably."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import TypeVar

from chassis.clock import Clock
from wrds_sync.adapters.durable import make_folders, replace_text, with_room
from wrds_sync.adapters.file_lock import AtomicFileLock
from wrds_sync.domain.locks import LockToken

Result = TypeVar("Result")


class LocalDocuments:
    """Files below a root."""

    def __init__(self, root: Path, executor: Executor, clock: Clock) -> None:
        self._root = root
        self._executor = executor
        self._clock = clock

    async def read(self, key: str) -> str | None:
        """Return a text; None if there is none."""
        return await self._run(lambda: _read(self._root / key))

    async def write(self, key: str, text: str, *, token: LockToken | None = None) -> None:
        """Replace a text, under the lock where a token is given."""
        await self._run(lambda: with_room(lambda: self._write(key, text, token), key))

    def _write(self, key: str, text: str, token: LockToken | None) -> None:
        path = self._root / key
        make_folders(path.parent, self._root)
        if token is None:
            replace_text(path, text)
            return
        lock = AtomicFileLock(self._root / "locks", token.dataset, clock=self._clock)
        with lock.guarding(token):
            replace_text(path, text)

    async def list_keys(self, prefix: str) -> list[str]:
        """Return the names below a prefix, sorted."""
        return await self._run(lambda: self._list(prefix))

    def _list(self, prefix: str) -> list[str]:
        folder = self._root / prefix.rpartition("/")[0]
        files = (path for path in folder.rglob("*") if path.is_file())
        keys = (path.relative_to(self._root).as_posix() for path in files)
        return sorted(key for key in keys if key.startswith(prefix) and not key.endswith(".tmp"))

    async def _run(self, action: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._executor, action)


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return None
