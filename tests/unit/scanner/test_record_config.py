import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from pydantic import ValidationError

from chassis.errors import SettingsError
from chassis.sources import SourcesConfig, parse_model
from scanner.app import record_entry
from scanner.settings.environment import ScanSettings, load_scanner_settings
from scanner.settings.records import RecordScanConfig, RecordSections
from scanner.settings.schema import sources_schema
from tests.support.paths import PROJECT

PRESETS = sorted((PROJECT / "config/presets").glob("*.yaml"))

BASE = {
    "KAFKA_BOOTSTRAP_SERVERS": "localhost:9092",
    "DATABASE_URL": "postgresql://u:p@localhost/db",
}


def sections(**scan: Any) -> dict[str, Any]:
    return {
        "records": {"kind": "sql", "url": "env:HR_URL", "query": "select 1 as id"},
        "scan": {"entity_type": "user", "id": ["id"], **scan},
    }


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_a_preset_can_be_used_as_it_is(path: Path) -> None:
    for entry in parse_model(SourcesConfig, path).sources:
        found = record_entry(entry, ScanSettings())
        assert found.scan.entity_type


@pytest.mark.covers("S2-01")
def test_the_presets_have_the_systems_of_the_original() -> None:
    names = {
        entry.source_system
        for path in PRESETS
        for entry in parse_model(SourcesConfig, path).sources
    }
    assert {"mcommunity_ldap", "active_directory"} <= names


@pytest.mark.parametrize(
    "path", [PROJECT / "config/sources.yaml", *PRESETS], ids=lambda path: path.stem
)
def test_the_schema_for_editors_takes_what_the_service_takes(path: Path) -> None:
    # To an editor a date is a text like any other.
    document = json.loads(json.dumps(yaml.safe_load(path.read_text("utf-8")), default=str))
    jsonschema.validate(document, sources_schema())


def test_the_schema_for_editors_marks_what_the_service_refuses() -> None:
    entry = {"name": "x", **sections(surprise=1)}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"version": 1, "sources": [entry]}, sources_schema())


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": []},
        {"significant": ["a"], "volatile": ["b"]},
        {"detection": {"by": "magic"}},
        {"batch_size": 0},
        {"surprise": 1},
    ],
)
def test_a_section_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RecordSections.model_validate(sections(**wrong))


@pytest.mark.parametrize(
    "records",
    [
        {"kind": "sql", "url": "postgresql://u:secret@h/db", "query": "select 1"},
        {
            "kind": "ldap",
            "url": "ldaps://h",
            "base": "dc=x",
            "auth": {"user": "cn=x", "password": "secret"},
        },
        {"kind": "ldap", "url": "ldaps://h", "base": "dc=x", "start_tls": True},
        {"kind": "telepathy"},
    ],
)
def test_a_secret_in_the_file_and_a_wrong_kind_are_refused(records: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RecordSections.model_validate(sections() | {"records": records})


def test_deletions_are_confirmed_by_full_polls() -> None:
    plain = RecordScanConfig.model_validate(sections(interval_seconds=1000)["scan"])
    assert plain.deletion_rules(is_guarded=True).confirm_after.total_seconds() == 900
    once = sections(deletions={"confirmations": 1})["scan"]
    once_rules = RecordScanConfig.model_validate(once).deletion_rules(is_guarded=True)
    assert once_rules.confirm_after.total_seconds() == 0
    timed = sections(detection={"by": "timestamp", "full_interval_seconds": 10000})["scan"]
    rules = RecordScanConfig.model_validate(timed).deletion_rules(is_guarded=True)
    assert rules.confirm_after.total_seconds() == 9000


@pytest.mark.covers("S2-33")
def test_all_missing_names_are_told_at_once(tmp_path: Path) -> None:
    entries = [
        {"name": "hr", **sections()},
        {
            "name": "tdx",
            **sections(),
            "records": {"kind": "sql", "url": "env:TDX_API_TOKEN", "query": "select 1"},
        },
    ]
    (tmp_path / "sources.yaml").write_text(yaml.safe_dump({"version": 1, "sources": entries}))
    environment = {"PENSTOCK_CONFIG_DIRECTORY": str(tmp_path)}
    with pytest.raises(SettingsError) as raised:
        load_scanner_settings(environment)
    missing = {item.partition("`")[2].partition("`")[0] for item in raised.value.facts["problems"]}
    assert missing == {"DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS", "HR_URL", "TDX_API_TOKEN"}
    with pytest.raises(SettingsError) as raised:
        load_scanner_settings(BASE | environment | {"HR_URL": "x"})
    assert raised.value.facts["problems"] == ["`TDX_API_TOKEN` is missing"]


@pytest.mark.covers("S2-33")
def test_limits_come_from_the_names_of_the_original(tmp_path: Path) -> None:
    (tmp_path / "sources.yaml").write_text("version: 1\nsources: []\n")
    environment = BASE | {"PENSTOCK_CONFIG_DIRECTORY": str(tmp_path)}
    plain = load_scanner_settings(environment).scan
    assert (plain.max_records, plain.batch_size) == (0, 1000)
    given = load_scanner_settings(environment | {"MAX_RECORDS": "50", "BATCH_SIZE": "10"}).scan
    assert (given.max_records, given.batch_size) == (50, 10)
