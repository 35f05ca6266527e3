"""Where the hub is that a command talks to: the environment says it, or the local stack does.

The environment and `.env` win; a local stack that runs in the state folder fills in what they leave
out, so that `penstock up && penstock migrate` needs no exports in between.
"""

import os
from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, SecretStr

from chassis.errors import SettingsError
from chassis.settings import DatabaseSettings, KafkaSettings, SettingsPart, env, load_settings
from penstock.stack import Stack, StackError, StackSettings, read_settings

Settings = TypeVar("Settings", bound=BaseModel)


class ConsoleSettings(SettingsPart):
    """Where the console is, and who asks it."""

    url: str | None = env("PENSTOCK_URL", None)
    token: SecretStr | None = env("PENSTOCK_TOKEN", None)


class ConsoleAccess(BaseModel):
    """For commands that need the console only; every other access may stand beside it."""

    model_config = ConfigDict(frozen=True)

    console: ConsoleSettings = ConsoleSettings()


class _Settings(ConsoleAccess):
    pass


class DatabaseAccess(_Settings):
    """For commands that need PostgreSQL only."""

    database: DatabaseSettings


class KafkaAccess(_Settings):
    """For commands that need Kafka only."""

    kafka: KafkaSettings


class HubAccess(_Settings):
    """For commands that send something and watch what becomes of it."""

    kafka: KafkaSettings
    database: DatabaseSettings


def service_environment() -> dict[str, str]:
    """Return our environment for a service that we start: the token is not for it to see."""
    ours = {field.alias for field in ConsoleSettings.model_fields.values()}
    source = os.environ  # noqa: TID251 - handed on to a child, filtered
    return {name: value for name, value in source.items() if name not in ours}


def read_access(
    wanted: type[Settings],
    *,
    environ: Mapping[str, str] | None = None,
    stack: StackSettings | None = None,
) -> Settings:
    """Read the addresses that a command needs.

    Raises:
        SettingsError: one is neither in the environment nor known from a running stack.
    """
    values = dict(os.environ if environ is None else environ)  # noqa: TID251 - the settings module
    try:
        return load_settings(wanted, environment=values)
    except SettingsError as missing:
        folder = stack or read_settings(values)
        try:
            exports = Stack(settings=folder).env()
        except StackError as error:
            raise SettingsError(
                f"{missing.message}, and no local stack runs in {folder.state_dir}; "
                "start one with `penstock up`, or export the address"
            ) from error
        return load_settings(wanted, environment=exports | values)
