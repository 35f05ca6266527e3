import errno
import os
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from chassis.errors import UnavailableError
from ingestor.adapters.disk_scratch import ScratchSpace
from ingestor.domain.versions import InMemory


@pytest.fixture
async def space() -> AsyncGenerator[ScratchSpace]:
    space = ScratchSpace(10)
    yield space
    await space.close()


async def test_documents_stay_in_memory_while_there_is_room(space: ScratchSpace) -> None:
    async with space.open() as scratch:
        kept = [await scratch.keep(b"12345"), await scratch.keep(b"67890")]
        assert kept == [InMemory(b"12345"), InMemory(b"67890")]


async def test_beyond_that_they_wait_on_disk_and_come_back_in_any_order(
    space: ScratchSpace,
) -> None:
    texts = [bytes([65 + number]) * (number * 1000) for number in range(1, 8)]
    async with space.open() as scratch:
        kept = [await scratch.keep(text) for text in texts]
        assert not any(isinstance(item, InMemory) for item in kept)
        assert [await item.load() for item in reversed(kept)] == list(reversed(texts))


async def test_a_new_batch_has_its_room_again(space: ScratchSpace) -> None:
    for _ in range(2):
        async with space.open() as scratch:
            assert isinstance(await scratch.keep(b"1234567890"), InMemory)
            assert not isinstance(await scratch.keep(b"1"), InMemory)


async def test_nothing_is_left_in_the_temporary_folder(
    space: ScratchSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    async with space.open() as scratch:
        await scratch.keep(b"x" * 100)
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - one look, not a walk


async def test_a_full_disk_is_an_outage(
    space: ScratchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    async with space.open() as scratch:
        with pytest.raises(UnavailableError, match="No space left on device"):
            await scratch.keep(b"x" * 100)
