"""One suite for every share: a local folder, and a real Samba through both client libraries.

What broken servers and networks do is in `tests/integration/chassis/test_shares_faults.py`.
"""

import asyncio
import contextlib
import os
import pwd
import shutil
import tempfile
import threading
import unicodedata
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from chassis.errors import PermanentError
from chassis.shares.local import LocalShare
from chassis.shares.port import (
    FileChangedError,
    FileTooLargeError,
    Share,
    ShareAccessDeniedError,
    ShareNotFoundError,
    ShareUnavailableError,
    UnsafePathError,
)
from chassis.shares.pysmb import PysmbShare
from chassis.shares.smbprotocol import SmbprotocolShare
from tests.support.samba import Samba

PLENTY = 1 << 30


@dataclass(frozen=True, slots=True)
class Site:
    """A share, and its folder as the server sees it."""

    share: Share
    folder: Path
    own: Callable[..., None]

    def put(self, path: str, data: bytes = b"", *, modified_ns: int | None = None) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        if modified_ns is not None:
            os.utime(file, ns=(modified_ns, modified_ns))
        self.own(file)
        return file

    def make(self, path: str) -> Path:
        folder = self.folder / path
        folder.mkdir(parents=True)
        self.own(folder)
        return folder

    async def names(self, path: str = "") -> list[str]:
        return [entry.name for entry in await self.share.list_directory(path)]


@pytest.fixture(scope="module")
def samba() -> Generator[Samba]:
    server = Samba()
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="module")
def large(samba: Samba) -> Path:
    folder = samba.folder / "large"
    folder.mkdir()
    samba.own(folder)
    for number in range(5000):
        (folder / f"TICKER-US_Q1_2024_E1_{number}.xml").touch()
    return folder


@pytest.fixture(params=["local", "pysmb", "pysmb-plain", "smbprotocol"])
async def site(request: pytest.FixtureRequest, samba: Samba, unique: str) -> AsyncGenerator[Site]:
    folder = samba.folder / unique
    folder.mkdir()
    samba.own(folder)
    nas = samba.settings()
    shares: dict[str, Callable[[], Share]] = {
        "local": lambda: LocalShare(folder),
        "pysmb": lambda: PysmbShare(nas, root=unique, timeout_seconds=10),
        "pysmb-plain": lambda: PysmbShare(nas, root=unique, timeout_seconds=10, fast_listing=False),
        "smbprotocol": lambda: SmbprotocolShare(nas, root=unique, timeout_seconds=10),
    }
    share = shares[request.param]()
    yield Site(share, folder, samba.own)
    await share.close()
    shutil.rmtree(folder)


# --- listing ---------------------------------------------------------------------------------
@pytest.mark.covers("S1-12", "S1-14")
@pytest.mark.parametrize(
    ("modified_ns", "modified_us"),
    [
        (1_700_000_000_123_456_700, 1_700_000_000_123_456),
        (1_700_000_000_999_999_900, 1_700_000_000_999_999),
        (1_000_000_000_000_000_000, 1_000_000_000_000_000),
        (4_102_444_800_000_001_000, 4_102_444_800_000_001),
    ],
)
async def test_a_listing_has_the_exact_time_and_size(
    site: Site, modified_ns: int, modified_us: int
) -> None:
    site.put("a.xml", b"12345", modified_ns=modified_ns)
    [entry] = await site.share.list_directory("")
    assert (entry.name, entry.modified_us, entry.size_bytes) == ("a.xml", modified_us, 5)
    assert not entry.is_directory
    assert not entry.is_hidden


async def test_listing_stat_and_read_agree_on_the_time(site: Site) -> None:
    file = site.put("d/a.xml", b"x")
    expected = file.stat().st_mtime_ns // 1000
    [listed] = await site.share.list_directory("d")
    read = await site.share.read_file("d/a.xml", max_bytes=10)
    assert listed.modified_us == read.modified_us == expected
    assert await site.share.stat("d/a.xml") == listed


async def test_directories_and_hidden_files_are_marked(site: Site) -> None:
    site.make("folder")
    site.put(".hidden", b"123")
    found = {entry.name: entry for entry in await site.share.list_directory("")}
    assert set(found) == {"folder", ".hidden"}
    assert found["folder"].is_directory
    assert found["folder"].size_bytes == 0
    assert found[".hidden"].is_hidden
    assert found["folder"].modified_us == (site.folder / "folder").stat().st_mtime_ns // 1000


async def test_an_empty_folder_lists_as_empty(site: Site) -> None:
    site.make("empty")
    assert list(await site.share.list_directory("empty")) == []
    assert await site.names() == ["empty"]


async def test_a_large_folder_is_listed_whole(site: Site, large: Path) -> None:
    with _moved(large, site.folder / "large"):
        names = await site.names("large")
    assert len(names) == 5000
    assert set(names) == {f"TICKER-US_Q1_2024_E1_{number}.xml" for number in range(5000)}


async def test_a_folder_that_fills_one_answer_is_listed_whole(site: Site) -> None:
    # Two answers of 60 or 64 KiB take about 350 names each: just under, between, and just over.
    expected = [f"{'n' * 50}-{number}.xml" for number in range(720)]
    for number, name in enumerate(expected, start=1):
        site.put(f"d/{name}")
        if number in (300, 330, 350, 370, 680, 700, 720):
            assert sorted(await site.names("d")) == sorted(expected[:number])


async def test_names_are_kept_as_they_are(site: Site) -> None:
    composed, decomposed = "Société.xml", unicodedata.normalize("NFD", "Société.xml")
    wide = "日本 ＡＢＣ.xml"  # noqa: RUF001 - full-width letters are the point
    names = {composed, decomposed, wide, "🎙️ call.xml", "A.XML", "a.xml", "'%20&;.xml"}
    for name in names:
        site.put(name, name.encode())
    assert set(await site.names()) == names
    for name in names:
        content = await site.share.read_file(name, max_bytes=PLENTY)
        assert content.data == name.encode()


async def test_whatever_is_listed_can_be_read(site: Site) -> None:
    names = ["co:lon.xml", "q?.xml", "st*r.xml", "aux.xml", "dot.xml.", "space.xml ", " x", "~$x"]
    for name in names:
        site.put(name, b"content")
    listed = await site.names()
    assert len(listed) == len(names)
    for name in listed:
        content = await site.share.read_file(name, max_bytes=PLENTY)
        assert content.data == b"content"


async def test_deep_and_long_paths_are_reached(site: Site) -> None:
    path = "/".join(f"{level:02}-{'n' * 60}" for level in range(15))
    site.put(f"{path}/{'x' * 240}.xml", b"deep")
    assert await site.names(path) == [f"{'x' * 240}.xml"]
    content = await site.share.read_file(f"{path}/{'x' * 240}.xml", max_bytes=PLENTY)
    assert content.data == b"deep"


async def test_what_is_missing_is_not_found(site: Site) -> None:
    site.put("file.xml")
    for path in ("missing", "missing/deeper", "file.xml/deeper"):
        with pytest.raises(ShareNotFoundError):
            await site.share.list_directory(path)
        with pytest.raises(ShareNotFoundError):
            await site.share.stat(path)
        with pytest.raises(ShareNotFoundError):
            await site.share.read_file(path, max_bytes=1)


async def test_a_file_is_not_a_directory_nor_the_reverse(site: Site) -> None:
    site.put("file.xml")
    site.make("folder")
    with pytest.raises(ShareNotFoundError):
        await site.share.list_directory("file.xml")
    with pytest.raises(ShareNotFoundError):
        await site.share.read_file("folder", max_bytes=1)


async def test_a_name_in_another_case_is_not_found(site: Site) -> None:
    site.put("d/Case.xml")
    assert (await site.share.stat("d/Case.xml")).name == "Case.xml"
    with pytest.raises(ShareNotFoundError):
        await site.share.stat("d/case.xml")


async def test_the_root_and_a_directory_have_a_stat(site: Site) -> None:
    folder = site.make("folder")
    assert (await site.share.stat("")).is_directory
    entry = await site.share.stat("folder")
    assert entry.is_directory
    assert entry.modified_us == folder.stat().st_mtime_ns // 1000


async def test_what_may_not_be_read_is_denied_and_not_missing(site: Site) -> None:
    site.put("secret/file.xml")
    site.put("file.xml").chmod(0)
    (site.folder / "secret").chmod(0)
    with _as_the_shares_user(site):
        with pytest.raises(ShareAccessDeniedError):
            await site.share.list_directory("secret")
        with pytest.raises(ShareAccessDeniedError):
            await site.share.stat("secret/file.xml")
        with pytest.raises(ShareAccessDeniedError):
            await site.share.read_file("file.xml", max_bytes=1)
        assert set(await site.names()) == {"secret", "file.xml"}


@pytest.mark.covers("S1-25")
async def test_links_lead_nowhere_outside(site: Site) -> None:
    with _ways_out(site.folder):
        with pytest.raises(PermanentError):
            await site.share.list_directory("way-out")
        for path in ("way-out/secret.xml", "file.xml"):
            with pytest.raises(PermanentError):
                await site.share.read_file(path, max_bytes=PLENTY)


@pytest.mark.covers("S1-25")
@pytest.mark.parametrize("path", ["../a", "/a", "a//b", "a\\b", "a\0", "C:/a", "a/../../b"])
async def test_an_unsafe_path_is_refused_by_every_call(site: Site, path: str) -> None:
    with pytest.raises(UnsafePathError):
        await site.share.list_directory(path)
    with pytest.raises(UnsafePathError):
        await site.share.stat(path)
    with pytest.raises(UnsafePathError):
        await site.share.read_file(path, max_bytes=1)
    with pytest.raises(UnsafePathError):
        await site.share.write_file(path, b"")
    with pytest.raises(UnsafePathError):
        await site.share.make_directories(path)


# --- reading ---------------------------------------------------------------------------------
@pytest.mark.covers("S1-24")
@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 200_000, 3_000_000])
async def test_a_file_is_read_whole(site: Site, size: int) -> None:
    data = os.urandom(size)
    file = site.put("f.xml", data)
    content = await site.share.read_file("f.xml", max_bytes=size)
    assert content.data == data
    assert content.modified_us == file.stat().st_mtime_ns // 1000


async def test_a_file_over_the_limit_is_refused(site: Site) -> None:
    site.put("f.xml", b"x" * 101)
    with pytest.raises(FileTooLargeError) as refused:
        await site.share.read_file("f.xml", max_bytes=100)
    assert refused.value.facts == {"path": "f.xml", "size_bytes": 101, "max_bytes": 100}
    assert (await site.share.read_file("f.xml", max_bytes=101)).data == b"x" * 101


@pytest.mark.parametrize("step", [1, -1])
async def test_a_file_that_changes_while_it_is_read_is_refused(site: Site, step: int) -> None:
    size = 8 << 20
    file = site.put("f.xml", b"x" * size)
    stop = threading.Event()

    def change() -> None:
        length = size
        while not stop.is_set():
            length += step
            os.truncate(file, length)

    writer = threading.Thread(target=change)
    writer.start()
    try:
        with pytest.raises(FileChangedError):
            await _read_often(site.share, "f.xml")
    finally:
        stop.set()
        writer.join()


async def test_reading_does_not_keep_others_from_replacing(site: Site) -> None:
    site.put("f.xml", b"old" * 1_000_000)
    reading = asyncio.ensure_future(site.share.read_file("f.xml", max_bytes=PLENTY))  # noqa: TID251
    for number in range(1, 21):
        await site.share.write_file("f.xml", b"new" * number)
    assert (await reading).data.startswith((b"old", b"new"))
    assert (site.folder / "f.xml").read_bytes() == b"new" * 20


# --- writing ---------------------------------------------------------------------------------
@pytest.mark.covers("S1-24")
async def test_a_file_is_written_with_its_parents(site: Site) -> None:
    await site.share.write_file("Outputs/Logs/run.log", b"line\n" * 50_000)
    assert (site.folder / "Outputs/Logs/run.log").read_bytes() == b"line\n" * 50_000
    assert await site.names("Outputs/Logs") == ["run.log"]


async def test_writing_replaces_longer_content(site: Site) -> None:
    await site.share.write_file("f.log", b"long content")
    await site.share.write_file("f.log", b"short")
    await site.share.write_file("empty", b"")
    assert (site.folder / "f.log").read_bytes() == b"short"
    assert (site.folder / "empty").read_bytes() == b""
    assert set(await site.names()) == {"f.log", "empty"}


async def test_readers_see_the_old_file_or_the_new_one(site: Site) -> None:
    old, new = b"o" * 300_000, b"n" * 300_000
    file = site.put("f.log", old)
    stop = threading.Event()
    seen: set[bytes] = set()

    def look() -> None:
        while not stop.is_set():
            seen.add(file.read_bytes())

    reader = threading.Thread(target=look)
    reader.start()
    for data in (new, old) * 10:
        await site.share.write_file("f.log", data)
    stop.set()
    reader.join()
    assert seen <= {old, new}


async def test_a_refused_write_leaves_nothing_behind(site: Site) -> None:
    site.make("f.log")
    with pytest.raises(PermanentError):
        await site.share.write_file("f.log", b"data")
    assert await site.names() == ["f.log"]
    assert (site.folder / "f.log").is_dir()


async def test_writing_where_one_may_not_is_denied(site: Site) -> None:
    site.make("closed").chmod(0o555)
    with _as_the_shares_user(site):
        with pytest.raises(ShareAccessDeniedError):
            await site.share.write_file("closed/f.log", b"data")
        with pytest.raises(ShareAccessDeniedError):
            await site.share.make_directories("closed/inner")


@pytest.mark.covers("S1-24")
async def test_directories_are_made_once_and_with_their_parents(site: Site) -> None:
    for _ in range(2):
        await site.share.make_directories("Data/2024/Q1")
    await site.share.make_directories("")
    assert (site.folder / "Data/2024/Q1").is_dir()


async def test_a_file_in_the_way_of_a_directory_is_an_error(site: Site) -> None:
    site.put("file.xml", b"kept")
    for path in ("file.xml", "file.xml/inner"):
        with pytest.raises(PermanentError):
            await site.share.make_directories(path)
    assert (site.folder / "file.xml").read_bytes() == b"kept"


# --- the whole -------------------------------------------------------------------------------
async def test_many_calls_at_once_get_their_own_answers(site: Site) -> None:
    for number in range(60):
        site.put(f"d{number}/f{number}.xml", b"x" * number)
    listings = await asyncio.gather(
        *(site.share.list_directory(f"d{number}") for number in range(60))
    )
    contents = await asyncio.gather(
        *(site.share.read_file(f"d{number}/f{number}.xml", max_bytes=99) for number in range(60))
    )
    assert [[entry.name for entry in found] for found in listings] == [
        [f"f{number}.xml"] for number in range(60)
    ]
    assert [len(content.data) for content in contents] == list(range(60))


async def test_a_cancelled_call_does_not_disturb_the_others(site: Site) -> None:
    for number in range(300):
        site.put(f"d/f{number}.xml")
    calls = [
        asyncio.ensure_future(site.share.list_directory("d"))  # noqa: TID251
        for _ in range(40)
    ]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()
    results = await asyncio.gather(*calls, return_exceptions=True)
    whole = [len(found) for found in results if not isinstance(found, BaseException)]
    assert len(whole) >= 20
    assert set(whole) == {300}


@pytest.mark.covers("S1-02", "S1-37")
async def test_a_closed_share_says_so(site: Site) -> None:
    await site.names()
    await site.share.close()
    await site.share.close()
    with pytest.raises(ShareUnavailableError):
        await site.share.list_directory("")


async def test_a_root_that_vanished_is_unavailable_and_not_missing(site: Site) -> None:
    site.put("f.xml")
    assert await site.names() == ["f.xml"]
    with _moved(site.folder, site.folder.with_name(f"{site.folder.name}-moved")):
        with pytest.raises(ShareUnavailableError):
            await site.share.list_directory("")
        with pytest.raises(ShareUnavailableError):
            await site.share.stat("f.xml")
    assert (await site.share.stat("f.xml")).name == "f.xml"


async def test_the_description_names_the_backend_and_no_address(site: Site) -> None:
    description = await site.share.describe()
    assert (description.kind, description.backend, description.dialect) in {
        ("local", "filesystem", ""),
        ("smb", "pysmb", "2.0.2"),
        ("smb", "smbprotocol", "3.1.1"),
    }
    assert description.verifies_signatures == (description.backend == "smbprotocol")
    assert "127.0.0.1" not in repr(description)


@contextlib.contextmanager
def _as_the_shares_user(site: Site) -> Generator[None]:
    """Drop root for a while: root may read everything, a service's account may not."""
    if os.geteuid() != 0 or not isinstance(site.share, LocalShare):
        yield
        return
    os.seteuid(pwd.getpwnam("daemon").pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)


async def _read_often(share: Share, path: str) -> None:
    # On a busy machine the writer may sleep through a whole read.
    for _ in range(20):
        await share.read_file(path, max_bytes=PLENTY)


@contextlib.contextmanager
def _moved(folder: Path, elsewhere: Path) -> Generator[None]:
    folder.rename(elsewhere)
    try:
        yield
    finally:
        elsewhere.rename(folder)


@contextlib.contextmanager
def _ways_out(folder: Path) -> Generator[None]:
    with tempfile.TemporaryDirectory() as outside:
        Path(outside).chmod(0o755)
        (Path(outside) / "secret.xml").write_bytes(b"secret")
        (folder / "way-out").symlink_to(outside)
        (folder / "file.xml").symlink_to(Path(outside) / "secret.xml")
        yield
