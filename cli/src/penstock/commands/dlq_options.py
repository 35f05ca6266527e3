"""How letters are chosen on the command line: the options that listing, replaying and discarding
share.
"""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Annotated, Any

import typer

from chassis.clock import SystemClock
from chassis.dead_letters.model import LetterFilter, LetterStatus
from contracts.dead_letters import parse_topic
from penstock.commands.runs import parse_span


class Status(StrEnum):
    """What has become of a letter."""

    OPEN = "open"
    REPLAYED = "replayed"
    DISCARDED = "discarded"
    ALL = "all"


STATUSES: dict[Status, LetterStatus | None] = {
    Status.OPEN: "open",
    Status.REPLAYED: "replayed",
    Status.DISCARDED: "discarded",
    Status.ALL: None,
}

Consumer = Annotated[str | None, typer.Option(help="Rejected by this service.", show_default=False)]
OfTopic = Annotated[
    str | None,
    typer.Option("--topic", help="Of this topic, or this dead-letter topic.", show_default=False),
]
Category = Annotated[
    str | None, typer.Option(help="Of this category, such as content_parse.", show_default=False)
]
ErrorClass = Annotated[
    str | None, typer.Option(help="With this error, such as ValueError.", show_default=False)
]
Since = Annotated[
    str | None,
    typer.Option(
        metavar="WHEN",
        help="Failed in the last 30m, 24h, 7d, or since a time (UTC).",
        show_default=False,
    ),
]
Before = Annotated[
    str | None,
    typer.Option(
        metavar="WHEN",
        help="Failed before a time (UTC), or longer ago than 24h.",
        show_default=False,
    ),
]
Event = Annotated[
    list[str] | None, typer.Option("--event", help="Of this event; repeatable.", show_default=False)
]
Drift = Annotated[
    uuid.UUID | None, typer.Option(help="Held back by this schema drift.", show_default=False)
]
Letters = Annotated[
    list[str] | None, typer.Argument(help="Letters, by id or its beginning.", show_default=False)
]
Everything = Annotated[bool, typer.Option("--all", help="Every open letter there is.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Count, and touch nothing.")]
Wait = Annotated[
    bool, typer.Option("--wait", help="Follow the runs; exit code 1 unless all complete.")
]


def build_filter(
    *,
    consumer: Consumer = None,
    topic: OfTopic = None,
    category: Category = None,
    error_class: ErrorClass = None,
    since: Since = None,
    before: Before = None,
    event: Event = None,
    drift: Drift = None,
) -> LetterFilter:
    """Return the open letters that the options mean; a dead-letter topic names topic and consumer
    at once.

    Raises:
        BadParameter: a time is none, or the options contradict each other.
    """
    named = parse_topic(topic) if topic else None
    if named is not None:
        of_topic = named.consumer.replace("-", "_")
        if consumer not in (None, of_topic):
            raise typer.BadParameter(f"{topic} has no letters of {consumer}")
        topic, consumer = named.origin, of_topic
    return LetterFilter(
        consumer=consumer,
        topic=topic,
        status="open",
        event_ids=tuple(event or ()),
        category=category,
        error_class=error_class,
        failed_after=parse_moment(since) if since else None,
        failed_before=parse_moment(before) if before else None,
        drift_id=drift,
    )


def choosing_letters(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `build_filter`; what they mean comes to it as `wanted`."""
    options = signature(build_filter).parameters
    own = [item for name, item in signature(command).parameters.items() if name != "wanted"]

    @wraps(command)
    def run(**arguments: Any) -> None:
        chosen = {name: arguments.pop(name) for name in options}
        command(wanted=build_filter(**chosen), **arguments)

    positional = [item for item in own if item.kind is not Parameter.KEYWORD_ONLY]
    others = [item for item in own if item.kind is Parameter.KEYWORD_ONLY]
    # What the command line is made of.
    run.__signature__ = Signature([*positional, *options.values(), *others])  # type: ignore[attr-defined]
    run.__annotations__ = {
        item.name: item.annotation
        for item in run.__signature__.parameters.values()  # type: ignore[attr-defined]
    }
    return run


def parse_moment(text: str) -> datetime:
    """Return the time that `24h` (ago) or `2026-01-02T03:04` (UTC unless it says otherwise) means.

    Raises:
        BadParameter: it means none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return SystemClock().now() - parse_span(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
