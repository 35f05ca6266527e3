"""Backups by rclone (S5-47): objects and manifests, never temporary files or locks."""

import asyncio
import contextlib
from pathlib import Path

from chassis.logs import get_logger, redact
from wrds_sync.errors import SourceUnavailableError

FOLDERS = ("objects", "manifests", "schemas", "reports", "sync_progress")
"""In this order: a manifest in the backup never names an object that is not there yet."""

_DEADLINE_SECONDS = 6 * 3600.0
_LAST_CHARACTERS = 500
MISSING_EXIT_CODE = 127


class RcloneBackup:
    """Copies the mirror to an rclone destination."""

    def __init__(self, root: Path, remote: str, *, program: str = "rclone") -> None:
        self._root = root
        self._remote = remote.rstrip("/")
        self._program = program

    async def run(self) -> int:
        """Copy; return rclone's first exit code that is not 0.

        Objects are immutable, so nothing in the backup is ever replaced by something older; what
        was purged here stays there for the remote's own life cycle rules.
        """
        for folder in FOLDERS:
            if not await asyncio.to_thread((self._root / folder).is_dir):
                continue
            immutable = ("--immutable",) if folder == "objects" else ()
            code = await self._rclone(
                "copy",
                str(self._root / folder),
                f"{self._remote}/{folder}",
                "--checksum",
                "--exclude",
                "*.tmp",
                *immutable,
            )
            if code != 0:
                return code
        return 0

    async def restore(self, target: Path) -> int:
        """Copy everything back into a folder; return rclone's exit code."""
        return await self._rclone("copy", self._remote, str(target), "--checksum")

    async def _rclone(self, *arguments: str) -> int:
        try:
            process = await asyncio.create_subprocess_exec(
                self._program,
                *arguments,
                "--log-level",
                "NOTICE",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
        except FileNotFoundError:
            get_logger().error("backup_program_missing", program=self._program)
            return MISSING_EXIT_CODE
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS):
                _, said = await process.communicate()
        except TimeoutError as error:
            raise SourceUnavailableError("the backup took longer than six hours") from error
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode:
            text = redact(said.decode("utf-8", "replace"))[-_LAST_CHARACTERS:]
            get_logger().error("backup_said", exit_code=process.returncode, text=text)
        return process.returncode or 0
