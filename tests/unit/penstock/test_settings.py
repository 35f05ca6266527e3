from pathlib import Path

import pytest

from penstock.stack.errors import StackError
from penstock.stack.model import PartName
from penstock.stack.settings import parse_port, read_settings


def test_the_state_folder_lies_in_the_present_folder_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_settings({}).state_dir == tmp_path / ".penstock"


def test_a_folder_below_a_project_finds_the_stack_of_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".penstock").mkdir()
    below = tmp_path / "services" / "scanner"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert read_settings({}).state_dir == tmp_path / ".penstock"


def test_folders_come_from_the_environment() -> None:
    settings = read_settings({"PENSTOCK_STATE_DIR": "/a/stack", "PENSTOCK_CACHE_DIR": "/a/cache"})
    assert settings.state_dir == Path("/a/stack")
    assert settings.cache_dir == Path("/a/cache")


def test_an_address_in_the_environment_gives_a_part_with_all_its_names() -> None:
    settings = read_settings(
        {
            "S3_ENDPOINT_URL": "http://store:9000",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "DATABASE_URL": "",
            "NAS_PASSWORD": "alone",
        }
    )
    assert settings.given == {
        PartName.S3: {
            "S3_ENDPOINT_URL": "http://store:9000",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }
    }


@pytest.mark.parametrize("value", ["0", "65536", "-1", "http", "", "8 0", "٣"])
def test_what_is_not_a_port_is_refused(value: str) -> None:
    with pytest.raises(StackError, match=r"--port kafka must be a port number from 1 to 65535"):
        parse_port("--port kafka", value)


def test_a_port_is_read() -> None:
    assert parse_port("--port kafka", "9092") == 9092
