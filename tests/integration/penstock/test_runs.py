"""`penstock runs` and `penstock flow` as a user types them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.support.addresses import KafkaAddress
from tests.support.command_line import penstock

NOW = datetime.now(UTC)  # noqa: TID251 - the questions are about now

RUNS = [
    ("fmp_prices", "completed", timedelta(hours=50), 7, None),
    ("fmp_prices", "failed", timedelta(hours=26), 0, "the API refuses the credentials"),
    ("fmp_dcf", "completed-with-errors", timedelta(hours=25), 3, None),
    ("fmp_dcf", "failed", timedelta(hours=2), 1, "no answer"),
    ("russell_2000", "failed", timedelta(days=9), 0, "no list"),
    ("russell_2000", "running", timedelta(hours=1), 0, None),
]


@pytest.fixture
async def environment(database_url: str) -> dict[str, str]:
    connection = await asyncpg.connect(database_url, timeout=10)
    for target, status, ago, new, message in RUNS:
        ended = None if status == "running" else NOW - ago
        await connection.execute(
            "insert into meta.runs (run_id, service, kind, target, status, counts, message, "
            "started_at, finished_at) "
            "values (gen_random_uuid(), 'scanner', 'scan', $1, $2, $3::text::jsonb, $4, $5, $6)",
            target,
            status,
            json.dumps({"processed": 10, "new": new}),
            message,
            NOW - ago - timedelta(seconds=90),
            ended,
        )
    await connection.close()
    return {"DATABASE_URL": database_url}


def asked(environment: dict[str, str], state_dir: Path, *arguments: str) -> list[tuple[Any, ...]]:
    told = penstock("runs", *arguments, "--json", state_dir=state_dir, environment=environment)
    rows = json.loads(told.stdout)
    return [(row["task_name"], row["status"], row["rows_updated"]) for row in rows]


@pytest.mark.covers("S3-08", "S3-07")
def test_the_four_usual_questions(environment: dict[str, str], tmp_path: Path) -> None:
    assert asked(environment, tmp_path, "--latest") == [
        ("scan:fmp_dcf", "failed", 1),
        ("scan:fmp_prices", "failed", 0),
        ("scan:russell_2000", "failed", 0),
    ]
    assert asked(environment, tmp_path, "--last", "2") == [
        ("scan:fmp_dcf", "failed", 1),
        ("scan:fmp_dcf", "success", 3),
    ]
    assert asked(environment, tmp_path, "--failed", "--since", "7d") == [
        ("scan:fmp_dcf", "failed", 1),
        ("scan:fmp_prices", "failed", 0),
    ]
    assert asked(environment, tmp_path, "--failed", "--since", "24h") == [
        ("scan:fmp_dcf", "failed", 1)
    ]


@pytest.mark.covers("S3-08", "S3-18")
def test_a_person_gets_a_table_and_a_script_an_exit_code(
    environment: dict[str, str], tmp_path: Path
) -> None:
    told = penstock("runs", "--failed", state_dir=tmp_path, environment=environment)
    assert told.returncode == 1
    assert "scan:fmp_dcf" in told.stdout
    assert "90.0" in told.stdout

    nothing = penstock(
        "runs", "--failed", "--since", "1m", state_dir=tmp_path, environment=environment
    )
    assert (nothing.returncode, nothing.stdout) == (0, "No run.\n")


def test_a_span_that_is_none_is_misspelt(environment: dict[str, str], tmp_path: Path) -> None:
    told = penstock("runs", "--since", "yesterday", state_dir=tmp_path, environment=environment)
    assert told.returncode == 2
    assert "is no span" in told.stderr

    both = penstock("runs", "--latest", "--failed", state_dir=tmp_path, environment=environment)
    assert both.returncode == 2


@pytest.mark.covers("S3-16")
def test_a_flow_and_a_step_are_asked_for(kafka: KafkaAddress, tmp_path: Path) -> None:
    told = penstock("flow", "daily-market", state_dir=tmp_path, environment=kafka.env)
    assert told.returncode == 0
    assert told.stdout.startswith("Asked for flow daily-market (command ")

    step = penstock(
        "flow", "daily-market", "--step", "dcf", state_dir=tmp_path, environment=kafka.env
    )
    assert step.stdout.startswith("Asked for step dcf of flow daily-market (command ")
