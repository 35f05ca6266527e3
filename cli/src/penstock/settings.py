"""Where the hub is that a command talks to: the environment says it, or the local stack does.

The environment and `.env` win; a local stack that runs in the state folder fills in what they leave
out, so that `penstock up && penstock migrate` needs no exports in between.
"""

import os
from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from chassis.errors import SettingsError
from chassis.settings import DatabaseSettings, KafkaSettings, load_settings
from penstock.stack import Stack, StackError, StackSettings, read_settings

Settings = TypeVar("Settings", bound=BaseModel)


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True)


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
