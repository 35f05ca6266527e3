"""A share that stays open between scans: fewer log-ons, and the same truth."""

import re
from collections.abc import AsyncGenerator, Generator

import pytest

from chassis.shares.open import open_share
from chassis.sources import ShareConfig
from scanner.adapters.kept_shares import KeptShares
from tests.integration.scanner.harness import Harness
from tests.support.samba import Samba

CONFIG = ShareConfig(kind="smb", connections=2, timeout_seconds=5)
LOGON = re.compile(r"Auth: .*status \[NT_STATUS_OK\]")


@pytest.fixture
def samba() -> Generator[Samba]:
    server = Samba()
    server.start()
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture
async def nas(harness: Harness, samba: Samba) -> AsyncGenerator[Harness]:
    """A harness whose share is the server's, and is kept between scans."""
    kept = KeptShares(lambda config: open_share(config, samba.settings()))
    harness.tree.root = samba.folder
    harness.connect = lambda: kept.open(CONFIG)
    for number in range(3):
        harness.tree.write(f"Data/2020/Q{number}/{number}.xml")
    samba.own(*samba.folder.rglob("*"))
    yield harness
    await kept.close()


def logons(samba: Samba) -> int:
    return len(LOGON.findall(samba.log()))


async def test_many_scans_log_on_once_per_connection(nas: Harness, samba: Samba) -> None:
    assert len((await nas.scans(5)).share.listed) == 5
    assert 1 <= logons(samba) <= CONFIG.connections


async def test_a_server_that_was_restarted_between_scans_is_scanned(
    nas: Harness, samba: Samba
) -> None:
    await nas.scan()
    samba.kill()
    samba.start()
    nas.tree.write("Data/2020/Q0/new.xml")
    samba.own(samba.folder / "Data/2020/Q0/new.xml")
    nas.clock.advance(60)
    assert (await nas.scan()).changes == [("added", "Data/2020/Q0/new.xml")]
