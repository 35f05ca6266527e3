"""What the environment tells the scanner, and the fifteen names of the synchronisation that it
replaces (S1-03, S1-04, C-01).
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from chassis.errors import SettingsError
from chassis.secrets import resolve_secrets
from chassis.settings import (
    BlobSettings,
    DatabaseSettings,
    KafkaSettings,
    NasSettings,
    ProcessSettings,
    SettingsPart,
    env,
    load_settings,
    read_named,
)
from chassis.sources import ConfigError, load_sources

_API_NAMES = frozenset({"api_username", "api_password"})


class ScanSettings(SettingsPart):
    """The scanner's own settings; those that a source has too win over its configuration."""

    schedule: bool = env("SCANNER_SCHEDULE", default=True)
    """Whether intervals start scans; commands always do."""

    interval_seconds: float | None = env("SCANNER_INTERVAL_SECONDS", None, ge=1)
    full_interval_seconds: float | None = env("SCANNER_FULL_INTERVAL_SECONDS", None, ge=1)
    settle_seconds: float | None = env("SCANNER_SETTLE_SECONDS", None, ge=5)
    confirm_after_seconds: float | None = env("SCANNER_CONFIRM_AFTER_SECONDS", None, ge=0)
    reannounce_after_seconds: float = env("SCANNER_REANNOUNCE_AFTER_SECONDS", 21600.0, ge=1)
    """An announcement without an answer is repeated after six hours: longer than any outage of
    the ingestor that nobody noticed, shorter than a working day.
    """

    reannounce_limit: int = env("SCANNER_REANNOUNCE_LIMIT", 3, ge=0)
    deletion_guard: bool = env("SCANNER_DELETION_GUARD", default=True)
    """Off believes every listing; only the negative control of the tests wants that."""

    max_records: int = env("MAX_RECORDS", 0, ge=0)
    """A poll stops after so many records; 0 reads all (S2-33)."""

    batch_size: int = env("BATCH_SIZE", 1000, ge=1, le=10000)
    """Records per comparison and transaction."""

    nas_config_cache_seconds: float = env("SCANNER_NAS_CONFIG_CACHE_SECONDS", 300.0, ge=0)
    """How long a configuration read from the NAS stands before it is read again."""


class LegacySettings(SettingsPart):
    """The original names. With `CONFIG_PATH` set, thirteen are required and two have defaults."""

    config_path: str | None = env("CONFIG_PATH", None)
    """Configuration file on the NAS; unset leaves this mode off and asks for none of the others."""

    api_credentials_optional: bool = env("SCANNER_API_CREDENTIALS_OPTIONAL", default=False)
    """Finding changes never calls the API, so a site may leave its credentials out."""

    api_username: str | None = env("API_USERNAME", None, validate_default=True)
    api_password: SecretStr | None = env("API_PASSWORD", None, validate_default=True)
    proxy_user: str | None = env("PROXY_USER", None, validate_default=True)
    proxy_password: SecretStr | None = env("PROXY_PASSWORD", None, validate_default=True)
    proxy_url: SecretStr | None = env("PROXY_URL", None, validate_default=True)
    proxy_domain: str = env("PROXY_DOMAIN", "MAPLE")
    nas_username: str | None = env("NAS_USERNAME", None, validate_default=True)
    nas_password: SecretStr | None = env("NAS_PASSWORD", None, validate_default=True)
    nas_server_ip: str | None = env("NAS_SERVER_IP", None, validate_default=True)
    nas_server_name: str | None = env("NAS_SERVER_NAME", None, validate_default=True)
    nas_share_name: str | None = env("NAS_SHARE_NAME", None, validate_default=True)
    nas_base_path: str | None = env("NAS_BASE_PATH", None, validate_default=True)
    nas_port: int = env("NAS_PORT", 445, ge=1, le=65535)
    client_machine_name: str | None = env("CLIENT_MACHINE_NAME", None, validate_default=True)

    @field_validator("*", mode="after")
    @classmethod
    def _required_with_nas_config(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None or not info.data.get("config_path"):
            return value
        if info.field_name in _API_NAMES and info.data.get("api_credentials_optional"):
            return value
        raise PydanticCustomError("missing", "is missing")


class ScannerSettings(BaseModel):
    """Everything the scanner reads from its environment."""

    model_config = ConfigDict(frozen=True)

    kafka: KafkaSettings
    database: DatabaseSettings
    process: ProcessSettings
    scan: ScanSettings
    legacy: LegacySettings
    nas: NasSettings | None
    blobs: BlobSettings | None
    """For records that are too large for an event; None leaves those out, as failures."""

    @property
    def config_path(self) -> str | None:
        """Where on the NAS the configuration lies; None where it comes from files only."""
        return self.legacy.config_path


def load_scanner_settings(environment: Mapping[str, str] | None = None) -> ScannerSettings:
    """Read the settings, and see to it that the secrets of record sources are there too.

    Raises:
        SettingsError: names every variable that is missing or wrong, once, and no value.
    """
    try:
        settings = load_settings(ScannerSettings, environment=environment)
    except SettingsError as error:
        # `NAS_*` belongs to two parts, and each of them reports it.
        problems = {
            *error.facts["problems"],
            *_missing_secrets(_directory(environment), environment),
        }
        raise _together(problems) from error
    if missing := _missing_secrets(settings.process.config_directory, environment):
        raise _together(missing)
    return settings


def _together(problems: Iterable[str]) -> SettingsError:
    names = sorted(set(problems))
    return SettingsError("settings: " + "; ".join(names), problems=names)


def _directory(environment: Mapping[str, str] | None) -> Path:
    found = read_named(["PENSTOCK_CONFIG_DIRECTORY"], environment=environment)
    return Path(found.get("PENSTOCK_CONFIG_DIRECTORY", "config"))


def _missing_secrets(directory: Path, environment: Mapping[str, str] | None) -> list[str]:
    """Return what the record sources refer to and nobody set; S2-33 wants all names at once."""
    try:
        resolve_secrets(record_documents(directory), environment=environment)
    except ConfigError:
        return []  # reported by name when the sources are read for good
    except SettingsError as error:
        return list(error.facts["problems"])
    return []


def record_documents(directory: Path) -> list[dict[str, Any]]:
    """Return the `records` sections of `sources.yaml`.

    Raises:
        ConfigError: it cannot be read.
    """
    return [entry.records for entry in load_sources(directory).sources if entry.records is not None]
