"""The settings that services share, one class a concern; `chassis.settings` reads them.

A field's alias is its environment variable, its docstring the line in docs/operations/settings.md.
"""

import stat
from pathlib import Path
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FilePath,
    SecretStr,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from chassis import certificates

_OPEN_TO_ALL = "names a file that everybody may read; set its mode to 0440 or 0400"


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
        "KAFKA_SECURITY_PROTOCOL", "PLAINTEXT", pattern="^(PLAINTEXT|SASL_SSL|SSL)$"
    )
    """`SASL_SSL`: TLS, and SCRAM-SHA-512 with user and password; `SSL`: TLS with a client
    certificate. `PLAINTEXT` is for a broker on the same machine."""

    ca_file: FilePath | None = env("KAFKA_CA_FILE", None)
    """Authorities (PEM) that sign the brokers' certificates; without it, the system's."""

    sasl_username: str | None = env("KAFKA_SASL_USERNAME", None, validate_default=True)
    sasl_password_file: FilePath | None = env("KAFKA_SASL_PASSWORD_FILE", None)
    """A file with the password, instead of `KAFKA_SASL_PASSWORD`."""

    sasl_password: SecretStr | None = env("KAFKA_SASL_PASSWORD", None, validate_default=True)
    certificate_file: FilePath | None = env("KAFKA_CERTIFICATE_FILE", None, validate_default=True)
    """The client's certificate (PEM), with those between it and the authority."""

    key_file: FilePath | None = env("KAFKA_KEY_FILE", None, validate_default=True)
    """Its private key (PEM, not encrypted); others must not be able to read the file."""

    @field_validator("ca_file")
    @classmethod
    def _authorities_can_be_used(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and info.data.get("security_protocol") == "PLAINTEXT":
            raise PydanticCustomError("unused", "needs `KAFKA_SECURITY_PROTOCOL` SASL_SSL or SSL")
        if value is not None and (problem := certificates.problem_of_authorities(value)):
            raise PydanticCustomError("file", problem)
        return value

    @field_validator("sasl_password", mode="before")
    @classmethod
    def _password_from_its_file(cls, value: Any, info: ValidationInfo) -> Any:
        file = info.data.get("sasl_password_file")
        if file is None:
            return value
        if value is not None:
            raise PydanticCustomError("both", "and `KAFKA_SASL_PASSWORD_FILE` exclude each other")
        if is_readable_by_all(file):
            raise PydanticCustomError("file", _OPEN_TO_ALL)
        return file.read_text("utf-8").rstrip("\r\n") or None

    @field_validator("sasl_username", "sasl_password", "certificate_file", "key_file")
    @classmethod
    def _credentials_fit_the_protocol(cls, value: Any, info: ValidationInfo) -> Any:
        protocol = info.data.get("security_protocol")
        if protocol is None:
            return value  # reported already
        wanted = "SASL_SSL" if str(info.field_name).startswith("sasl_") else "SSL"
        if protocol == wanted and value is None:
            raise PydanticCustomError("missing", "is missing")
        if protocol != wanted and value is not None:
            raise PydanticCustomError("unused", f"needs `KAFKA_SECURITY_PROTOCOL` {wanted}")
        return value

    @field_validator("key_file")
    @classmethod
    def _key_fits_the_certificate(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        certificate = info.data.get("certificate_file")
        if value is None or certificate is None:
            return value
        if is_readable_by_all(value):
            raise PydanticCustomError("file", _OPEN_TO_ALL)
        if problem := certificates.problem_of_pair(certificate, value):
            raise PydanticCustomError("file", problem)
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

    otlp_endpoint: str | None = env("OTEL_EXPORTER_OTLP_ENDPOINT", None, pattern="^https?://")
    """Base address of an OpenTelemetry collector (OTLP over HTTP); unset, nothing is traced. The
    other standard `OTEL_` variables (headers, timeouts, sampling) apply as well."""

    otlp_traces_endpoint: str | None = env(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", None, pattern="^https?://"
    )
    """The whole address for traces, where it is not the base address and `/v1/traces`."""

    is_tracing_off: bool = env("OTEL_SDK_DISABLED", default=False)

    @property
    def traces_address(self) -> str | None:
        """Where spans are sent, if anywhere."""
        if self.is_tracing_off:
            return None
        base = self.otlp_endpoint
        return self.otlp_traces_endpoint or (base and f"{base.rstrip('/')}/v1/traces")

    history_days: int = env("PENSTOCK_HISTORY_DAYS", 90, ge=8)
    """How long ended runs, commands and failures of records are kept; longer than topics keep the
    commands, or one that is read again would be a new one."""

    audit_days: int = env("PENSTOCK_AUDIT_DAYS", 730, ge=30)
    """How long the audit trail is kept."""


def is_readable_by_all(file: Path) -> bool:
    """Return whether more than its owner and group may read a file."""
    return bool(file.stat().st_mode & stat.S_IROTH)
