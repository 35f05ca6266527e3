import asyncio
from collections.abc import Callable, Sequence
from typing import NoReturn

import pytest

from chassis.errors import PenstockError
from chassis.shares.port import (
    Entry,
    FileContent,
    ShareAccessDeniedError,
    ShareDescription,
    ShareLogonError,
    ShareNotFoundError,
    ShareUnavailableError,
)
from contracts.errors import ErrorCategory
from scanner import metrics
from scanner.domain.guard import Coverage
from scanner.domain.observations import Listing
from scanner.domain.sifting import Sieve, SiftRules
from scanner.handlers.walk import Step, Walker, WalkRules, is_safe_path
from tests.support.clocks import HandClock

FILE = Entry("a.xml", is_directory=False, modified_us=1, size_bytes=1)


def folder(name: str) -> Entry:
    return Entry(name, is_directory=True, modified_us=1, size_bytes=0)


class ScriptedShare:
    """Lists a tree from a dictionary; a value may be an error."""

    def __init__(self, tree: dict[str, list[Entry] | PenstockError]) -> None:
        self.tree = tree
        self.listed: list[str] = []
        self.most_at_once = 0
        self._now = 0

    async def list_directory(self, path: str) -> Sequence[Entry]:
        self.listed.append(path)
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        await asyncio.sleep(0)
        self._now -= 1
        found = self.tree[path]
        if isinstance(found, PenstockError):
            raise found
        return found

    async def stat(self, path: str) -> Entry:
        _unused(path)

    async def read_file(self, path: str, *, max_bytes: int) -> FileContent:
        _unused(path, max_bytes)

    async def write_file(self, path: str, data: bytes) -> None:
        _unused(path, data)

    async def make_directories(self, path: str) -> None:
        _unused(path)

    async def describe(self) -> ShareDescription:
        _unused()

    async def close(self) -> None:
        _unused()


def _unused(*arguments: object) -> NoReturn:
    raise AssertionError(f"a walk only lists: {arguments}")


class Walk:
    """One walk and what it found."""

    def __init__(
        self,
        tree: dict[str, list[Entry] | PenstockError],
        *,
        workers: int = 3,
        rules: Callable[[WalkRules], WalkRules] = lambda rules: rules,
    ) -> None:
        self.share = ScriptedShare(tree)
        self.coverage = Coverage()
        self.listings: dict[str, Listing] = {}
        self.slept: list[float] = []
        self.walker = Walker(
            self.share,
            Sieve(SiftRules(), is_safe_path),
            rules(WalkRules(source="walk", workers=workers, leaf_depth=2)),
            coverage=self.coverage,
            clock=HandClock(),
            sleep=self._sleep,
        )

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def _emit(self, listing: Listing) -> None:
        self.listings[listing.directory] = listing

    async def run(self) -> "Walk":
        step = Step("", 0, parent=None, modified_us=None)
        await self.walker.walk([step], self._emit, children=None)
        return self


def wide(count: int) -> dict[str, list[Entry] | PenstockError]:
    names = [f"d{number}" for number in range(count)]
    return {"": [folder(name) for name in names], **{name: [FILE] for name in names}}


@pytest.mark.covers("S1-12", "S1-39", "S1-40")
async def test_every_folder_is_listed_once_by_several_workers() -> None:
    walk = await Walk(wide(20), workers=4).run()
    assert sorted(walk.share.listed) == sorted(wide(20))
    assert walk.share.most_at_once == 4
    assert walk.listings["d3"].parent == ""
    assert walk.coverage.is_complete


@pytest.mark.covers("S1-37", "C-10")
async def test_what_waits_is_bounded_by_depth_not_by_the_size_of_the_tree() -> None:
    tree: dict[str, list[Entry] | PenstockError] = {"": [folder(str(i)) for i in range(10)]}
    for outer in range(10):
        tree[str(outer)] = [folder(str(i)) for i in range(10)]
        for inner in range(10):
            tree[f"{outer}/{inner}"] = [FILE]
    walk = Walk(tree, workers=1)
    most = 0

    async def emit(_: Listing) -> None:
        nonlocal most
        most = max(most, len(walk.walker._steps))

    await walk.walker.walk([Step("", 0, None, None)], emit, children=None)
    assert len(walk.share.listed) == 111
    assert most <= 20


@pytest.mark.covers("C-05")
async def test_a_listing_is_tried_three_times_and_then_lost() -> None:
    walk = await Walk(wide(3) | {"d1": ShareUnavailableError()}).run()
    assert walk.share.listed.count("d1") == 3
    assert len(walk.slept) == 2
    assert "d1" not in walk.listings
    assert (walk.coverage.failed, walk.coverage.is_aborted) == (1, False)
    assert not walk.coverage.is_complete


async def test_a_share_that_answers_nothing_ends_the_walk() -> None:
    down: dict[str, list[Entry] | PenstockError] = {
        f"d{number}": ShareUnavailableError() for number in range(50)
    }
    walk = await Walk(wide(50) | down, workers=1).run()
    assert walk.coverage.is_aborted
    assert isinstance(walk.walker.abort, ShareUnavailableError)
    assert len(walk.share.listed) == 1 + 3 * 3


async def test_refused_credentials_end_the_walk_at_the_first_try() -> None:
    walk = await Walk(wide(50) | {"d49": ShareLogonError()}, workers=1).run()
    assert walk.share.listed == ["", "d49"]
    assert walk.coverage.is_aborted
    assert walk.slept == []


@pytest.mark.parametrize("error", [ShareAccessDeniedError(), ShareNotFoundError()])
async def test_a_folder_that_the_server_refuses_is_left_out_and_the_walk_goes_on(
    error: PenstockError,
) -> None:
    walk = await Walk(wide(5) | {"d1": error}).run()
    assert walk.coverage.excluded == ["d1"]
    assert len(walk.listings) == 5
    assert walk.coverage.outcome == "partial"
    assert walk.slept == []


@pytest.mark.covers("S1-13", "S1-29", "S1-30")
async def test_lists_of_folders_and_of_files_fail_under_categories_of_their_own() -> None:
    tree: dict[str, list[Entry] | PenstockError] = {
        "": [folder("a"), folder("b")],
        "a": ShareAccessDeniedError(),
        "b": [folder("leaf")],
        "b/leaf": ShareAccessDeniedError(),
    }
    names = (ErrorCategory.NAS_LIST_DIRECTORIES, ErrorCategory.NAS_LIST_FILES)
    before = [metrics.ERRORS.labels(name)._value.get() for name in names]
    await Walk(tree).run()
    after = [metrics.ERRORS.labels(name)._value.get() for name in names]
    assert [new - old for new, old in zip(after, before, strict=True)] == [1, 1]


async def test_a_root_without_an_entry_is_noted() -> None:
    assert (await Walk({"": []}).run()).coverage.empty_roots == [""]
    assert (await Walk(wide(1)).run()).coverage.empty_roots == []


async def test_a_consumer_that_fails_stops_the_walk_with_its_own_error() -> None:
    walk = Walk(wide(20))

    async def fail(_: Listing) -> None:
        raise ShareNotFoundError("stop")

    with pytest.raises(ShareNotFoundError, match="stop"):
        await walk.walker.walk([Step("", 0, None, None)], fail, children=None)


@pytest.mark.covers("S1-25")
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("Data/2024/a.xml", True),
        ("Data/Crédit Agricole & Co., S.A. (1)/a.xml", True),
        ("Data/a", True),
        ("Data/..", False),
        ("Data/. .", False),
        ("Data/a\x00.xml", False),
        ("Data/C:evil.xml", False),
        ("Data/" + "n" * 256, False),
    ],
)
def test_only_safe_names_become_paths(path: str, *, expected: bool) -> None:
    assert is_safe_path(path) is expected
