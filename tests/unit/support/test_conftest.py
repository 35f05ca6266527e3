"""What every test may rely on: its layer's marker and a clean environment."""

import os

import pytest

from tests.support.environment import take_environment
from tests.support.paths import PROJECT, shared_data


def test_a_test_has_the_marker_of_its_folder(request: pytest.FixtureRequest) -> None:
    markers = {marker.name for marker in request.node.iter_markers()}
    assert "unit" in markers


def test_our_variables_are_taken_out_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "elsewhere:9092")
    monkeypatch.setenv("SCANNER_INTERVAL_SECONDS", "1")
    monkeypatch.setenv("KAFKAESQUE", "stays")
    monkeypatch.setenv("PENSTOCK_CACHE_DIR", "/stays")
    taken = take_environment()
    assert taken["KAFKA_BOOTSTRAP_SERVERS"] == "elsewhere:9092"
    assert taken["SCANNER_INTERVAL_SECONDS"] == "1"
    left = os.environ  # noqa: TID251 - what is left is the question
    assert "KAFKA_BOOTSTRAP_SERVERS" not in left
    assert left["KAFKAESQUE"] == "stays"
    assert left["PENSTOCK_CACHE_DIR"] == "/stays"


def test_missing_inputs_are_named() -> None:
    assert (PROJECT / "pyproject.toml").exists()
    with pytest.raises(FileNotFoundError, match=r"no-such-folder is missing: this test reads"):
        shared_data("no-such-folder")
