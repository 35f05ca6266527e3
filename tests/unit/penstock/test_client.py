from pathlib import Path

import pytest

from penstock.stack import PartName, PartState, PartStatus, Stack, StackState, read_settings
from penstock.stack.errors import DiskFullError, NotRunningError
from penstock.stack.model import ProcessIdentity
from penstock.stack.statedir import StateDir

GONE = ProcessIdentity(pid=2**22 + 1, started="1")


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(settings=read_settings({"PENSTOCK_STATE_DIR": str(tmp_path)}))


def test_a_folder_without_a_stack_has_no_status(stack: Stack) -> None:
    assert stack.status() is None
    assert stack.down() is False
    with pytest.raises(NotRunningError, match="No stack is running in"):
        stack.env()


def test_a_report_whose_author_is_gone_is_corrected(stack: Stack, tmp_path: Path) -> None:
    ready = PartState(status=PartStatus.READY, address="127.0.0.1:1", env={"A": "1"})
    failed = PartState(status=PartStatus.FAILED, message="no luck.")
    StateDir(tmp_path).write_state(
        StackState(supervisor=GONE, parts={PartName.KAFKA: ready, PartName.S3: failed})
    )
    report = stack.status()
    assert report is not None
    assert report.parts[PartName.KAFKA] == PartState(
        status=PartStatus.DEAD,
        address="127.0.0.1:1",
        message="The stack is not running; start it with `penstock up`.",
    )
    assert report.parts[PartName.S3] == failed


def test_a_part_that_ended_unreported_is_dead(stack: Stack, tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    state.create()
    ready = PartState(status=PartStatus.READY, address="127.0.0.1:1", process=GONE)
    state.write_state(StackState(supervisor=GONE, parts={PartName.KAFKA: ready}))
    with state.supervising():
        report = stack.status()
    assert report is not None
    assert report.parts[PartName.KAFKA].status is PartStatus.DEAD


def test_a_small_disk_is_refused_before_anything_starts(tmp_path: Path) -> None:
    settings = read_settings({"PENSTOCK_STATE_DIR": str(tmp_path)})
    with pytest.raises(DiskFullError, match=r"^Only 536 MB are free for .*, and the stack needs"):
        Stack(settings=settings, free_bytes=lambda _: 512 * 1024 * 1024 - 1).up([PartName.SMB])
