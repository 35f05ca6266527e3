from pathlib import Path

import pytest

from chassis.errors import SettingsError
from penstock.settings import DatabaseAccess, HubAccess, read_access
from penstock.stack import read_settings


def test_the_environment_says_where_the_hub_is(tmp_path: Path) -> None:
    access = read_access(
        HubAccess,
        environ={"DATABASE_URL": "postgresql://db/x", "KAFKA_BOOTSTRAP_SERVERS": "broker:9092"},
        stack=read_settings({}).in_folder(tmp_path),
    )
    assert access.database.url.get_secret_value() == "postgresql://db/x"
    assert access.kafka.bootstrap_servers == "broker:9092"


def test_without_address_and_stack_the_error_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        read_access(DatabaseAccess, environ={}, stack=read_settings({}).in_folder(tmp_path))
    assert refused.value.message == (
        f"settings: `DATABASE_URL` is missing, and no local stack runs in {tmp_path}; "
        "start one with `penstock up`, or export the address"
    )
