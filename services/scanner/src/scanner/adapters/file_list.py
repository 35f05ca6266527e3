"""Records from a list in a file on a share or in a folder, and the clean list beside it."""

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor

from chassis.errors import PermanentError
from chassis.shares.port import Share
from contracts.errors import ErrorCategory
from scanner.domain.lists import ListFormat, ListFormatError, ParsedList, parse_list
from scanner.domain.records import Abilities, Full, PollRequest, RecordPage, SourceDescription
from scanner.errors import SourceRefusedError
from scanner.settings.file_list import CleanList, FileListRecords, RowRule


class FileListSource:
    """`RecordSource` on one file."""

    def __init__(self, config: FileListRecords, share: Share) -> None:
        self._config = config
        self._share = share
        self._parsing = ThreadPoolExecutor(1, thread_name_prefix="file-list")

    @property
    def abilities(self) -> Abilities:
        """A file is read whole."""
        return Abilities()

    async def describe(self) -> SourceDescription:
        """Connect, and look whether the file is there."""
        entry = await self._share.stat(self._config.path)
        return SourceDescription("file-list", f"{entry.size_bytes} bytes")

    async def poll(self, request: PollRequest) -> AsyncGenerator[RecordPage]:
        """Tell the rows of the list, a page at a time."""
        if not isinstance(request, Full):
            raise SourceRefusedError("a list can only be read whole")
        content = await self._share.read_file(self._config.path, max_bytes=self._config.max_bytes)
        # A list of many megabytes must not stop the heartbeat.
        loop = asyncio.get_running_loop()
        parsed = await loop.run_in_executor(self._parsing, self._parse, content.data)
        rows = [row for row in parsed.rows if _is_kept(row, self._config.rows)]
        gap = "; ".join(parsed.damaged[:3]) or None
        size = self._config.page_size
        for begin in range(0, max(1, len(rows)), size):
            page = tuple(rows[begin : begin + size])
            yield RecordPage(page, total=len(rows), gap=gap)

    async def close(self) -> None:
        """Close the share."""
        self._parsing.shutdown(wait=False, cancel_futures=True)
        await self._share.close()

    def _parse(self, data: bytes) -> ParsedList:
        try:
            text = data.decode(self._config.encoding)
            form = ListFormat(self._config.header, self._config.delimiter)
            parsed = parse_list(text, form)
        except (UnicodeDecodeError, ListFormatError) as error:
            raise SourceRefusedError(
                f"{self._config.path}: {error}", category=ErrorCategory.CONTENT_PARSE
            ) from error
        for rule in self._config.rows:
            if parsed.rows and rule.column not in parsed.rows[0]:
                raise SourceRefusedError(
                    f"{self._config.path}: there is no column {rule.column!r}",
                    category=ErrorCategory.CONTENT_PARSE,
                )
        return parsed


class ShareRecordList:
    """`RecordList` on a file of a share."""

    def __init__(self, config: CleanList, share: Share) -> None:
        self._config = config
        self._share = share

    async def write(self, lines: Sequence[str]) -> None:
        """Replace the list; a reader sees the old one or the new one."""
        broken = next((line for line in lines if "\n" in line or "\r" in line), None)
        try:
            if broken is not None:
                raise PermanentError(f"{broken!a} does not fit on one line")
            text = "".join(f"{line}\n" for line in lines)
            await self._share.write_file(self._config.path, text.encode("utf-8"))
        finally:
            await self._share.close()


def _is_kept(row: dict[str, str], rules: Sequence[RowRule]) -> bool:
    for rule in rules:
        value = row[rule.column]
        if rule.among and value not in rule.among:
            return False
        if value in rule.not_among:
            return False
        if rule.pattern is not None and not re.fullmatch(rule.pattern, value):
            return False
    return True
