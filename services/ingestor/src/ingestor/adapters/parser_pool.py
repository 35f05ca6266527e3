"""Parsing that does not hold up the event loop: small files at once, large ones in threads."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from ingestor.domain.canonical import canonical_json, content_hash
from ingestor.domain.parsers import PARSERS
from ingestor.ports import Parsed, ParseTask

INLINE_BYTES = 64 * 1024
"""Up to here, about three milliseconds, a thread costs more than it spares."""


class ParserPool:
    """Owns the threads that parse."""

    def __init__(self, threads: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="parser")

    async def parse(self, task: ParseTask) -> Parsed:
        """Parse a file.

        Raises:
            UnparseableError: it is no document of the expected kind, or not a safe one.
        """
        if len(task.data) <= INLINE_BYTES:
            return parse(task)
        return await asyncio.get_running_loop().run_in_executor(self._executor, parse, task)

    async def close(self) -> None:
        """End the threads, after the files they are at."""
        await asyncio.to_thread(self._executor.shutdown)


def parse(task: ParseTask) -> Parsed:
    """Parse a file and render the result in its canonical form."""
    parsed = PARSERS[task.parser](task.data, task.path, task.max_bytes)
    document = canonical_json({**parsed.document, **task.extra})
    return Parsed(parsed.entity_id, document, content_hash(document), parsed.names)
