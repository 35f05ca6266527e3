import errno
import os
import tracemalloc
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from chassis.shares.local import LocalShare
from chassis.shares.port import (
    FileTooLargeError,
    ShareAccessDeniedError,
    ShareNotFoundError,
    ShareUnavailableError,
    UnsafePathError,
)


@pytest.fixture
async def share(tmp_path: Path) -> AsyncGenerator[LocalShare]:
    share = LocalShare(tmp_path, connections=2)
    yield share
    await share.close()


async def test_links_pipes_and_devices_are_not_listed(share: LocalShare, tmp_path: Path) -> None:
    (tmp_path / "file.xml").touch()
    (tmp_path / "link.xml").symlink_to("file.xml")
    (tmp_path / "loop").symlink_to(".")
    os.mkfifo(tmp_path / "pipe.xml")
    assert [entry.name for entry in await share.list_directory("")] == ["file.xml"]
    for name in ("link.xml", "loop", "pipe.xml"):
        with pytest.raises(ShareNotFoundError):
            await share.stat(name)
        with pytest.raises(ShareNotFoundError):
            await share.read_file(name, max_bytes=1)
    with pytest.raises(ShareNotFoundError):
        await share.list_directory("loop/loop")


async def test_a_link_is_not_written_through(share: LocalShare, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "way").symlink_to("target")
    with pytest.raises(ShareNotFoundError):
        await share.write_file("way/file.xml", b"data")
    with pytest.raises(ShareNotFoundError):
        await share.make_directories("way")
    assert list((tmp_path / "target").iterdir()) == []


async def test_writing_onto_a_link_replaces_the_link(share: LocalShare, tmp_path: Path) -> None:
    (tmp_path / "kept.xml").write_bytes(b"kept")
    (tmp_path / "link.xml").symlink_to("kept.xml")
    await share.write_file("link.xml", b"new")
    assert (tmp_path / "kept.xml").read_bytes() == b"kept"
    assert not (tmp_path / "link.xml").is_symlink()


async def test_a_root_that_is_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file.xml").touch()
    (tmp_path / "mounted").symlink_to("real")
    share = LocalShare(tmp_path / "mounted")
    assert [entry.name for entry in await share.list_directory("")] == ["file.xml"]
    await share.close()


async def test_a_file_over_the_limit_is_not_read(share: LocalShare, tmp_path: Path) -> None:
    os.truncate(_touched(tmp_path / "huge.xml"), 1 << 40)
    tracemalloc.start()
    with pytest.raises(FileTooLargeError):
        await share.read_file("huge.xml", max_bytes=1 << 20)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, ShareUnavailableError),
        (errno.EIO, ShareUnavailableError),
        (errno.ESTALE, ShareUnavailableError),
        (errno.EACCES, ShareAccessDeniedError),
        (errno.EROFS, ShareAccessDeniedError),
        (errno.ENAMETOOLONG, UnsafePathError),
    ],
)
async def test_errors_of_the_disk_are_told_as_what_they_are(
    share: LocalShare,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    expected: type[Exception],
) -> None:
    (tmp_path / "file.xml").write_bytes(b"old")

    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(expected):
        await share.write_file("file.xml", b"new")
    monkeypatch.undo()
    assert [entry.name for entry in await share.list_directory("")] == ["file.xml"]
    assert (tmp_path / "file.xml").read_bytes() == b"old"


def _touched(path: Path) -> Path:
    path.touch()
    return path
