"""`penstock doctor` as an operator runs it: in order, and with each thing missing (S1-36)."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.addresses import KafkaAddress, S3Address
from tests.support.command_line import penstock
from tests.support.paths import PROJECT

SOURCES = """
version: 1
sources:
  - name: transcripts
    share: {{kind: local, root: "{root}"}}
    scan: {{paths: [Data]}}
    ingest: {{entity_type: transcript, parser: transcript_xml}}
"""


@pytest.fixture
def environment(
    database_url: str, kafka: KafkaAddress, s3: S3Address, tmp_path: Path
) -> dict[str, str]:
    config = tmp_path / "config"
    (config / "entities").mkdir(parents=True)
    (tmp_path / "share" / "Data" / "2024").mkdir(parents=True)
    (config / "sources.yaml").write_text(SOURCES.format(root=tmp_path / "share"))
    rules = PROJECT / "config" / "entities" / "transcripts.yaml"
    (config / "entities" / "transcripts.yaml").write_text(rules.read_text("utf-8"))
    return {
        **kafka.env,
        **s3.env,
        "DATABASE_URL": database_url,
        "PENSTOCK_CONFIG_DIRECTORY": str(config),
    }


def failed(stdout: str) -> dict[tuple[str, str], dict[str, Any]]:
    findings = [json.loads(line) for line in stdout.splitlines()]
    return {(item["service"], item["check"]): item for item in findings if not item["is_ok"]}


@pytest.mark.covers("S1-36")
def test_everything_in_order_is_said_so(environment: dict[str, str], tmp_path: Path) -> None:
    told = penstock("doctor", state_dir=tmp_path, environment=environment)

    assert told.returncode == 0, told.stdout
    assert told.stdout.endswith("All is well.\n")
    assert "✓ scanner: transcripts: folder Data" in told.stdout


@pytest.mark.covers("S1-36")
def test_each_thing_that_is_missing_is_named_with_what_to_do(
    environment: dict[str, str], tmp_path: Path
) -> None:
    wrong = environment | {
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "S3_BUCKET": "no-such-bucket",
        "PENSTOCK_CONFIG_DIRECTORY": str(tmp_path / "config"),
    }
    (tmp_path / "share" / "Data" / "2024").rmdir()
    (tmp_path / "config" / "broken.yaml").write_text("a: [")

    told = penstock(
        *("doctor", "scanner", "ingestor", "transformer", "--json"),
        state_dir=tmp_path,
        environment=wrong,
    )

    assert told.returncode == 1
    found = failed(told.stdout)
    assert found["penstock", "yaml"]["category"] == "config_parse"
    assert found["scanner", "transcripts: folder Data"]["message"].startswith("is empty")
    assert "penstock up" not in found["ingestor", "kafka"]["next_step"]
    assert "KAFKA_BOOTSTRAP_SERVERS" in found["ingestor", "kafka"]["next_step"]
    assert ("ingestor", "object store") in found
    assert ("transformer", "postgresql") not in found


@pytest.mark.covers("S1-36", "S1-04")
def test_missing_settings_are_all_named_and_no_value_is_shown(
    environment: dict[str, str], tmp_path: Path
) -> None:
    wrong = environment | {"DATABASE_URL": "", "KAFKA_BOOTSTRAP_SERVERS": "", "KAFKA_TYPO": "hush"}

    told = penstock("doctor", "ingestor", "--json", state_dir=tmp_path, environment=wrong)

    (finding,) = failed(told.stdout).values()
    assert finding["check"] == "settings"
    for name in ("`DATABASE_URL`", "`KAFKA_BOOTSTRAP_SERVERS`", "`KAFKA_TYPO`"):
        assert name in finding["message"]
    assert "hush" not in told.stdout + told.stderr
