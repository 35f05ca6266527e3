"""The run `replay`: sends dead letters back to where they came from, or discards them.

A letter is decided in the transaction that puts its message into the outbox, so a crash neither
loses nor doubles one. The message is the original byte by byte; three headers say whose replay it
is, and for whom: other consumers of the topic skip it.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from chassis.bus.raw_headers import RawHeaders
from chassis.clock import Clock
from chassis.db import Transaction
from chassis.dead_letters import letters
from chassis.dead_letters.model import Letter, LetterFilter, LetterStatus
from chassis.errors import PermanentError
from chassis.failpoints import reach
from chassis.logs import get_logger
from chassis.outbox import record_bytes
from chassis.runs.context import RunCancelledError, RunContext
from chassis.runs.worker import Job
from contracts import dead_letters as header
from contracts.commands import ReplayRequested
from contracts.runs import RunCounts
from contracts.topics import TOPICS, Topic

REPLAY = "replay"
"""The kind of run."""

MAX_REPLAYS = 3
"""A message that has failed so often after a replay is refused: replaying will not help it."""

CHUNK = 50
LETTERS_PER_SECOND = 200.0
"""So that a large replay leaves the consumer room for what is new."""

_START = (-1, -1, uuid.UUID(int=0))

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Refusal:
    letter: Letter
    reason: str


@dataclass(frozen=True, slots=True)
class _Progress:
    """Where a run stands; stored with every chunk, so that a crash resumes behind it."""

    until: datetime
    """Letters that fail later are not meant: a replay must not chase what it brings about."""

    last: tuple[int, int, uuid.UUID] = _START
    counts: RunCounts = field(default_factory=RunCounts)
    is_audited: bool = False

    def to_json(self) -> dict[str, Any]:
        partition, offset, letter_id = self.last
        return {
            "until": self.until.isoformat(),
            "last": [partition, offset, str(letter_id)],
            "counts": self.counts.model_dump(),
            "is_audited": self.is_audited,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any] | None, *, now: datetime) -> "_Progress":
        if stored is None:
            return cls(now)
        partition, offset, letter_id = stored["last"]
        return cls(
            until=datetime.fromisoformat(stored["until"]),
            last=(partition, offset, uuid.UUID(letter_id)),
            counts=RunCounts.model_validate(stored["counts"]),
            is_audited=stored["is_audited"],
        )


def replay_jobs(
    clock: Clock, *, topics: Sequence[Topic] = TOPICS, sleep: Sleep = asyncio.sleep
) -> dict[str, Job]:
    """Return the kind of run that every service with a consumer executes."""

    async def replay(context: RunContext) -> RunCounts:
        topic = _origin_of(context.run.target, topics)
        return await _Replay(context, topic, clock=clock, sleep=sleep).run()

    return {REPLAY: replay}


class _Replay:
    """One run."""

    def __init__(self, context: RunContext, topic: Topic, *, clock: Clock, sleep: Sleep) -> None:
        run = context.run
        self._context = context
        self._clock = clock
        self._sleep = sleep
        self._command = ReplayRequested.model_validate(
            run.parameters | {"reason": run.reason, "requester": run.requester}
        )
        self._topic = topic
        self._progress = _Progress.from_json(run.checkpoint, now=clock.now())
        self._filter = LetterFilter(
            consumer=run.service,
            topic=self._topic.name,
            status="open",
            letter_ids=self._command.letter_ids,
            event_ids=self._command.event_ids,
            category=self._command.category,
            error_class=self._command.error_class,
            failed_after=self._command.failed_after,
            failed_before=min(
                self._command.failed_before or datetime.max.replace(tzinfo=UTC),
                self._progress.until,
            ),
            drift_id=self._command.drift_id,
        )

    async def run(self) -> RunCounts:
        total = await self._count()
        try:
            while await self._step():
                await self._context.report(self._progress.counts, total=total, message=self._told())
                await self._sleep(CHUNK / LETTERS_PER_SECOND)
        except RunCancelledError:
            await self._audit(outcome="cancelled")
            raise
        await self._audit(outcome="completed")
        return self._progress.counts

    async def _count(self) -> int:
        """Return how many letters the run is about, those decided before a crash included."""
        async with self._context.transaction() as transaction:
            left = await letters.count_letters(transaction.connection, self._filter)
        counts = self._progress.counts
        # What was refused, or only looked at, is still open and counted among them.
        return left if self._context.run.dry_run else left + counts.changed + counts.deleted

    async def _step(self) -> bool:
        """Decide the next letters in one transaction; return whether there were any."""
        self._context.raise_if_cancelled()
        async with self._context.transaction() as transaction:
            rows = await transaction.connection.fetch(
                letters.NEXT_OPEN, *self._filter.arguments(), *self._progress.last, CHUNK
            )
            found = [letters.to_letter(row) for row in rows]
            if not found:
                return False
            refused = await self._decide(transaction, found)
            after = self._progress_after(found, len(refused))
            await self._context.checkpoint(after.to_json(), transaction=transaction)
            await reach("replay.before_commit")
        self._progress = after
        await reach("replay.after_commit")
        return True

    def _progress_after(self, found: Sequence[Letter], refused: int) -> _Progress:
        counts, last = self._progress.counts, found[-1]
        done = len(found) - refused
        is_discard = self._command.action == "discard"
        return replace(
            self._progress,
            last=(last.partition, last.offset, last.id),
            counts=RunCounts(
                processed=counts.processed + len(found),
                changed=counts.changed + (0 if is_discard else done),
                deleted=counts.deleted + (done if is_discard else 0),
                failed=counts.failed + refused,
            ),
        )

    async def _decide(self, transaction: Transaction, found: Sequence[Letter]) -> list[_Refusal]:
        """Replay or discard letters; return those that cannot be."""
        if self._command.action == "discard":
            await self._close(transaction, found, "discarded")
            return []
        refused: list[_Refusal] = []
        sent: list[Letter] = []
        for letter in found:
            if reason := why_not(letter, self._topic):
                refused.append(_Refusal(letter, reason))
            else:
                sent.append(letter)
        await self._send(transaction, sent)
        await self._note(transaction, refused)
        return refused

    async def _send(self, transaction: Transaction, sent: Sequence[Letter]) -> None:
        if not self._context.run.dry_run:
            for letter in sent:
                transaction.publish_again(
                    self._topic, letter.key, value=letter.value, headers=replay_headers(letter)
                )
        await self._close(transaction, sent, "replayed")

    async def _close(
        self, transaction: Transaction, decided: Sequence[Letter], status: LetterStatus
    ) -> None:
        run = self._context.run
        if run.dry_run:
            return
        await transaction.connection.execute(
            letters.DECIDE,
            [letter.id for letter in decided],
            status,
            self._clock.now(),
            run.requester,
            run.reason,
            run.run_id,
        )

    async def _note(self, transaction: Transaction, refused: Sequence[_Refusal]) -> None:
        """Write down why letters were refused, where failures of runs are listed."""
        run = self._context.run
        if not refused:
            return
        await transaction.connection.executemany(
            _REFUSED,
            [
                (
                    run.service,
                    run.run_id,
                    self._command.topic,
                    str(item.letter.id),
                    item.letter.category,
                    "ReplayRefused",
                    item.reason,
                    item.letter.event_id,
                )
                for item in refused
            ],
        )

    async def _audit(self, *, outcome: str) -> None:
        """Write one row a run, however often it was interrupted."""
        if self._progress.is_audited:
            return
        run, counts = self._context.run, self._progress.counts
        details = {
            "run_id": run.run_id,
            "command_id": run.command_id,
            "reason": run.reason,
            "dry_run": run.dry_run,
            "outcome": outcome,
            "filter": self._command.model_dump(mode="json", include=_FILTER_FIELDS),
            "replayed": counts.changed,
            "discarded": counts.deleted,
            "refused": counts.failed,
        }
        action = f"dead-letters.{self._command.action}"
        progress = replace(self._progress, is_audited=True)
        async with self._context.transaction() as transaction:
            await transaction.connection.execute(
                _AUDIT, run.service, run.requester, action, self._command.topic, details
            )
            await self._context.checkpoint(progress.to_json(), transaction=transaction)
        self._progress = progress
        get_logger().info(
            "dead_letters_decided", action=self._command.action, **counts.model_dump()
        )

    def _told(self) -> str:
        counts = self._progress.counts
        would = "would be " if self._context.run.dry_run else ""
        done = counts.changed + counts.deleted
        verb = "discarded" if self._command.action == "discard" else "replayed"
        refused = f", {counts.failed} refused" if counts.failed else ""
        return f"{done} {would}{verb}{refused}"


def why_not(letter: Letter, topic: Topic) -> str | None:
    """Return why a letter is not replayed, in a sentence; None when it is."""
    if letter.replays >= MAX_REPLAYS:
        return (
            f"the message was replayed {letter.replays} times and failed each time; discard the "
            "letter, or have its source send the message anew"
        )
    if letter.is_cut:
        return (
            f"only the beginning of the message is kept, because its {letter.size} bytes are more "
            "than a topic takes; have its source send it anew"
        )
    size = record_bytes(letter.key, letter.value, replay_headers(letter))
    if size > topic.max_record_bytes:
        return (
            f"with the headers of a replay the message has {size} bytes and `{topic.name}` takes "
            f"{topic.max_record_bytes}; have its source send it anew"
        )
    return None


def replay_headers(letter: Letter) -> RawHeaders:
    """Return the headers of the original, and those that make it a replay; for whom stands last
    (`chassis.bus.dead_letters.is_for_another`).
    """
    kept = [
        (name, value)
        for name, value in letter.original_headers
        if not name.startswith(("x-dlq-", "x-replay-"))
    ]
    return [
        *kept,
        (header.REPLAY_OF, str(letter.id).encode()),
        (header.REPLAY_COUNT, str(letter.replays + 1).encode()),
        (header.REPLAY_FOR, letter.consumer.encode()),
    ]


def _origin_of(dead_letter_topic: str, topics: Sequence[Topic]) -> Topic:
    found = header.parse_topic(dead_letter_topic)
    for topic in topics:
        if found is not None and topic.name == found.origin:
            return topic
    raise PermanentError(f"`{dead_letter_topic}` is no dead-letter topic")


_FILTER_FIELDS = {
    "letter_ids",
    "event_ids",
    "category",
    "error_class",
    "failed_after",
    "failed_before",
    "drift_id",
}

_REFUSED = (
    "insert into meta.record_errors "
    "(service, run_id, source, external_id, category, error_class, message, event_id) "
    "values ($1, $2::uuid, $3, $4, $5, $6, $7, $8)"
)

_AUDIT = (
    "insert into meta.audit (service, actor, action, subject, details) values ($1, $2, $3, $4, $5)"
)
