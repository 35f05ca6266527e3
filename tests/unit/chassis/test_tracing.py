"""Where spans go, and what is said when they cannot."""

import sys

import pytest

from chassis import tracing
from chassis.errors import SettingsError
from chassis.settings import ProcessSettings


def settings(**variables: str) -> ProcessSettings:
    return ProcessSettings.model_validate(variables)


@pytest.mark.parametrize(
    ("variables", "address"),
    [
        ({}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/"}, "http://c:4318/v1/traces"),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318",
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://t/x",
            },
            "https://t/x",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, None),
    ],
)
def test_the_standard_variables_say_where_spans_go(
    variables: dict[str, str], address: str | None
) -> None:
    assert settings(**variables).traces_address == address


def test_without_the_packages_an_address_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)

    with (
        pytest.raises(SettingsError, match=r"needs the packages of the extra `chassis\[tracing\]`"),
        tracing.exporting("scanner", settings(OTEL_EXPORTER_OTLP_ENDPOINT="http://c:4318")),
    ):
        pass


def test_without_an_address_nothing_is_made() -> None:
    with tracing.exporting("scanner", settings()):
        assert tracing.publishing("file.changed", None) is None
