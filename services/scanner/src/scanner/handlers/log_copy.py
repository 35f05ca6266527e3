"""Copies what was logged since the last copy to the Logs folder of the share (S1-33)."""

from datetime import datetime
from pathlib import PurePosixPath

from chassis.errors import PenstockError
from chassis.logs import get_logger
from chassis.shares.paths import join
from chassis.shares.port import Share
from contracts.errors import ErrorCategory
from scanner import metrics
from scanner.ports import LogFiles
from scanner.settings.scan import LogsCopyConfig


class LogCopy:
    """Adds one file per log and scan; files of earlier scans are never touched."""

    def __init__(self, share: Share, config: LogsCopyConfig, log_files: LogFiles) -> None:
        self._share = share
        self._config = config
        self._log_files = log_files

    async def run(self, *, scan_id: str, now: datetime) -> None:
        """Copy; a failure is reported, and made good by the next copy."""
        stamp = f"{now:%Y%m%dT%H%M%SZ}_{scan_id[:8]}"
        try:
            for piece in await self._log_files.take_new():
                name = PurePosixPath(piece.name)
                target = str(name.with_name(f"{name.stem}_{stamp}{name.suffix}"))
                await self._share.write_file(
                    join(self._config.output_logs_path, target), piece.data
                )
        except PenstockError as error:
            metrics.count_error(ErrorCategory.NAS_UPLOAD)
            get_logger().error(
                "logs_not_copied", category=ErrorCategory.NAS_UPLOAD.value, reason=error.message
            )
            return
        self._log_files.commit()
