from datetime import timedelta
from typing import Any

import pytest
import yaml

from chassis.sources import ConfigError, load_sources, parse_yaml, validate
from contracts.errors import ErrorCategory
from scanner.settings.environment import ScanSettings
from scanner.settings.nas import Institutions, NasConfig, layer, relative_to
from scanner.settings.scan import LegacyExportConfig, ScanConfig, override
from tests.support.paths import PROJECT, shared_data

EXAMPLE = (PROJECT / "config" / "nas" / "config.yaml").read_text("utf-8")
BASE = "Finance Data and Analytics/DSA/Earnings Call Transcripts"


def nas_config() -> NasConfig:
    return parse_yaml(NasConfig, EXAMPLE, name="config.yaml")


def changed(*path: str, value: Any) -> str:
    """Return the example with one value replaced, or removed where it is None."""
    document = yaml.safe_load(EXAMPLE)
    section = document
    for key in path[:-1]:
        section = section[key]
    if value is None:
        del section[path[-1]]
    else:
        section[path[-1]] = value
    return yaml.safe_dump(document)


@pytest.mark.covers("S1-05", "S1-06", "S1-07", "S1-08")
def test_the_originals_configuration_is_read() -> None:
    config = nas_config()
    assert config.api_settings.base_url == "https://api.factset.com"
    assert config.api_settings.endpoints.transcripts == "/events-and-transcripts/v1/transcripts"
    assert config.ssl_cert_path == f"{BASE}/Inputs/certificate/certificate.cer"
    stage = config.stage_02_database_sync
    assert stage.input_data_path == f"{BASE}/Outputs/Data"
    assert stage.refresh_output_path == f"{BASE}/Outputs/Refresh"
    found = config.directory().find("Data/2024/Q1/Canadian_Banks/RY-CA_Royal_Bank_of_Canada/x.xml")
    assert found is not None
    assert found.ticker == "RY-CA"


@pytest.mark.covers("S1-08")
def test_a_list_of_more_than_a_hundred_institutions_is_valid() -> None:
    text = shared_data("transcripts", "monitored_institutions.yaml").read_text("utf-8")
    document = {"monitored_institutions": yaml.safe_load(text)}
    assert len(validate(Institutions, document, name="list").directory()) == 165


@pytest.mark.covers("S1-09", "S1-29")
@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("ssl_cert_path",), None),
        (("ssl_cert_path",), "../../etc/passwd"),
        (("api_settings", "base_url"), None),
        (("api_settings", "base_url"), "http://api.factset.com"),
        (("api_settings", "endpoints", "transcripts"), None),
        (("stage_02_database_sync",), None),
        (("stage_02_database_sync", "description"), None),
        (("stage_02_database_sync", "input_data_path"), None),
        (("stage_02_database_sync", "input_data_path"), "Data/../../secrets"),
        (("stage_02_database_sync", "input_data_path"), ""),
        (("stage_02_database_sync", "output_logs_path"), None),
        (("stage_02_database_sync", "output_logs_path"), "C:\\Logs"),
        (("stage_02_database_sync", "master_database_path"), None),
        (("stage_02_database_sync", "refresh_output_path"), None),
        (("monitored_institutions",), None),
        (("monitored_institutions",), {}),
        (
            ("monitored_institutions", "royal bank"),
            {"name": "x", "type": "y", "path_safe_name": "z"},
        ),
        (("monitored_institutions", "RY-CA", "name"), None),
        (("monitored_institutions", "RY-CA", "type"), None),
        (("monitored_institutions", "RY-CA", "path_safe_name"), None),
        (("monitored_institutions", "RY-CA", "path_safe_name"), "../RY-CA"),
        (("monitored_institutions", "RY-CA", "path_safe_name"), "BMO-CA_Bank_of_Montreal"),
    ],
)
def test_whatever_is_missing_unsafe_or_contradictory_is_refused(
    path: tuple[str, ...], value: Any
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(NasConfig, changed(*path, value=value), name="config.yaml")
    assert caught.value.category is ErrorCategory.CONFIG_VALIDATION


def test_every_problem_is_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        validate(NasConfig, {"monitored_institutions": {"RY-CA": {}}}, name="config.yaml")
    assert len(caught.value.facts["problems"]) == 6


@pytest.mark.covers("S1-29")
def test_what_is_no_yaml_is_another_category() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(NasConfig, "a: [", name="config.yaml")
    assert caught.value.category is ErrorCategory.CONFIG_PARSE


@pytest.mark.covers("E-03")
def test_the_nas_fills_what_the_file_leaves_out() -> None:
    scan = layer(ScanConfig(nas_config=True), nas_config(), base=BASE, root="Outputs")
    assert scan.paths == ("Data",)
    assert scan.legacy_export == LegacyExportConfig(
        refresh_output_path="Refresh", path_prefix=f"{BASE}/Outputs"
    )
    assert scan.logs_copy is not None
    assert scan.logs_copy.output_logs_path == "Logs"


@pytest.mark.covers("E-03")
def test_the_file_wins_over_the_nas_and_the_environment_over_both() -> None:
    given = ScanConfig(nas_config=True, paths=("Elsewhere",), logs_copy=None, interval_seconds=30)
    scan = layer(given, nas_config(), base=BASE, root="Outputs")
    assert scan.paths == ("Elsewhere",)
    assert scan.logs_copy is None
    environment = ScanSettings.model_validate(
        {"SCANNER_INTERVAL_SECONDS": "7", "SCANNER_CONFIRM_AFTER_SECONDS": "1"}
    )
    scan = override(scan, environment)
    assert scan.interval == timedelta(seconds=7)
    assert scan.deletion_rules(is_guarded=True).confirm_after == timedelta(seconds=1)
    assert scan.full_interval == timedelta(hours=1)


def test_a_path_outside_the_sources_root_is_refused() -> None:
    with pytest.raises(ValueError, match="input_data_path"):
        layer(ScanConfig(nas_config=True), nas_config(), base=BASE, root="Inputs")


@pytest.mark.parametrize(
    ("path", "base", "root", "expected"),
    [
        ("A/B/Data", "A", "B", "Data"),
        ("B/Data", "A", "B", "Data"),
        ("Data", "", "", "Data"),
        ("A/B", "A", "B", ""),
        ("A/Bother/Data", "A", "B", None),
        ("AB/Data", "A", "", "AB/Data"),
    ],
)
def test_a_configured_path_is_taken_below_base_and_root(
    path: str, base: str, root: str, expected: str | None
) -> None:
    assert relative_to(path, base, root) == expected


@pytest.mark.parametrize(
    "section",
    [
        {"unknown": 1},
        {"paths": ["../up"]},
        {"paths": ["Data", "Data/2024"]},
        {"paths": ["", "Data"]},
        {"suffixes": []},
        {"suffixes": ["xml"]},
        {"settle_seconds": 4.9},
        {"interval_seconds": 0},
        {"max_depth": 99},
        {"deletions": {"max_deleted_share": 1.1}},
        {"deletions": {"confirmations": 0}},
        {"legacy_export": {}},
        {"logs_copy": {"output_logs_path": "a\\..\\..\\b"}},
    ],
)
def test_a_wrong_scan_section_is_refused(section: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        validate(ScanConfig, section, name="scan")


def test_the_shipped_example_is_valid() -> None:
    entry = load_sources(PROJECT / "config").sources[0]
    scan = validate(ScanConfig, entry.scan, name="scan")
    assert scan.paths == ("Data", "InvalidTitle")
    assert scan.sift_rules().max_depth == 6


def test_the_defaults_are_the_documented_ones() -> None:
    rules = ScanConfig().deletion_rules(is_guarded=True)
    assert (rules.max_count, rules.max_share, rules.confirmations) == (50, 0.02, 2)
    assert rules.confirm_after == timedelta(seconds=54)
    assert ScanConfig().settle == timedelta(seconds=5)
    settings = ScanSettings.model_validate({})
    assert (settings.reannounce_after_seconds, settings.reannounce_limit) == (21600, 3)
