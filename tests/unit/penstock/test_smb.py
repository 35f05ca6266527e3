from pathlib import Path

import pytest

from penstock.stack.java import JarCache
from penstock.stack.parts import smb
from penstock.stack.parts.part import PartContext
from penstock.stack.statedir import StateDir


async def test_without_samba_the_share_is_a_plain_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smb, "find_program", lambda _name: None)
    state = StateDir(tmp_path)
    state.create()
    context = PartContext(state=state, jars=JarCache(tmp_path), fast=True, ports={})
    launch = await smb.Smb().prepare(context)
    assert launch.program is None
    assert launch.env == {
        "PENSTOCK_SHARE_KIND": "local",
        "PENSTOCK_SHARE_PATH": str(tmp_path / "share"),
    }
    assert (tmp_path / "share").is_dir()
    await smb.Smb().until_ready(launch)
