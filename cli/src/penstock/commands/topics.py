"""`penstock topics`: the topics that the contracts declare, and those that Kafka has."""

import asyncio
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from chassis.bus.topics import apply_topics
from contracts.topics import TopicSpec, topic_specs
from penstock.commands.examples import examples
from penstock.commands.options import AsJson, print_json
from penstock.messages import count_partitions
from penstock.settings import KafkaAccess, read_access

topics_app = typer.Typer(
    help="Create and inspect the topics that the contracts declare.", no_args_is_help=True
)


@dataclass(frozen=True, slots=True)
class TopicState:
    """One declared topic beside what Kafka says."""

    declared: TopicSpec
    partitions: int | None
    """None where Kafka has no such topic."""

    @property
    def state(self) -> str:
        """One word for people and programs."""
        if self.partitions is None:
            return "missing"
        return "present" if self.partitions == self.declared.partitions else "differs"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    topics_app.command(name="list", epilog=examples("topics list", "topics list --json"))(
        list_command
    )
    topics_app.command(
        name="apply", epilog=examples("topics apply", "topics apply --replication-factor 3")
    )(apply_command)
    app.add_typer(topics_app, name="topics", rich_help_panel="Set up")


def list_command(*, as_json: AsJson = False) -> None:
    """Show every declared topic; the exit code is 0 only when Kafka has all of them as declared."""
    settings = read_access(KafkaAccess).kafka
    present = asyncio.run(count_partitions(settings))
    states = [TopicState(spec, present.get(spec.name)) for spec in topic_specs()]
    if as_json:
        print_json([_as_json(item) for item in states])
    else:
        Console().print(_table(states))
    if any(item.state != "present" for item in states):
        raise typer.Exit(1)


def apply_command(
    *,
    replication_factor: Annotated[
        int, typer.Option(min=1, help="Copies of each new topic; 3 in production.")
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Create the missing topics, and set the declared configuration on all.

    The number of partitions of an existing topic is left alone: more of them would move keys
    between partitions and break the order of their events.
    """
    settings = read_access(KafkaAccess).kafka
    specs = topic_specs()
    created = asyncio.run(apply_topics(settings, specs, replication_factor=replication_factor))
    if as_json:
        typer.echo(json.dumps(created))
        return
    for name in created:
        typer.echo(f"created {name}")
    typer.echo(f"Kafka has all {len(specs)} topics as declared: {len(created)} created.")


def _table(states: list[TopicState]) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("TOPIC", no_wrap=True)
    for column in ("PARTITIONS", "KEPT", "LARGEST"):
        table.add_column(column, justify="right")
    table.add_column("STATE")
    for item in states:
        configs = item.declared.configs
        table.add_row(
            item.declared.name,
            str(item.declared.partitions),
            f"{timedelta(milliseconds=int(configs['retention.ms'])).days} days",
            f"{int(configs['max.message.bytes']) // 1024} KiB",
            item.state,
        )
    return table


def _as_json(item: TopicState) -> dict[str, object]:
    return {
        "name": item.declared.name,
        "state": item.state,
        "partitions": item.partitions,
        "declared_partitions": item.declared.partitions,
        "configs": item.declared.configs,
    }
