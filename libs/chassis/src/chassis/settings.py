"""Settings: read once from the environment, `.env` and mounted secret files; every problem
reported at once.

Sources, strongest first: environment variables, files named like the variable in the secrets
folder (`PENSTOCK_SECRETS_DIR`), `.env` in the working folder, defaults. An empty value counts as
none. Values are never printed: a problem names the variable only.
"""

import difflib
import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from dotenv import dotenv_values
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FilePath,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from chassis.errors import SettingsError

SECRETS_DIR_VARIABLE = "PENSTOCK_SECRETS_DIR"
DEFAULT_SECRETS_DIR = "/run/secrets/penstock"

# Kubernetes injects these for a Service called `kafka` or `nas`; they are not ours. A name that
# merely ends in `_PORT` is one only with such an address, or else a typo would pass for it.
_SERVICE_LINK = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)$")
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://")


class SettingsPart(BaseModel):
    """One concern's settings; a field's alias is its environment variable."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=False, hide_input_in_errors=True
    )


def env(name: str, default: Any = ..., **constraints: Any) -> Any:
    """Declare a field that is read from the environment variable `name`."""
    return Field(default=default, alias=name, **constraints)


SENSITIVE = {"sensitive": True}
"""Marks a field that is no credential and still never logged (S1-28)."""


class KafkaSettings(SettingsPart):
    """How to reach the brokers."""

    bootstrap_servers: str = env("KAFKA_BOOTSTRAP_SERVERS")
    session_timeout_seconds: float = env("KAFKA_SESSION_TIMEOUT_SECONDS", 45.0, gt=0)
    """A killed member's partitions wait this long; tests use 6."""

    batch_max_records: int = env("KAFKA_BATCH_MAX_RECORDS", 500, ge=1, le=5000)
    """Records per transaction at the most."""

    security_protocol: str = env(
        "KAFKA_SECURITY_PROTOCOL", "PLAINTEXT", pattern="^(PLAINTEXT|SSL|SASL_PLAINTEXT|SASL_SSL)$"
    )
    sasl_username: str | None = env("KAFKA_SASL_USERNAME", None, validate_default=True)
    sasl_password: SecretStr | None = env("KAFKA_SASL_PASSWORD", None, validate_default=True)
    """SCRAM-SHA-512; both are needed with a `SASL_` protocol and refused without one."""

    ca_file: FilePath | None = env("KAFKA_CA_FILE", None)

    @field_validator("sasl_username", "sasl_password")
    @classmethod
    def _credentials_fit_the_protocol(cls, value: Any, info: ValidationInfo) -> Any:
        protocol = info.data.get("security_protocol")
        if protocol is None:
            return value  # reported already
        if protocol.startswith("SASL_") and value is None:
            raise PydanticCustomError("missing", "is missing")
        if not protocol.startswith("SASL_") and value is not None:
            raise PydanticCustomError(
                "unused", "needs `KAFKA_SECURITY_PROTOCOL` to be SASL_SSL or SASL_PLAINTEXT"
            )
        return value


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

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise PydanticCustomError(
                "address", "is not of the form postgresql://user:password@host:5432/database"
            )
        return value


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
    server_ip: str = env("NAS_SERVER_IP", json_schema_extra=SENSITIVE)
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
        "PENSTOCK_TEST_MSSQL",
        "PENSTOCK_SHARE_KIND",
        "PENSTOCK_SHARE_PATH",
        "PENSTOCK_FAILPOINT",
    }
)
"""Names that other programs of the project read."""

_SHARED_PREFIXES = frozenset({"AWS_", "BATCH_", "CLIENT_", "API_", "PROXY_", "CONFIG_", "MAX_"})
"""Prefixes of ours that other software uses as well: an unknown name proves nothing."""

Settings = TypeVar("Settings", bound=BaseModel)


def load_settings(
    settings: type[Settings], *, environment: Mapping[str, str] | None = None
) -> Settings:
    """Build a service's settings: a frozen model whose fields are `SettingsPart`s.

    Raises:
        SettingsError: names every variable that is missing, mistyped or out of range, and no value.
    """
    environment = dict(os.environ) if environment is None else environment  # noqa: TID251
    composition = _parts_of(settings)
    known = LEGACY_NAMES.union(
        *(_names(part) for part in (*PARTS, *(part for part, _ in composition.values())))
    )
    problems: list[str] = []
    values = _read_sources(environment, known, problems)
    parts: dict[str, SettingsPart | None] = {}
    for name, (part, optional) in composition.items():
        found = {key: values[key] for key in _names(part) if key in values}
        if optional and not found:
            parts[name] = None
            continue
        try:
            parts[name] = part.model_validate(found)
        except ValidationError as error:
            problems.extend(_describe(error, part))
    problems.extend(_unknown_names(values, known))
    if not problems:
        try:
            return settings.model_validate(parts)
        except ValidationError as error:
            problems.extend(_describe(error, settings))
    # Outside of any `except`: the errors that were caught could tell values.
    names = sorted(set(problems))
    raise SettingsError("settings: " + "; ".join(names), problems=names)


def read_named(
    names: Collection[str], *, environment: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the values of variables that a configuration file refers to, as far as they are set.

    They come from where settings come from; `<NAME>_FILE` may also name the file of one.

    Raises:
        SettingsError: a file of theirs cannot be read, or everybody may read it.
    """
    environment = dict(os.environ) if environment is None else environment  # noqa: TID251
    problems: list[str] = []
    found = _read_sources(environment, frozenset(names), problems)
    for name in set(names) - found.keys():
        if path := environment.get(f"{name}_FILE"):
            found[name] = _read_secret(Path(path), problems)
    if problems:
        raise SettingsError("settings: " + "; ".join(problems), problems=problems)
    return {name: found[name] for name in names if found.get(name)}


def secret_values(settings: BaseModel) -> Iterator[str]:
    """Yield what must be kept out of logs and errors: secrets, and fields marked `SENSITIVE`."""
    for name, info in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            yield value.get_secret_value()
        elif isinstance(value, BaseModel):
            yield from secret_values(value)
        elif info.json_schema_extra == SENSITIVE and not _is_loopback(value):
            yield str(value)


def _is_loopback(value: object) -> bool:
    # Every machine has it: blanking it out would hide nothing and make local logs useless.
    return str(value).startswith("127.") or value in ("localhost", "::1")


def _parts_of(settings: type[BaseModel]) -> dict[str, tuple[type[SettingsPart], bool]]:
    parts: dict[str, tuple[type[SettingsPart], bool]] = {}
    for name, info in settings.model_fields.items():
        choices = (info.annotation, *get_args(info.annotation))
        part = next(
            item for item in choices if isinstance(item, type) and issubclass(item, SettingsPart)
        )
        parts[name] = (part, type(None) in choices)
    return parts


def _names(part: type[SettingsPart]) -> set[str]:
    return {info.alias for info in part.model_fields.values() if info.alias}


def _read_sources(
    environment: Mapping[str, str], known: frozenset[str], problems: list[str]
) -> dict[str, str]:
    values: dict[str, str] = {}
    for source in (
        _read_dotenv(problems),
        _read_secret_files(environment, known, problems),
        environment,
    ):
        values |= {
            name: value
            for name, value in source.items()
            # `FOO=` in a manifest means "no value", and must not hide a weaker source's.
            if value != "" and not _is_service_link(name, value)
        }
    return values


def _read_dotenv(problems: list[str]) -> dict[str, str]:
    try:
        # A value is what is written: a password may well contain `${`.
        found = dotenv_values(".env", interpolate=False)
    except (OSError, UnicodeDecodeError):
        problems.append("`.env` cannot be read as UTF-8 text")
        return {}
    return {name: value for name, value in found.items() if value is not None}


def _read_secret_files(
    environment: Mapping[str, str], known: frozenset[str], problems: list[str]
) -> dict[str, str]:
    chosen = environment.get(SECRETS_DIR_VARIABLE)
    directory = Path(chosen or DEFAULT_SECRETS_DIR)
    if not directory.is_dir():
        if chosen:
            problems.append(f"`{SECRETS_DIR_VARIABLE}` is not a folder")
        return {}
    values: dict[str, str] = {}
    for file in sorted(directory.iterdir()):
        # Kubernetes mounts links to files in a hidden folder.
        if file.name.startswith(".") or not file.is_file():
            continue
        # What is not ours is not opened; its name alone may be a typo.
        values[file.name] = _read_secret(file, problems) if file.name in known else file.name
    return values


def _read_secret(file: Path, problems: list[str]) -> str:
    try:
        if file.stat().st_mode & stat.S_IROTH:
            problems.append(
                f"`{file.name}`: everybody may read its file; set the mode to 0440 or 0400"
            )
        return file.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        problems.append(f"`{file.name}`: its file cannot be read as UTF-8 text")
        return ""


def _is_service_link(name: str, value: str) -> bool:
    if _SERVICE_LINK.search(name):
        return True
    return name.endswith("_PORT") and _SERVICE_ADDRESS.match(value) is not None


def _describe(error: ValidationError, model: type[BaseModel]) -> Iterator[str]:
    for item in error.errors(include_input=False, include_url=False, include_context=False):
        text = "is missing" if item["type"] == "missing" else item["msg"]
        if not item["loc"]:
            yield text
            continue
        # A default that fails its own check is located by the field's name, all else by the alias.
        place = str(item["loc"][0])
        field = model.model_fields.get(place)
        yield f"`{(field and field.alias) or place}` {text}"


def _unknown_names(names: Iterable[str], known: frozenset[str]) -> Iterator[str]:
    prefixes = {name.split("_", 1)[0] + "_" for name in known} - _SHARED_PREFIXES
    for name in names:
        if name in known or not name.startswith(tuple(prefixes)):
            continue
        guess = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
        suggestion = f" (did you mean `{guess[0]}`?)" if guess else ""
        yield f"`{name}` is not a setting{suggestion}"
