import pytest

from chassis.errors import SettingsError
from chassis.settings import load_settings
from chassis.sources import ConfigError, SourcesConfig, parse_yaml
from ingestor.settings import IngestorSettings, IngestSection, read_sections

NEEDED = {"KAFKA_BOOTSTRAP_SERVERS": "b:9092", "DATABASE_URL": "postgresql://h/d"}


def sections(yaml: str) -> dict[str, IngestSection]:
    return read_sections(parse_yaml(SourcesConfig, yaml, name="sources.yaml"))


def test_two_addresses_are_enough() -> None:
    settings = load_settings(IngestorSettings, environment=NEEDED)
    assert settings.nas is None
    assert settings.ingest.fetch_concurrency == 16
    assert settings.ingest.memory_bytes == 134_217_728


def test_a_mistyped_name_is_reported() -> None:
    with pytest.raises(SettingsError, match="INGESTOR_FETCH_CONCURENCY"):
        load_settings(IngestorSettings, environment={**NEEDED, "INGESTOR_FETCH_CONCURENCY": "3"})


def test_the_ingest_sections_are_read_by_source() -> None:
    found = sections(
        "version: 1\n"
        "sources:\n"
        "- name: calls\n"
        "  share: {kind: local, root: /srv/calls}\n"
        "  ingest: {entity_type: transcript, parser: transcript_xml}\n"
        "- name: scanned-only\n"
        "  share: {kind: local, root: /srv/other}\n"
    )
    assert found == {
        "calls": IngestSection(
            entity_type="transcript", parser="transcript_xml", max_bytes=52_428_800
        )
    }


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        (
            "{entity_type: transcript, parser: pdf}",
            "there is no parser 'pdf', only: transcript_xml",
        ),
        ("{entity_type: transcript}", "parser: Field required"),
        ("{entity_type: a b, parser: transcript_xml}", "entity_type"),
        ("{entity_type: a, parser: transcript_xml, max_byte: 3}", "max_byte"),
        ("{entity_type: a, parser: transcript_xml, max_bytes: 0}", "max_bytes"),
    ],
)
def test_a_wrong_section_names_source_and_field(section: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        sections(
            "version: 1\nsources: [{name: calls, share: {kind: local, root: /x}, "
            f"ingest: {section}}}]"
        )
    assert "calls: ingest" in str(caught.value)
    assert problem in str(caught.value)
