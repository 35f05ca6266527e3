"""The options of `penstock dlq`, and how a letter looks."""

from datetime import UTC, datetime, timedelta

import pytest
import typer
from typer.testing import CliRunner

from chassis.dead_letters.model import LetterFilter
from penstock import cli
from penstock.commands.dlq_options import STATUSES, Status, build_filter, parse_moment
from penstock.commands.dlq_view import body, printable


def chosen(**options: object) -> LetterFilter:
    return build_filter(**options)  # type: ignore[arg-type]


def test_a_dead_letter_topic_names_topic_and_consumer() -> None:
    found = chosen(topic="wrds-sync.requested.wrds-sync.dead")

    assert (found.topic, found.consumer) == ("wrds-sync.requested", "wrds_sync")
    assert chosen(topic="file.changed") == LetterFilter(topic="file.changed", status="open")
    with pytest.raises(typer.BadParameter, match="has no letters of scanner"):
        chosen(topic="file.changed.ingestor.dead", consumer="scanner")


def test_only_open_letters_are_meant_unless_another_status_is_named() -> None:
    assert chosen().status == "open"
    assert set(STATUSES) == set(Status)
    assert STATUSES[Status.ALL] is None


def test_a_moment_is_a_time_or_so_long_ago() -> None:
    assert parse_moment("2026-01-02T03:04") == datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    assert parse_moment("2026-01-02T03:04+02:00") == datetime(2026, 1, 2, 1, 4, tzinfo=UTC)
    assert datetime.now(UTC) - parse_moment("24h") - timedelta(hours=24) < timedelta(minutes=1)  # noqa: TID251
    with pytest.raises(typer.BadParameter, match="is no span"):
        parse_moment("yesterday")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "none"),
        (b'{"a":1}', '{\n  "a": 1\n}'),
        (b"\xff\x00", "b'\\xff\\x00'"),
        (b"plain \x1b[2J", "plain \\x1b[2J"),
    ],
)
def test_a_body_is_shown_for_people_and_steers_no_terminal(value: bytes | None, shown: str) -> None:
    assert body(value) == shown


def test_a_long_body_is_cut_and_says_how_to_see_it() -> None:
    assert body(b"x" * 5000) == "x" * 4096 + "\n… `--raw` writes all of it"


def test_texts_that_turn_the_direction_of_reading_are_escaped() -> None:
    assert printable("a\u202eb\nc") == "a\\u202eb\nc"


@pytest.mark.parametrize(
    "command",
    ["dlq list", "dlq show", "dlq replay", "dlq discard", "replay"],
)
def test_help_shows_examples(command: str) -> None:
    result = CliRunner().invoke(cli.app, [*command.split(), "--help"])

    assert result.exit_code == 0
    assert f"penstock {command}" in result.stdout.partition("Examples:")[2]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["replay"], "name letters, give a filter, or say --all"),
        (["dlq", "discard", "--reason", "x"], "name letters, give a filter, or say --all"),
        (["dlq", "discard", "3f0c12ab"], "Missing option"),
    ],
)
def test_misspelt_commands_end_with_2_before_anything_is_asked(
    arguments: list[str], told: str
) -> None:
    result = CliRunner().invoke(cli.app, arguments)

    assert result.exit_code == 2
    assert told in result.output
