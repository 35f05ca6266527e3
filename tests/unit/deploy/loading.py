"""Gives an environment to the settings of the service that will be given it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from chassis.settings import SECRETS_DIR_VARIABLE, DatabaseSettings, KafkaSettings, load_settings
from console.settings import ConsoleSettings
from ingestor.settings import IngestorSettings
from refresher.settings import RefresherSettings
from scanner.settings.environment import load_scanner_settings
from scripts.docs import parts_of
from transformer.settings import TransformerSettings
from wrds_sync.settings.environment import WrdsSyncSettings

CLASSES: Mapping[str, type[BaseModel]] = {
    "ingestor": IngestorSettings,
    "transformer": TransformerSettings,
    "refresher": RefresherSettings,
    "wrds_sync": WrdsSyncSettings,
    "console": ConsoleSettings,
}
SERVICES = ("scanner", *CLASSES)

NOT_SETTINGS = frozenset({SECRETS_DIR_VARIABLE, "LOGNAME", "JOB_NAME"})
"""Read by the chassis itself, by Python, and by the manifest."""

_FITTING = {
    "DATABASE_URL": "postgresql://role:secret@postgres.example.org:5432/penstock",
    "REFRESHER_MASKING_KEY": "m" * 32,
}


def known_names(service: str) -> set[str]:
    """Return the variables that a service reads."""
    parts = (DatabaseSettings, KafkaSettings) if service == "penstock" else parts_of(service)
    return {
        info.alias for part in parts for info in part.model_fields.values() if info.alias
    } | NOT_SETTINGS


def load(service: str, environment: Mapping[str, str]) -> Any:
    """Build a service's settings.

    Raises:
        SettingsError: names what is missing, unknown or wrong.
    """
    loaders: dict[str, Callable[[], Any]] = {"scanner": lambda: load_scanner_settings(environment)}
    if service in loaders:
        return loaders[service]()
    return load_settings(CLASSES[service], environment=environment)


def secret_value(name: str) -> str:
    """Return something that may stand in for a secret of this name."""
    return _FITTING.get(name, "a-secret")


def here(environment: Mapping[str, str], *, config: Path, ca_file: Path) -> dict[str, str]:
    """Return an environment with the container's paths replaced by ones that exist here."""
    given = {"/etc/penstock": str(config), "/etc/kafka/ca.crt": str(ca_file)}
    return {name: given.get(value, value) for name, value in environment.items()}
