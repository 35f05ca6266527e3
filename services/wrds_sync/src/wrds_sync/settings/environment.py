"""What the environment tells the mirror (S5-08)."""

import os
from datetime import date, time
from pathlib import Path

from pydantic import BaseModel, ConfigDict, FilePath, SecretStr

from chassis.settings import (
    DEFAULT_SECRETS_DIR,
    SECRETS_DIR_VARIABLE,
    BlobSettings,
    DatabaseSettings,
    KafkaSettings,
    ProcessSettings,
    SettingsPart,
    env,
)


class WRDSConfig(SettingsPart):
    """How to reach the archive."""

    username: str = env("WRDS_USERNAME")
    password: SecretStr = env("WRDS_PASSWORD")
    """Better a file of that name in the secrets folder, which is read again for every new
    connection: a rotated password needs no restart.
    """

    host: str = env("WRDS_HOST", "wrds-pgdata.wharton.upenn.edu")
    port: int = env("WRDS_PORT", 9737, ge=1, le=65535)
    database: str = env("WRDS_DATABASE", "wrds")
    ssl_mode: str = env("WRDS_SSL_MODE", "verify-full", pattern="^(disable|require|verify-full)$")
    """`verify-full` checks the server's certificate and name; the official client does not."""

    ca_file: FilePath | None = env("WRDS_CA_FILE", None)
    """Certificates to trust; None takes the system's."""

    pool_size: int = env("WRDS_POOL_SIZE", 3, ge=1, le=10)
    """Connections that are kept: each may cost a second-factor prompt."""

    max_overflow: int = env("WRDS_MAX_OVERFLOW", 2, ge=0, le=10)
    query_timeout_seconds: float = env("WRDS_QUERY_TIMEOUT_SECONDS", 300.0, gt=0)
    """For statements that answer at once. A copy may take as long as rows keep coming; this is
    then the longest silence.
    """

    connect_timeout_seconds: float = env("WRDS_CONNECT_TIMEOUT_SECONDS", 60.0, gt=0)
    """Long enough for a person to confirm the second factor."""

    rate_limit_queries_per_minute: float = env(
        "WRDS_RATE_LIMIT_QUERIES_PER_MINUTE", 10.0, gt=0, le=6000
    )
    password_expires_on: date | None = env("WRDS_PASSWORD_EXPIRES_ON", None)
    """From the archive's reminder mail; 30 days before, `sync.credential.expiring` is raised."""

    password_max_age_days: int = env("WRDS_PASSWORD_MAX_AGE_DAYS", 180, ge=1)
    """Counts from the secret file's time where no date is given."""


class SyncSettings(SettingsPart):
    """Where the mirror lies, and when it runs."""

    storage_path: Path = env("WRDS_SYNC_STORAGE_PATH", Path("data"))
    """Root of the local layout; with `s3` it holds locks, temporary files and quarantine only."""

    storage: str = env("WRDS_SYNC_STORAGE", "local", pattern="^(local|s3)$")
    schedule: bool = env("WRDS_SYNC_SCHEDULE", default=True)
    """Whether the clock starts incremental syncs; commands always do."""

    schedule_at: time = env("WRDS_SYNC_SCHEDULE_AT", time(6, 0))
    """Eastern Time, every day: two hours before the data is due."""

    backup_at: time = env("WRDS_SYNC_BACKUP_AT", time(9, 0))
    """Eastern Time, every day, where there is a `WRDS_SYNC_BACKUP_REMOTE`."""

    lock_timeout_seconds: float = env("WRDS_SYNC_LOCK_TIMEOUT_SECONDS", 30.0, ge=0)
    keep_vintages: int = env("WRDS_SYNC_KEEP_VINTAGES", 3, ge=1)
    """Superseded vintages that readers may still pin; unchanged partitions cost no space twice."""

    quarantine_days: int = env("WRDS_SYNC_QUARANTINE_DAYS", 7, ge=1)
    backup_remote: str | None = env("WRDS_SYNC_BACKUP_REMOTE", None)
    """An rclone destination, e.g. `archive:wrds`; None switches backups off."""


class WrdsSyncSettings(BaseModel):
    """Everything the service is told at start."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kafka: KafkaSettings
    database: DatabaseSettings
    process: ProcessSettings
    wrds: WRDSConfig | None
    """None: no account; what is here can be verified, and nothing synced."""

    sync: SyncSettings
    blobs: BlobSettings | None


class MirrorSettings(BaseModel):
    """What a command on this machine needs; a database, where there is one, decides who writes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    process: ProcessSettings
    database: DatabaseSettings | None
    wrds: WRDSConfig | None
    sync: SyncSettings
    blobs: BlobSettings | None


def secrets_dir() -> Path | None:
    """Return the folder with a file per secret, if there is one."""
    chosen = os.environ.get(SECRETS_DIR_VARIABLE)  # noqa: TID251 - this is the settings module
    folder = Path(chosen or DEFAULT_SECRETS_DIR)
    return folder if folder.is_dir() else None
