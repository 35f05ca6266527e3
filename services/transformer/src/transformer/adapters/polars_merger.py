"""Runs the merge in threads of its own, so that the event loop keeps beating.

polars releases the interpreter while it computes; how many cores it takes is
`TRANSFORMER_POLARS_THREADS`, set before its first import.
"""

import asyncio
import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from transformer.domain.entity import Entity
from transformer.domain.identity_keys import Keys, keys_of
from transformer.domain.merge import merge
from transformer.domain.outcomes import Outcomes
from transformer.domain.records import Head


class PolarsMerger:
    """A bounded pool of threads that merge."""

    def __init__(self, *, workers: int = 1) -> None:
        self._executor = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="merge")

    async def merge(
        self, entity: Entity, entity_ids: Sequence[str], heads: Sequence[Head]
    ) -> Outcomes:
        """Compute the silver state of entities; one outcome each, in sorted order."""
        work = functools.partial(merge, entity, entity_ids, heads)
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    async def keys(self, entity: Entity, heads: Sequence[Head]) -> dict[str, Keys]:
        """Compute by which keys records are linked."""
        work = functools.partial(keys_of, entity, heads)
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def close(self) -> None:
        """Let the threads end."""
        self._executor.shutdown(wait=False, cancel_futures=True)
