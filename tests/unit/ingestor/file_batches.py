"""Batches of file events without a broker, and shares that a test scripts."""

import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from chassis.bus.delivery import Batch, Delivery
from chassis.bus.drafts import Draft
from chassis.bus.records import Record
from chassis.db import Transaction
from chassis.outbox import Outbox
from chassis.shares.port import FileContent, ShareNotFoundError
from contracts.envelope import Event
from contracts.files import FileChange, FileChanged, FileFingerprint, Institution
from contracts.layers import BronzeStored

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
MOMENT_US = 1_767_323_045_678_901
ROYAL_BANK = Institution(ticker="RY-CA", name="Royal Bank of Canada", type="Canadian_Banks")


def file_event(
    change: FileChange = FileChange.ADDED,
    path: str = "a.xml",
    sequence: int | None = 1,
    *,
    source: str = "nas",
    size_bytes: int = 100,
    institution: Institution | None = None,
) -> Event[FileChanged]:
    state = FileFingerprint(modified_at=MOMENT, size_bytes=size_bytes)
    data = FileChanged(
        change=change,
        source=source,
        path=path,
        current=None if change is FileChange.DELETED else state,
        previous=None if change is FileChange.ADDED else state,
        scan_id="scan-1",
        institution=institution,
    )
    return Event(
        id=f"event-{path}-{sequence}",
        type="file.changed",
        source="/scanner",
        time=MOMENT,
        sequence=sequence,
        correlationid=f"lineage-{path}-{sequence}",
        data=data,
    )


def transcript(words: str = "Good morning.") -> bytes:
    return (
        "<transcript id='1'><body><speaker id='1'>"
        f"<plist><p>{words}</p></plist></speaker></body></transcript>"
    ).encode()


@dataclass(slots=True)
class Delivered:
    """A batch and what came of it."""

    batch: Batch[FileChanged]
    outbox: Outbox

    @property
    def published(self) -> list[BronzeStored]:
        return [BronzeStored.model_validate_json(item.data) for item in self._drafts]

    @property
    def causes(self) -> list[str | None]:
        return [item.causationid for item in self._drafts]

    @property
    def _drafts(self) -> list[Draft]:
        return [item for item in self.outbox._pending if isinstance(item, Draft)]

    @property
    def rejected(self) -> dict[str, str]:
        """Error categories by path."""
        return {
            delivery.data.path: error.category.value
            for delivery, error in self.batch.rejected.values()
        }


def deliver(*events: Event[FileChanged], attempt: int = 1) -> Delivered:
    outbox = Outbox("ingestor")

    @contextlib.asynccontextmanager
    async def settle() -> AsyncGenerator[Transaction]:
        yield Transaction(cast("Any", None), outbox)

    deliveries = [
        Delivery(
            event,
            Record(
                topic="file.changed",
                partition=0,
                offset=offset,
                key=b"k",
                value=b"",
                headers=(),
                timestamp_ms=1_767_323_045_678,
            ),
        )
        for offset, event in enumerate(events)
    ]
    return Delivered(Batch(deliveries, attempt=attempt, settle=settle), outbox)


@dataclass(slots=True)
class ScriptedFiles:
    """Answers per path, in order; the last one is repeated."""

    answers: Mapping[str, Sequence[bytes | Exception]]
    reads: list[str] = field(default_factory=list)

    async def read(self, source: str, path: str, *, max_bytes: int) -> FileContent:
        assert source == "nas"
        assert max_bytes == 1_000_000
        script = self.answers.get(path, [ShareNotFoundError()])
        answer = script[min(self.reads.count(path), len(script) - 1)]
        self.reads.append(path)
        if isinstance(answer, Exception):
            raise answer
        return FileContent(data=answer, modified_us=MOMENT_US)
