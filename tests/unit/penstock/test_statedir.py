import errno
import os
import stat
from pathlib import Path

import pytest

from penstock.stack.errors import DiskFullError, StackError
from penstock.stack.model import (
    PartName,
    PartState,
    PartStatus,
    ProcessIdentity,
    StackState,
    Wanted,
)
from penstock.stack.statedir import StateDir, explain_os_error


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    directory = StateDir(tmp_path / "stack")
    directory.create()
    return directory


def test_documents_come_back_as_they_were_written(state: StateDir) -> None:
    report = StackState(
        supervisor=ProcessIdentity(pid=7, started="99"),
        generation=2,
        parts={
            PartName.POSTGRES: PartState(
                status=PartStatus.READY, env={"DATABASE_URL": "postgresql://u:p@h/x"}
            )
        },
    )
    wanted = Wanted(generation=3, parts=frozenset({PartName.S3}), fast=True, ports={"s3": 9000})
    assert state.read_state() is None
    assert state.read_wanted() is None
    state.write_state(report)
    state.write_wanted(wanted)
    assert state.read_state() == report
    assert state.read_wanted() == wanted


def test_files_with_passwords_are_private(state: StateDir) -> None:
    state.secret("postgres")
    state.write_wanted(Wanted(generation=1, parts=frozenset()))
    for name in ("secrets.json", "wanted.json"):
        assert stat.S_IMODE((state.root / name).stat().st_mode) == 0o600
    assert not list(state.root.glob("*.draft"))


def test_a_password_is_drawn_once(state: StateDir) -> None:
    first = state.secret("postgres")
    assert len(first) == 24
    assert state.secret("postgres") == first
    assert state.secret("smb") != first


def test_a_port_is_remembered(state: StateDir) -> None:
    assert state.remembered_port("kafka") is None
    state.remember_port("kafka", 20_000)
    state.remember_port("smb", 20_001)
    assert state.remembered_port("kafka") == 20_000


def test_one_supervisor_owns_the_folder(state: StateDir) -> None:
    assert state.is_supervised() is False
    with state.supervising() as is_free:
        assert is_free is True
        assert state.is_supervised() is True
    assert state.is_supervised() is False


def test_a_document_of_another_version_says_what_to_do(state: StateDir) -> None:
    (state.root / "state.json").write_text('{"version": 99}')
    with pytest.raises(StackError, match="written by another version of penstock"):
        state.read_state()


def test_a_large_log_is_rotated_once(state: StateDir) -> None:
    log = state.log("kafka")
    with log.open("wb") as file:
        file.truncate(17 * 1024 * 1024)
    state.rotate_log("kafka")
    assert not log.exists()
    assert log.with_suffix(".log.1").exists()
    state.rotate_log("kafka")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "The disk of /hub is full; free some space"),
        (errno.EDQUOT, "The disk of /hub is full; free some space"),
        (errno.EACCES, r"/hub cannot be written \(Permission denied\); choose another folder"),
        (errno.EROFS, r"/hub cannot be written \(Read-only file system\)"),
        (errno.ENOTDIR, "/hub: Not a directory; choose another PENSTOCK_STATE_DIR"),
    ],
)
def test_file_system_errors_say_what_to_do(number: int, words: str) -> None:
    error = explain_os_error(OSError(number, os.strerror(number)), Path("/hub"))
    with pytest.raises(StackError, match=words):
        raise error
    assert isinstance(error, DiskFullError) == (number in {errno.ENOSPC, errno.EDQUOT})
