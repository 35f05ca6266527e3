import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from chassis.errors import PenstockError
from chassis.shares.local import LocalShare
from chassis.shares.port import Entry, Share, ShareNotFoundError, ShareUnavailableError
from chassis.sources import ShareConfig
from scanner.adapters.kept_shares import KeptShares

NAS = ShareConfig(kind="local", root="nas")
OTHER = ShareConfig(kind="local", root="other")


class WatchedShare(LocalShare):
    """A folder that tells whether it is open, and fails on demand."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, connections=1)
        self.is_open = True
        self.failure: PenstockError | None = None
        self.answers = asyncio.Event()
        self.answers.set()

    async def list_directory(self, path: str) -> Sequence[Entry]:
        await self.answers.wait()
        if self.failure is not None:
            raise self.failure
        return await super().list_directory(path)

    async def close(self) -> None:
        self.is_open = False
        await super().close()


class Opener:
    """Remembers what it opened."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.opened: list[WatchedShare] = []

    def __call__(self, _config: ShareConfig) -> Share:
        self.opened.append(WatchedShare(self._root))
        return self.opened[-1]

    @property
    def open_ones(self) -> list[bool]:
        return [share.is_open for share in self.opened]


@pytest.fixture
def opener(tmp_path: Path) -> Opener:
    return Opener(tmp_path)


@pytest.fixture
def kept(opener: Opener) -> KeptShares:
    return KeptShares(opener)


async def test_the_next_scan_gets_the_share_that_came_back(
    opener: Opener, kept: KeptShares
) -> None:
    for _ in range(3):
        share = kept.open(NAS)
        assert await share.list_directory("") == []
        await share.close()
    assert opener.open_ones == [True]
    await kept.close()
    assert opener.open_ones == [False]


async def test_each_configuration_has_its_own_share(opener: Opener, kept: KeptShares) -> None:
    await kept.open(NAS).close()
    await kept.open(OTHER).close()
    assert opener.open_ones == [True, True]
    await kept.close()


async def test_two_scans_at_a_time_do_not_share(opener: Opener, kept: KeptShares) -> None:
    first, second = kept.open(NAS), kept.open(NAS)
    await first.close()
    await second.close()
    assert opener.open_ones == [True, False]
    await kept.close()


async def test_a_refusal_is_an_answer(opener: Opener, kept: KeptShares) -> None:
    share = kept.open(NAS)
    with pytest.raises(ShareNotFoundError):
        await share.stat("missing.xml")
    await share.close()
    assert opener.open_ones == [True]
    await kept.close()


async def test_a_share_that_did_not_answer_is_closed(opener: Opener, kept: KeptShares) -> None:
    share = kept.open(NAS)
    opener.opened[0].failure = ShareUnavailableError()
    with pytest.raises(ShareUnavailableError):
        await share.list_directory("")
    await share.close()
    assert opener.open_ones == [False]
    await kept.open(NAS).close()
    assert opener.open_ones == [False, True]
    await kept.close()


async def test_a_share_is_closed_when_a_call_was_cancelled(
    opener: Opener, kept: KeptShares
) -> None:
    share = kept.open(NAS)
    opener.opened[0].answers.clear()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await share.list_directory("")
    await share.close()
    assert opener.open_ones == [False]


async def test_what_was_given_back_cannot_be_used(opener: Opener, kept: KeptShares) -> None:
    share = kept.open(NAS)
    await share.close()
    await share.close()
    with pytest.raises(ShareUnavailableError):
        await share.describe()
    assert opener.open_ones == [True]
    await kept.close()


async def test_a_share_that_comes_back_after_the_end_is_closed(
    opener: Opener, kept: KeptShares
) -> None:
    share = kept.open(NAS)
    await kept.close()
    await share.close()
    assert opener.open_ones == [False]
