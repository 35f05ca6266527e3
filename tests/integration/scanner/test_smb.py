"""Scans over a real SMB server: what a share does when it is cut, refused or half visible."""

import contextlib
import shutil
from collections.abc import Generator

import pytest

from chassis.errors import TransientError
from chassis.shares.logon_gate import LogonGate
from chassis.shares.open import open_share
from chassis.shares.port import Share, ShareLogonError
from chassis.sources import ShareConfig
from scanner.settings.scan import ScanConfig
from tests.integration.scanner.harness import Harness
from tests.support.paths import shared_data
from tests.support.proxy import FaultProxy
from tests.support.samba import Samba

FOLDERS = [f"Data/{year}/{quarter}" for year in (2020, 2021) for quarter in ("Q1", "Q2")]
PATHS = [f"{folder}/{number}.xml" for folder in FOLDERS for number in range(3)]


@pytest.fixture
def samba() -> Generator[Samba]:
    server = Samba(share_options=("hide unreadable = yes",))
    server.start()
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture
def proxy(samba: Samba) -> Generator[FaultProxy]:
    with FaultProxy("127.0.0.1", samba.port) as proxy:
        yield proxy


@pytest.fixture
def nas(harness: Harness, samba: Samba, proxy: FaultProxy) -> Harness:
    """A harness whose share is the server's, behind the proxy."""
    harness.tree.root = samba.folder
    harness.connect = lambda: connect(samba, port=proxy.port)
    return harness


def connect(samba: Samba, *, port: int, gate: LogonGate | None = None, password: str = "") -> Share:
    config = ShareConfig(kind="smb", connections=3, timeout_seconds=5)
    settings = samba.settings(port=port)
    if password:
        settings = samba.settings(port=port, password=password)
    return open_share(config, settings, gate=gate)


def lay(nas: Harness, samba: Samba) -> None:
    for path in PATHS:
        nas.tree.write(path)
    samba.own(*samba.folder.rglob("*"))


@pytest.mark.covers("S1-01", "S1-02", "S1-12", "S1-44")
async def test_the_real_transcripts_are_found_on_a_real_share(nas: Harness, samba: Samba) -> None:
    for folder in ("Data", "InvalidTitle"):
        shutil.copytree(shared_data("transcripts", folder), samba.folder / folder)
    samba.own(*samba.folder.rglob("*"))
    nas.scan_config = ScanConfig(
        paths=("Data", "InvalidTitle"),
        layout=("year", "quarter", "type", "company"),
        max_depth=4,
        directory_quiet_seconds=2,
    )
    result = await nas.scan()
    expected = sorted(str(path.relative_to(samba.folder)) for path in samba.folder.rglob("*.xml"))
    assert len(expected) == 198
    assert [path for _, path in result.changes] == expected
    modified = {event.data.path: event.data.current for event in result.events}
    for path in expected:
        status = (samba.folder / path).stat()
        current = modified[path]
        assert current is not None
        assert current.size_bytes == status.st_size
        assert abs(current.modified_at.timestamp() - status.st_mtime) < 0.000_002
    nas.clock.advance(60)
    assert (await nas.scan()).events == []


async def test_what_happens_on_the_share_is_seen_by_fast_passes(nas: Harness, samba: Samba) -> None:
    lay(nas, samba)
    await nas.scan()
    nas.clock.advance(60)
    assert len((await nas.scan("fast")).share.listed) == 3
    nas.tree.write("Data/2020/Q1/new.xml")
    nas.tree.delete(PATHS[-1])
    nas.clock.advance(60)
    assert (await nas.scan("fast")).changes == [("added", "Data/2020/Q1/new.xml")]
    nas.clock.advance(60)
    assert (await nas.scan("fast")).changes == [("deleted", PATHS[-1])]


@pytest.mark.covers("C-05", "C-06", "S1-44")
async def test_a_share_cut_in_the_middle_of_twenty_scans_deletes_nothing(
    nas: Harness, samba: Samba, proxy: FaultProxy
) -> None:
    lay(nas, samba)
    await nas.scan()
    cuts = 0
    for budget in range(800, 4800, 200):
        nas.clock.advance(60)
        proxy.cut_after(budget)
        with contextlib.suppress(TransientError):
            assert (await nas.scan()).events == []
        rows = await nas.fetch("select outcome from scanner.scans order by started_at desc limit 1")
        cuts += rows[0]["outcome"] == "incomplete"
        proxy.restore()
        assert [event.data.change for event in await nas.take_events()] == []
    assert cuts == 20
    nas.clock.advance(60)
    assert (await nas.scan()).events == []


@pytest.mark.covers("S1-01", "S1-29")
async def test_a_wrong_password_is_tried_once_per_rest(
    nas: Harness, samba: Samba, proxy: FaultProxy
) -> None:
    lay(nas, samba)
    gate = LogonGate()
    nas.connect = lambda: connect(samba, port=proxy.port, gate=gate, password="wrong-password")
    for _ in range(3):
        with pytest.raises(ShareLogonError):
            await nas.scan()
    assert samba.refused_logons() == 1


@pytest.mark.covers("C-06")
async def test_a_folder_that_the_server_hides_keeps_its_files(nas: Harness, samba: Samba) -> None:
    lay(nas, samba)
    await nas.scan()
    hidden = samba.folder / "Data" / "2021" / "Q1"
    hidden.chmod(0)
    nas.clock.advance(60)
    result = await nas.scans(3)
    assert "Data/2021/Q1" not in result.share.listed
    assert result.events == []
    hidden.chmod(0o755)
    nas.clock.advance(60)
    assert (await nas.scan()).events == []


async def test_the_queue_files_are_written_over_smb(nas: Harness, samba: Samba) -> None:
    lay(nas, samba)
    nas.scan_config = ScanConfig.model_validate(
        {"paths": ["Data"], "legacy_export": {"refresh_output_path": "Outputs/Refresh"}}
    )
    await nas.scan()
    written = sorted(path.name for path in (samba.folder / "Outputs" / "Refresh").iterdir())
    assert written == [
        "stage_02_process_queue.json",
        "stage_02_removal_queue.json",
    ]
