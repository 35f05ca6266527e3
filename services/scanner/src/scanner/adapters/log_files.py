"""Reads what was added to this process's log files, for their copy on the share."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scanner.ports import LogPiece

MAX_PIECE_BYTES = 16 * 1024 * 1024
"""Per file and copy; the rest follows with the next one."""


class LocalLogFiles:
    """`LogFiles` on the folder that `PENSTOCK_LOG_DIRECTORY` names."""

    def __init__(self, directory: Path, service: str) -> None:
        self._directory = directory
        self._service = service
        self._copied = {path: path.stat().st_size for path in self._files()}
        """What an earlier process wrote was its own to copy."""
        self._taken: dict[Path, int] = {}
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="log-files")

    async def take_new(self) -> Sequence[LogPiece]:
        """Return what was added since the last `commit`."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._read)

    def commit(self) -> None:
        """Count what was taken as copied."""
        self._copied |= self._taken

    def _read(self) -> list[LogPiece]:
        pieces: list[LogPiece] = []
        self._taken = {}
        for path in self._files():
            begin = self._copied.get(path, 0)
            with path.open("rb") as file:
                file.seek(begin)
                data = file.read(MAX_PIECE_BYTES)
            whole = data[: data.rfind(b"\n") + 1]
            if whole:
                self._taken[path] = begin + len(whole)
                name = path.relative_to(self._directory).as_posix()
                pieces.append(LogPiece(name, whole))
        return pieces

    def _files(self) -> list[Path]:
        names = f"{self._service}_*.log"
        return sorted([*self._directory.glob(names), *self._directory.glob(f"Errors/{names}")])
