import os
import pwd
from pathlib import Path

import pytest

from penstock.stack import exec_child


def _account(*, uid: int) -> pwd.struct_passwd:
    return pwd.struct_passwd(("someone", "x", uid, uid, "", "/", "/bin/sh"))


def test_a_folder_open_to_all_can_be_reached() -> None:
    assert exec_child._may_reach(_account(uid=os.geteuid()), "/usr/bin/env")
    assert exec_child._may_reach(_account(uid=2**20), "/usr/bin/env")


def test_a_closed_folder_on_the_way_cannot_be_passed(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "inner").mkdir(mode=0o755)
    assert not exec_child._may_reach(_account(uid=2**20), str(closed / "inner" / "postgres"))


def test_a_process_whose_supervisor_is_gone_does_not_start() -> None:
    with pytest.raises(SystemExit, match="the supervisor 1073741824 is gone"):
        exec_child.die_with_parent(2**30, 0)
