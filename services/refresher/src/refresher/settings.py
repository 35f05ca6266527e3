"""What the refresher reads from its environment: credentials, the key of the masks, the file."""

import os
from typing import Literal

from pydantic import BaseModel, ConfigDict, SecretStr

from chassis.settings import DatabaseSettings, KafkaSettings, ProcessSettings, SettingsPart, env


class RefresherPart(SettingsPart):
    """The refresher's own variables; the credentials keep the names of the script it replaces."""

    source_user: str | None = env("SOURCE_DB_USER", None)
    source_password: SecretStr | None = env("SOURCE_DB_PASSWORD", None)
    """Of a login that cannot write; a refresh is refused when it could."""

    target_user: str | None = env("TARGET_DB_USER", None)
    target_password: SecretStr | None = env("TARGET_DB_PASSWORD", None)
    masking_key: SecretStr | None = env("REFRESHER_MASKING_KEY", None, min_length=32)
    """What masks are computed from; whoever has it can test guesses. At least 32 characters."""

    config_file: str = env("REFRESHER_CONFIG_FILE", "refresh.yaml")
    """Name of the file in `PENSTOCK_CONFIG_DIRECTORY`."""

    observe_seconds: float = env("REFRESHER_OBSERVE_SECONDS", 900.0, ge=10)
    """How often the rows and columns of every table are compared in both databases, for the
    console. What is small is counted, the rest is estimated from statistics."""

    environment: Literal["production", "test"] | None = env("REFRESHER_ENVIRONMENT", None)
    """`test` permits `row_limit`; unset, the file's `settings.environment` decides."""


class RefresherSettings(BaseModel):
    """Everything the service is told at start."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kafka: KafkaSettings
    database: DatabaseSettings
    process: ProcessSettings
    refresher: RefresherPart


class OnceSettings(BaseModel):
    """What a single refresh from the command line needs: no bus."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database: DatabaseSettings
    process: ProcessSettings
    refresher: RefresherPart


_SHARED = ("SOURCE_", "TARGET_")
_OURS = ("SOURCE_DB_", "TARGET_DB_")


def own_environment() -> dict[str, str]:
    """Return the environment without what merely begins like our logins: `SOURCE_DATE_EPOCH`.

    Names beginning with a known prefix are otherwise taken for misspelt settings.
    """
    return {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - the settings module
        if not name.startswith(_SHARED) or name.startswith(_OURS)
    }
