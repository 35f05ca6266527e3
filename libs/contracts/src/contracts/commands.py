"""What people and schedules may ask for.

Commands are untrusted input: unknown fields are refused, targets are names that configuration
knows, never hosts, paths or SQL. A command may be sent bare (its data as JSON, without an
envelope), so that any Kafka client can trigger work in one line.
"""

import uuid
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from contracts.types import FilePath, Identifier, Message, Name, Ordinal, ShortText, UtcDatetime

SourceOrder = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z][a-z0-9_]{0,50}=[a-z][a-z0-9_]{0,50}(>[a-z][a-z0-9_]{0,50})*$",
        max_length=500,
    ),
]
"""Which sources may give a field, strongest first: `email=umich_api>tdx`."""


class OverlapPolicy(StrEnum):
    """What to do when the target already has a queued or running run."""

    SKIP = "skip"
    """Drop the new command; the run in progress answers it."""

    QUEUE = "queue"
    """Run after the present one."""

    REPLACE = "replace"
    """Cancel the present run, then run."""


class Command(Message):
    """What every command carries."""

    model_config = ConfigDict(extra="forbid")

    command_id: Identifier | None = None
    """Makes the command idempotent; the message's own position stands in when it is left out."""

    requester: Annotated[str, StringConstraints(min_length=1, max_length=100)] = "anonymous"
    reason: ShortText | None = None
    dry_run: bool = False
    overlap: OverlapPolicy = OverlapPolicy.SKIP
    expires_at: UtcDatetime | None = None
    """A command read after this time is recorded and not run."""


class ScanRequested(Command):
    """Look for changes at a source now."""

    source: Name
    mode: Literal["auto", "fast", "full"] = "auto"
    """`fast` trusts directory times, `full` lists everything, `auto` lets the schedule decide."""

    prefix: FilePath | None = None
    """Only this subtree; deletions outside it are never concluded."""

    release_held_deletions: bool = False
    """Publish the deletions that the guard held back at the last complete scan."""


class FlowRequested(Command):
    """Run the scans of a flow one after the other, or one of them."""

    flow: Name
    """A key of the flow configuration."""

    step: Name | None = None
    """Only this step; None runs all of them."""


class RefreshRequested(Command):
    """Copy a table, or all, from production to UAT."""

    table: Name
    """A key of the refresh configuration, or `all`."""

    mode: Literal["configured", "full_replace", "incremental", "smart_sync"] = "configured"
    force: bool = False
    """Skip the approval of a destructive plan; needs a role and is audited."""

    row_limit: Ordinal | None = None
    """Refused unless the environment is marked as a test."""


class RefreshApproveRequested(Command):
    """Apply a plan that waits; whoever asks has looked at what it destroys."""

    plan: Identifier
    """The plan's id, or the id of the run that made it."""

    table: Name
    """What the plan refreshes: a key of the refresh configuration, or `all`."""


class RefreshUndoRequested(Command):
    """Put back the rows that a refresh has replaced."""

    plan: Identifier
    """The plan's id, or the id of the run that applied it."""

    table: Name
    """What the plan has refreshed: a key of the refresh configuration, or `all`."""


class RefreshPreviewRequested(Command):
    """Count the rows of a table in both databases, or fetch a few rows of one to be looked at."""

    table: Name
    """A key of the refresh configuration; `all` may be counted."""

    side: Literal["source", "target"] | None = None
    """Whose rows are fetched, masked as by a refresh where they are production's; None counts."""


class WrdsSyncRequested(Command):
    """Mirror a WRDS data set, or all."""

    dataset: Name
    """A key of the data set configuration, or `all`."""

    mode: Literal["full", "incremental", "verify"] = "incremental"
    start_year: Annotated[int, Field(ge=1900, le=2200)] | None = None


class ReplayRequested(Command):
    """Send dead letters back to the consumer that rejected them, or discard them.

    Of the open ones of a topic, those that fit every filter.
    """

    topic: Name
    """The dead-letter topic, e.g. `file.changed.ingestor.dead`."""

    action: Literal["replay", "discard"] = "replay"
    """`discard` closes them without sending them, and needs a reason."""

    letter_ids: Annotated[tuple[uuid.UUID, ...], Field(max_length=1000)] = ()
    """Only these letters."""

    event_ids: Annotated[tuple[Identifier, ...], Field(max_length=1000)] = ()
    """Only letters of these events."""

    category: Name | None = None
    error_class: Name | None = None
    failed_after: UtcDatetime | None = None
    """Only what failed at this time or later."""

    failed_before: UtcDatetime | None = None
    """Only what failed earlier."""

    drift_id: uuid.UUID | None = None
    """Only what this schema drift holds back."""

    overlap: OverlapPolicy = OverlapPolicy.QUEUE
    """Two replays of a topic have different letters in mind; the second answers for itself."""

    @model_validator(mode="after")
    def _discarding_has_a_reason(self) -> Self:
        if self.action == "discard" and not (self.reason or "").strip():
            raise PydanticCustomError("reason", "discarding dead letters needs a reason")
        return self


class TransformRequested(Command):
    """Recompute silver from bronze."""

    entity_type: Name
    entity_ids: Annotated[tuple[Identifier, ...], Field(max_length=1000)] = ()
    """Only these; empty means every entity of the type."""

    changed_since: UtcDatetime | None = None
    """Only entities of which bronze stored a version at or after this time."""

    incremental: bool = False
    """Only what bronze stored since the last complete run began, less an overlap."""

    priority: Annotated[tuple[SourceOrder, ...], Field(max_length=100)] = ()
    """Other orders of sources, to see what they would change; with `dry_run` only."""

    action: Literal["transform", "shadow", "promote", "discard"] = "transform"
    """`shadow` computes silver anew beside the one that readers see and tells the difference;
    `promote` makes a shadow the truth, `discard` forgets it."""

    shadow_run: Identifier | None = None
    """The run that made the shadow; what is promoted or discarded."""

    until: UtcDatetime | None = None
    """Of a shadow: bronze as it was at this time, rather than as it is."""

    limit: Annotated[int, Field(ge=1)] | None = None
    """Of a shadow: the first so many of bronze's entities only."""

    @model_validator(mode="after")
    def _a_shadow_is_asked_for_alone(self) -> Self:
        decides = self.action in ("promote", "discard")
        if decides != (self.shadow_run is not None):
            raise PydanticCustomError("shadow_run", "promote and discard name a shadow_run")
        if self.action != "shadow" and (self.until or self.limit):
            raise PydanticCustomError("window", "until and limit belong to a shadow")
        if self.action != "transform" and (self.dry_run or self.incremental or self.priority):
            raise PydanticCustomError(
                "action", "dry_run, incremental and priority belong to a transformation"
            )
        if decides and (self.entity_ids or self.changed_since):
            raise PydanticCustomError("action", "a shadow is promoted or discarded as a whole")
        return self


class RunCancelRequested(Command):
    """Stop a run at its next safe point."""

    run_id: Identifier
