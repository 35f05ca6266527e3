"""Renewed credentials end the process; half-written or unusable ones do not."""

from pathlib import Path

import pytest
import structlog
from pydantic import BaseModel

from chassis.errors import SettingsError
from chassis.renewal import Renewal, watched_files
from chassis.settings import KafkaSettings
from tests.support.authority import Authority


class Settings(BaseModel):
    kafka: KafkaSettings


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    authority = Authority(tmp_path)
    pair = authority.issue("client")
    return {
        "KAFKA_BOOTSTRAP_SERVERS": "kafka:9093",
        "KAFKA_SECURITY_PROTOCOL": "SSL",
        "KAFKA_CA_FILE": str(authority.file),
        "KAFKA_CERTIFICATE_FILE": str(pair.certificate),
        "KAFKA_KEY_FILE": str(pair.key),
    }


def read(environment: dict[str, str]) -> Settings:
    return Settings(kafka=KafkaSettings.model_validate(environment))


def test_what_settings_name_is_watched_and_so_is_the_folder_of_secrets(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "DATABASE_URL").touch()
    (secrets / "..data").touch()
    monkeypatch.setenv("PENSTOCK_SECRETS_DIR", str(secrets))

    assert {path.name for path in watched_files(read(environment))} == {
        "ca.crt",
        "client.crt",
        "client.key",
        "DATABASE_URL",
    }


def test_a_new_pair_counts_once_both_files_are_there_and_at_rest(
    environment: dict[str, str], tmp_path: Path
) -> None:
    def reload() -> None:
        try:
            read(environment)
        except ValueError as error:
            raise SettingsError("not yet") from error

    renewal = Renewal(read(environment), reload=reload)
    other = Authority(tmp_path, "next").issue("client", file_name="next-client")
    with structlog.testing.capture_logs() as lines:
        assert [renewal.look(), renewal.look()] == [False, False]
        Path(environment["KAFKA_CERTIFICATE_FILE"]).write_bytes(other.certificate.read_bytes())
        assert [renewal.look(), renewal.look(), renewal.look()] == [False, False, False]
        Path(environment["KAFKA_KEY_FILE"]).write_bytes(other.key.read_bytes())
        assert [renewal.look(), renewal.look()] == [False, True]

    assert [(line["event"], line["files"]) for line in lines] == [
        ("renewed_files_cannot_be_used", ["client.crt"]),
        ("renewed_files_found", ["client.key"]),
    ]


def test_a_file_that_is_away_for_a_moment_is_no_renewal(environment: dict[str, str]) -> None:
    authority = Path(environment["KAFKA_CA_FILE"])
    content = authority.read_bytes()
    renewal = Renewal(read(environment), reload=lambda: None)

    authority.unlink()
    assert not renewal.look()
    authority.write_bytes(content)

    assert [renewal.look(), renewal.look()] == [False, False]
