"""Writes the queue files of a legacy Stage 3 to the share (S1-22), where a source asks for it."""

import json
from collections.abc import Mapping

from chassis.errors import PenstockError, PermanentError
from chassis.logs import get_logger
from chassis.runs import RunContext
from chassis.shares.paths import join
from chassis.shares.port import Share, ShareNotFoundError
from contracts.errors import ErrorCategory
from scanner import metrics
from scanner.domain.queues import (
    PROCESS_QUEUE,
    REMOVAL_QUEUE,
    QueueRecord,
    Queues,
    as_document,
    merge,
    read_records,
)
from scanner.ports import Inventory, Scans
from scanner.settings.scan import LegacyExportConfig

MAX_QUEUE_BYTES = 256 * 1024 * 1024


class QueueFileError(PermanentError):
    """A queue file on the share is not one that can be added to."""

    default_category = ErrorCategory.QUEUE_SAVE


class QueueExport:
    """Adds what scans announced to the two queue files."""

    def __init__(self, share: Share, config: LegacyExportConfig) -> None:
        self._share = share
        self._config = config

    async def run(
        self, context: RunContext, source: str, *, inventory: Inventory, scans: Scans
    ) -> None:
        """Bring the files up to date; a failure is reported, and made good by the next scan."""
        scan_ids = await scans.not_exported(source)
        changes = await inventory.announced_by(source, scan_ids)
        if changes:
            try:
                before = Queues(await self._read(PROCESS_QUEUE), await self._read(REMOVAL_QUEUE))
                after = merge(before, changes, prefix=self._config.path_prefix)
                await self._write(PROCESS_QUEUE, after.process)
                await self._write(REMOVAL_QUEUE, after.removal)
            except PenstockError as error:
                metrics.count_error(ErrorCategory.QUEUE_SAVE)
                get_logger().error(
                    "queue_files_not_written",
                    source=source,
                    category=ErrorCategory.QUEUE_SAVE.value,
                    reason=error.message,
                )
                return
            get_logger().info("queue_files_written", source=source, changes=len(changes))
        async with context.transaction() as transaction:
            await scans.mark_exported(transaction, scan_ids)

    async def _read(self, name: str) -> dict[str, QueueRecord]:
        path = join(self._config.refresh_output_path, name)
        try:
            content = await self._share.read_file(path, max_bytes=MAX_QUEUE_BYTES)
        except ShareNotFoundError:
            return {}
        try:
            return read_records(json.loads(content.data))
        except ValueError as error:
            raise QueueFileError(f"`{name}` on the share: {error}") from error

    async def _write(self, name: str, records: Mapping[str, QueueRecord]) -> None:
        text = json.dumps(as_document(records), ensure_ascii=False, indent=2)
        await self._share.write_file(join(self._config.refresh_output_path, name), text.encode())
