from collections.abc import Mapping
from pathlib import Path

import pytest

from penstock.stack.errors import StackError
from penstock.stack.given import address_of, foreign
from penstock.stack.model import PartName
from penstock.stack.statedir import StateDir


@pytest.mark.parametrize(
    ("part", "env", "address"),
    [
        (PartName.KAFKA, {"KAFKA_BOOTSTRAP_SERVERS": "k1:9092,k2:9093"}, ("k1", 9092)),
        (PartName.KAFKA, {"KAFKA_BOOTSTRAP_SERVERS": "[::1]:9092"}, ("::1", 9092)),
        (PartName.POSTGRES, {"DATABASE_URL": "postgresql://u:p@db/x"}, ("db", 5432)),
        (PartName.POSTGRES, {"DATABASE_URL": "postgres://u:p@db:6432/x"}, ("db", 6432)),
        (PartName.S3, {"S3_ENDPOINT_URL": "https://s3.example.org"}, ("s3.example.org", 443)),
        (PartName.S3, {"S3_ENDPOINT_URL": "http://store:9000/"}, ("store", 9000)),
        (PartName.SMB, {"NAS_SERVER_IP": "10.0.0.5"}, ("10.0.0.5", 445)),
        (PartName.SMB, {"NAS_SERVER_IP": "10.0.0.5", "NAS_PORT": "1445"}, ("10.0.0.5", 1445)),
    ],
)
def test_the_address_of_a_given_part_is_found(
    part: PartName, env: Mapping[str, str], address: tuple[str, int]
) -> None:
    assert address_of(part, env) == address


@pytest.mark.parametrize(
    ("part", "env"),
    [
        (PartName.KAFKA, {"KAFKA_BOOTSTRAP_SERVERS": "k1"}),
        (PartName.POSTGRES, {"DATABASE_URL": "mysql://u:hush@db/x"}),
        (PartName.POSTGRES, {"DATABASE_URL": "postgresql://u:hush@db:port/x"}),
    ],
)
def test_an_address_that_cannot_be_understood_is_not_repeated(
    part: PartName, env: Mapping[str, str]
) -> None:
    with pytest.raises(StackError, match="correct or unset it") as caught:
        address_of(part, env)
    assert "hush" not in str(caught.value)


def test_the_stacks_own_addresses_are_not_foreign(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    state.create()
    state.remember_port("kafka", 20_001)
    state.remember_port("smb", 20_002)
    kafka = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:20001"}
    smb = {"NAS_SERVER_IP": "127.0.0.1", "NAS_PORT": "20003"}
    assert foreign({PartName.KAFKA: kafka, PartName.SMB: smb}, state) == {PartName.SMB: smb}
