"""What runs beside the consumers: the completion of records."""

import asyncio
from collections.abc import Mapping

from chassis.errors import TransientError
from chassis.logs import get_logger
from chassis.periodic import repeat
from ingestor import metrics
from ingestor.handlers.enrich import Enrich
from ingestor.ports import Enrichments
from ingestor.settings import EnrichSection

IDLE_SECONDS = 2.0
MEASURE_SECONDS = 15.0
_RETRY_SECONDS = 5.0


class KeepEnriching:
    """Works on the requests of every source, side by side."""

    def __init__(
        self, enrich: Enrich, enrichments: Enrichments, sections: Mapping[str, EnrichSection]
    ) -> None:
        self._enrich = enrich
        self._enrichments = enrichments
        self._sections = sections

    async def run(self) -> None:
        """Complete records for as long as the process lives."""
        async with asyncio.TaskGroup() as group:
            for source, section in self._sections.items():
                group.create_task(self._work(source, section))
            group.create_task(
                repeat(
                    self._measure,
                    every_seconds=MEASURE_SECONDS,
                    event="enrichments_not_counted",
                )
            )

    async def _work(self, source: str, section: EnrichSection) -> None:
        while True:
            try:
                taken = await self._enrich.step(source, section)
            except TransientError as error:
                get_logger().warning("enrichment_waits", source=source, error=error)
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                if not taken:
                    await asyncio.sleep(IDLE_SECONDS)

    async def _measure(self) -> None:
        waiting = await self._enrichments.waiting()
        for source in self._sections:
            metrics.ENRICHMENTS_WAITING.labels(source).set(waiting.get(source, 0))
