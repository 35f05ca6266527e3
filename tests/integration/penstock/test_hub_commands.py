"""`penstock migrate | topics | scan` as a user types them, against real servers."""

import json
from pathlib import Path

from chassis.migrations import OWNERS
from contracts.topics import topic_specs
from tests.support.addresses import KafkaAddress
from tests.support.command_line import penstock

NOBODY = "127.0.0.1:1"


def test_migrate_applies_everything_once(empty_database_url: str, tmp_path: Path) -> None:
    environment = {"DATABASE_URL": empty_database_url}
    first = penstock("migrate", state_dir=tmp_path, environment=environment)
    assert first.returncode == 0
    assert first.stdout.startswith("applied chassis/0001_pre_meta\n")
    assert f"up to date for {', '.join(OWNERS)}" in first.stdout

    again = penstock("migrate", state_dir=tmp_path, environment=environment)
    # A server on which the service roles exist has their rights laid anew, and is told so.
    told = again.stdout.splitlines()[0]
    assert told == f"The database is up to date for {', '.join(OWNERS)}: nothing to do."


def test_migrate_tells_programs_what_it_applied(empty_database_url: str, tmp_path: Path) -> None:
    environment = {"DATABASE_URL": empty_database_url}
    told = penstock(
        "migrate", "--phase", "pre", "--json", state_dir=tmp_path, environment=environment
    )
    applied = json.loads(told.stdout)
    assert applied[0] == {"owner": "chassis", "version": 1, "phase": "pre", "name": "meta"}
    assert {item["phase"] for item in applied} == {"pre"}


def test_migrate_without_a_database_says_what_to_do(tmp_path: Path) -> None:
    told = penstock("migrate", state_dir=tmp_path)
    assert told.returncode == 1
    assert told.stderr.strip() == (
        "penstock: settings: `DATABASE_URL` is missing, and no local stack runs in "
        f"{tmp_path}; start one with `penstock up`, or export the address"
    )


def test_topics_are_applied_and_listed(kafka: KafkaAddress, tmp_path: Path) -> None:
    applied = penstock("topics", "apply", state_dir=tmp_path, environment=kafka.env)
    assert f"Kafka has all {len(topic_specs())} topics as declared" in applied.stdout

    told = penstock("topics", "list", "--json", state_dir=tmp_path, environment=kafka.env)
    assert told.returncode == 0
    listed = {item["name"]: item for item in json.loads(told.stdout)}
    assert listed["file.changed"]["state"] == "present"
    assert listed["file.changed"]["partitions"] == 6
    assert listed["file.changed.ingestor.dead"]["partitions"] == 1


def test_topics_of_a_broker_that_is_away_are_one_sentence(tmp_path: Path) -> None:
    environment = {"KAFKA_BOOTSTRAP_SERVERS": NOBODY}
    told = penstock("topics", "list", state_dir=tmp_path, environment=environment)
    assert told.returncode == 1
    assert told.stderr.startswith("penstock: Kafka does not answer:")
    assert told.stderr.count("\n") == 1


def test_a_command_that_nobody_takes_is_given_up_in_time(
    kafka: KafkaAddress, database_url: str, tmp_path: Path
) -> None:
    environment = kafka.env | {"DATABASE_URL": database_url}
    arguments = ("scan", "transcripts", "--wait", "--timeout", "1")
    told = penstock(*arguments, state_dir=tmp_path, environment=environment)
    assert told.returncode == 1
    assert "has not ended within 1 s" in told.stderr


def test_a_command_without_wait_returns_at_once_with_its_id(
    kafka: KafkaAddress, tmp_path: Path
) -> None:
    told = penstock("scan", "transcripts", state_dir=tmp_path, environment=kafka.env)
    assert told.returncode == 0
    assert told.stdout.startswith("Asked for a scan of transcripts (command ")


def test_a_source_that_cannot_be_a_name_is_misspelt(kafka: KafkaAddress, tmp_path: Path) -> None:
    told = penstock("scan", "../etc", state_dir=tmp_path, environment=kafka.env)
    assert told.returncode == 2
    assert "source: String should match pattern" in told.stderr
