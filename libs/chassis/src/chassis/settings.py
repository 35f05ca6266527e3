"""Settings: read once from the environment, `.env` and mounted secret files; every problem
reported at once.

Sources, strongest first: environment variables, files named like the variable in the secrets
folder (`PENSTOCK_SECRETS_DIR`), `.env` in the working folder, defaults. Values are never printed:
a problem names the variable only.
"""

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from chassis.errors import SettingsError

SECRETS_DIR_VARIABLE = "PENSTOCK_SECRETS_DIR"
DEFAULT_SECRETS_DIR = "/run/secrets/penstock"

# Kubernetes injects these for a Service called `kafka` or `s3`; they are not ours.
_SERVICE_LINK = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP)(_\w+)?)?)$")


class SettingsPart(BaseModel):
    """One concern's settings; a field's alias is its environment variable."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=False)


def env(name: str, default: Any = ..., **constraints: Any) -> Any:
    """Declare a field that is read from the environment variable `name`."""
    return Field(default=default, alias=name, **constraints)


class KafkaSettings(SettingsPart):
    """How to reach the brokers."""

    bootstrap_servers: str = env("KAFKA_BOOTSTRAP_SERVERS")
    session_timeout_seconds: float = env("KAFKA_SESSION_TIMEOUT_SECONDS", 45.0, gt=0)
    """A killed member's partitions wait this long; tests use 6."""

    batch_max_records: int = env("KAFKA_BATCH_MAX_RECORDS", 500, ge=1, le=5000)
    """Records per transaction at the most."""

    security_protocol: str = env("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
    sasl_username: str | None = env("KAFKA_SASL_USERNAME", None)
    sasl_password: SecretStr | None = env("KAFKA_SASL_PASSWORD", None)
    ca_file: Path | None = env("KAFKA_CA_FILE", None)


class DatabaseSettings(SettingsPart):
    """How to reach PostgreSQL."""

    url: SecretStr = env("DATABASE_URL")
    pool_max_size: int = env("DATABASE_POOL_MAX_SIZE", 15, ge=2)
    """Five steady and ten more under load, as in the systems Penstock replaces (S2-35)."""

    connect_timeout_seconds: float = env("DATABASE_CONNECT_TIMEOUT_SECONDS", 10.0, gt=0)
    command_timeout_seconds: float = env("DATABASE_COMMAND_TIMEOUT_SECONDS", 60.0, gt=0)
    lock_timeout_seconds: float = env("DATABASE_LOCK_TIMEOUT_SECONDS", 20.0, gt=0)
    idle_timeout_seconds: float = env("DATABASE_IDLE_TIMEOUT_SECONDS", 30.0, gt=0)
    """A transaction that does nothing for so long is ended; no fenced holder may outlive its
    lease."""


class BlobSettings(SettingsPart):
    """How to reach the object store."""

    endpoint_url: str | None = env("S3_ENDPOINT_URL", None)
    """None means AWS itself."""

    bucket: str = env("S3_BUCKET", "penstock")
    prefix: str = env("S3_PREFIX", "")
    region: str = env("AWS_REGION", "us-east-1")
    access_key_id: SecretStr | None = env("AWS_ACCESS_KEY_ID", None)
    secret_access_key: SecretStr | None = env("AWS_SECRET_ACCESS_KEY", None)
    client: str = env("S3_CLIENT", "obstore", pattern="^(obstore|aioboto3)$")
    """Which client library carries the bytes (docs/decisions/0011)."""


class NasSettings(SettingsPart):
    """How to reach the share; the names are those of the synchronisation that Penstock
    replaces.
    """

    username: str = env("NAS_USERNAME")
    password: SecretStr = env("NAS_PASSWORD")
    server_ip: str = env("NAS_SERVER_IP")
    server_name: str = env("NAS_SERVER_NAME")
    share_name: str = env("NAS_SHARE_NAME")
    base_path: str = env("NAS_BASE_PATH", "")
    port: int = env("NAS_PORT", 445, ge=1, le=65535)
    client_machine_name: str = env("CLIENT_MACHINE_NAME")
    domain: str = env("NAS_DOMAIN", "")


class ProcessSettings(SettingsPart):
    """How the process presents itself."""

    http_host: str = env("PENSTOCK_HTTP_HOST", "127.0.0.1")
    http_port: int = env("PENSTOCK_HTTP_PORT", 0, ge=0, le=65535)
    """Probes and metrics; 0 takes a free port and logs it."""

    log_level: str = env("PENSTOCK_LOG_LEVEL", "INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    log_format: str = env("PENSTOCK_LOG_FORMAT", "json", pattern="^(json|console)$")
    log_directory: Path | None = env("PENSTOCK_LOG_DIRECTORY", None)
    """Where the execution log and one error log per category are also written; None writes stdout
    only."""

    config_directory: Path = env("PENSTOCK_CONFIG_DIRECTORY", Path("config"))
    grace_seconds: float = env("PENSTOCK_GRACE_SECONDS", 25.0, gt=0)
    """SIGTERM to exit; shorter than the pod's termination grace period of 45 s."""


PARTS: tuple[type[SettingsPart], ...] = (
    KafkaSettings,
    DatabaseSettings,
    BlobSettings,
    NasSettings,
    ProcessSettings,
)
"""Every part of the chassis: one `.env` may serve all services, so each knows all names."""

LEGACY_NAMES = frozenset(
    {
        "API_USERNAME",
        "API_PASSWORD",
        "PROXY_USER",
        "PROXY_PASSWORD",
        "PROXY_URL",
        "PROXY_DOMAIN",
        "CONFIG_PATH",
        SECRETS_DIR_VARIABLE,
        "PENSTOCK_STATE_DIR",
        "PENSTOCK_CACHE_DIR",
        "PENSTOCK_TEST_SERVERS",
        "PENSTOCK_SHARE_KIND",
        "PENSTOCK_SHARE_PATH",
        "PENSTOCK_FAILPOINT",
    }
)
"""Names that other programs of the project read."""

Settings = TypeVar("Settings", bound=BaseModel)


def load_settings(
    settings: type[Settings], *, environment: Mapping[str, str] | None = None
) -> Settings:
    """Build a service's settings: a frozen model whose fields are `SettingsPart`s.

    Raises:
        SettingsError: names every variable that is missing, mistyped or out of range, and no value.
    """
    values = _read_sources(dict(os.environ) if environment is None else environment)  # noqa: TID251
    problems: list[str] = []
    parts: dict[str, SettingsPart | None] = {}
    for name, (part, optional) in _parts_of(settings).items():
        found = {key: values[key] for key in _names(part) if key in values}
        if optional and not found:
            parts[name] = None
            continue
        try:
            parts[name] = part.model_validate(found)
        except ValidationError as error:
            problems.extend(_describe(error))
    own = [part for part, _ in _parts_of(settings).values()]
    problems.extend(_unknown_names(values, own))
    if problems:
        raise SettingsError("settings: " + "; ".join(sorted(problems)), problems=sorted(problems))
    return settings.model_validate(parts)


def _parts_of(settings: type[BaseModel]) -> dict[str, tuple[type[SettingsPart], bool]]:
    parts: dict[str, tuple[type[SettingsPart], bool]] = {}
    for name, info in settings.model_fields.items():
        candidates = [info.annotation, *get_args(info.annotation)]
        if get_origin(info.annotation) is Annotated:
            candidates = list(get_args(info.annotation))
        part = next(
            item for item in candidates if isinstance(item, type) and issubclass(item, SettingsPart)
        )
        parts[name] = (part, type(None) in get_args(info.annotation))
    return parts


def _names(part: type[SettingsPart]) -> set[str]:
    return {info.alias for info in part.model_fields.values() if info.alias}


def _read_sources(environment: Mapping[str, str]) -> dict[str, str]:
    values = {key: value for key, value in dotenv_values(".env").items() if value is not None}
    secrets = Path(environment.get(SECRETS_DIR_VARIABLE, DEFAULT_SECRETS_DIR))
    if secrets.is_dir():
        values |= {
            file.name: file.read_text("utf-8").strip()
            for file in secrets.iterdir()
            if file.is_file()
        }
    # An empty variable is an unset one: `FOO=` in a manifest means "no value".
    return {key: value for key, value in (values | dict(environment)).items() if value != ""}


def _describe(error: ValidationError) -> list[str]:
    problems = []
    for item in error.errors(include_input=False, include_url=False, include_context=False):
        variable = str(item["loc"][0]) if item["loc"] else "?"
        text = "is missing" if item["type"] == "missing" else item["msg"]
        problems.append(f"`{variable}` {text}")
    return problems


def _unknown_names(values: Mapping[str, str], own: list[type[SettingsPart]]) -> list[str]:
    known = set(LEGACY_NAMES).union(*(_names(part) for part in (*PARTS, *own)))
    prefixes = {name.split("_", 1)[0] + "_" for name in known} - {
        "AWS_",
        "CLIENT_",
        "API_",
        "PROXY_",
        "CONFIG_",
    }
    problems = []
    for name in values:
        if name in known or not name.startswith(tuple(prefixes)) or _SERVICE_LINK.search(name):
            continue
        guess = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
        problems.append(
            f"`{name}` is not a setting" + (f" (did you mean `{guess[0]}`?)" if guess else "")
        )
    return problems
