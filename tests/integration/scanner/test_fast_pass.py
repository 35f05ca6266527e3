"""The fast pass finds what moves a folder's time; with the full pass nothing is ever lost."""

import asyncio
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from scanner.settings.scan import ScanConfig
from tests.integration.scanner.harness import Harness, Tree

PATHS = [
    f"Data/{year}/{quarter}/{number}.xml"
    for year in (2020, 2021)
    for quarter in ("Q1", "Q2")
    for number in range(2)
]
FOLDERS = ["Data", "Data/2020", "Data/2021"]
LEAVES = ["Data/2020/Q1", "Data/2020/Q2", "Data/2021/Q1", "Data/2021/Q2"]


async def lay(harness: Harness) -> None:
    for path in PATHS:
        harness.tree.write(path)
    await harness.scan()
    harness.clock.advance(60)


@pytest.mark.covers("S1-40", "S1-39")
async def test_an_unchanged_tree_costs_its_inner_folders_only(harness: Harness) -> None:
    await lay(harness)
    result = await harness.scan("fast")
    assert result.share.listed == FOLDERS
    assert result.events == []


@pytest.mark.covers("S1-40")
async def test_a_new_file_is_found_by_its_folders_time(harness: Harness) -> None:
    await lay(harness)
    harness.tree.write("Data/2020/Q2/new.xml")
    result = await harness.scan("fast")
    assert result.changes == [("added", "Data/2020/Q2/new.xml")]
    # Once in the walk, and once more when it had settled.
    assert result.share.listed == sorted([*FOLDERS, "Data/2020/Q2", "Data/2020/Q2"])
    harness.clock.advance(60)
    assert (await harness.scan("fast")).share.listed == FOLDERS


async def test_a_new_folder_in_a_leaf_is_found(harness: Harness) -> None:
    await lay(harness)
    harness.tree.write("Data/2020/Q2/deeper/new.xml")
    assert (await harness.scan("fast")).changes == [("added", "Data/2020/Q2/deeper/new.xml")]


async def test_a_deletion_is_confirmed_by_fast_passes_too(harness: Harness) -> None:
    await lay(harness)
    harness.tree.delete("Data/2020/Q2/0.xml")
    assert (await harness.scan("fast")).events == []
    harness.clock.advance(60)
    assert (await harness.scan("fast")).changes == [("deleted", "Data/2020/Q2/0.xml")]
    harness.clock.advance(60)
    # The announcement ended the folder's waiting; it is looked at once more, and then left out.
    await harness.scan("fast")
    harness.clock.advance(60)
    assert (await harness.scan("fast")).share.listed == FOLDERS


async def test_a_vanished_folder_is_confirmed_by_fast_passes_too(harness: Harness) -> None:
    await lay(harness)
    harness.tree.write("Data/2022/Q1/0.xml")
    await harness.scan("fast")
    harness.clock.advance(60)
    # Its parent is a leaf from now on, and its time will not move again.
    shutil.rmtree(harness.tree.root / "Data/2022/Q1")
    harness.tree.age("Data/2022/Q1/0.xml")
    assert (await harness.scan("fast")).events == []
    harness.clock.advance(60)
    assert (await harness.scan("fast")).changes == [("deleted", "Data/2022/Q1/0.xml")]


async def test_a_file_overwritten_in_place_waits_for_the_full_pass(harness: Harness) -> None:
    await lay(harness)
    target = harness.tree.root / PATHS[0]
    with target.open("a", encoding="utf-8") as file:
        file.write("more")
    assert (await harness.scan("fast")).events == []
    harness.clock.advance(60)
    assert (await harness.scan("full")).changes == [("modified", PATHS[0])]


async def test_a_folder_whose_time_is_too_young_is_listed_again(harness: Harness) -> None:
    await lay(harness)
    leaf = harness.tree.root / "Data/2020/Q1"
    now_us = int(harness.clock.now().timestamp() * 1_000_000)
    harness.tree.touch("Data/2020/Q1", now_us)
    assert leaf.is_dir()
    assert "Data/2020/Q1" in (await harness.scan("fast")).share.listed
    harness.clock.advance(60)
    assert "Data/2020/Q1" in (await harness.scan("fast")).share.listed
    harness.clock.advance(60)
    assert (await harness.scan("fast")).share.listed == FOLDERS


async def test_auto_is_full_at_first_and_again_when_it_is_due(harness: Harness) -> None:
    harness.scan_config = ScanConfig(paths=("Data",), full_interval_seconds=3600)
    await lay(harness)
    await harness.execute("truncate scanner.scans")
    for _ in range(3):
        await harness.scan("auto")
        harness.clock.advance(1900)
    rows = await harness.fetch("select mode from scanner.scans order by started_at")
    assert [row["mode"] for row in rows] == ["full", "fast", "full"]


async def test_an_incomplete_full_pass_stays_due(harness: Harness) -> None:
    harness.scan_config = ScanConfig(paths=("Data",), sentinel=".mounted")
    await lay(harness)
    await harness.scan("auto")
    rows = await harness.fetch("select mode, outcome from scanner.scans order by started_at")
    assert [(row["mode"], row["outcome"]) for row in rows] == [("full", "incomplete")] * 2


class World:
    """A tree that random operations change; remembers nothing."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.top = tree.root / "Data"

    def apply(self, operation: str, first: str, second: str) -> None:
        source, target = self.tree.root / first, self.tree.root / second
        match operation:
            case "write":
                self.tree.write(first, "x" * (self.tree.ticks % 5 + 1))
            case "replace":
                self.tree.write(f"{first}.part", "r" * (self.tree.ticks % 7 + 1))
                (self.tree.root / f"{first}.part").rename(source)
                self.tree.age(first)
            case "delete" if source.exists():
                self.tree.delete(first)
            case "rename" if source.exists() and source != target:
                target.parent.mkdir(parents=True, exist_ok=True)
                source.rename(target)
                self.tree.age(first)
                self.tree.age(second)
            # Never the top: a share without it is not mounted, and is not believed.
            case "remove-folder" if source.parent.is_dir() and source.parent != self.top:
                for file in sorted(source.parent.iterdir()):
                    if file.is_file():
                        file.unlink()
                if not any(source.parent.iterdir()):
                    source.parent.rmdir()
                self.tree.age(first)
            case _:
                pass

    def files(self) -> set[str]:
        root = self.tree.root
        return {str(path.relative_to(root)) for path in root.rglob("*.xml")}


paths = st.sampled_from([*PATHS, "Data/2020/Q1/a.xml", "Data/2021/Q9/new/b.xml", "Data/c.xml"])
operations = st.tuples(
    st.sampled_from(["write", "replace", "delete", "rename", "remove-folder"]), paths, paths
)
steps = st.lists(st.lists(operations, max_size=4), min_size=1, max_size=4)


@pytest.mark.covers("S1-40", "C-04")
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(
    rounds=[
        [("write", "Data/2020/Q1/0.xml", "Data/c.xml")],
        [("remove-folder", "Data/2020/Q1/0.xml", "Data/c.xml")],
    ]
)
@given(rounds=steps)
def test_fast_passes_and_full_passes_end_in_the_same_inventory(
    rounds: list[list[tuple[str, str, str]]],
    runner: asyncio.Runner,
    shared_harness: Harness,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    root = tmp_path_factory.mktemp("world")
    runner.run(_compare_modes(shared_harness, root, rounds))


async def _compare_modes(
    harness: Harness, root: Path, rounds: list[list[tuple[str, str, str]]]
) -> None:
    outcomes = []
    for mode in ("fast", "full"):
        harness.tree = tree = Tree(root / mode)
        tree.root.mkdir(parents=True)
        await harness.reset()
        tree.write("Data/stays.xml")
        events: dict[str, list[str]] = {}
        world = World(tree)
        for batch in [[], *rounds, []]:
            for operation in batch:
                world.apply(*operation)
            for _ in range(2):
                for event in (await harness.scan(mode)).events:
                    events.setdefault(event.data.path, []).append(event.data.change.value)
                harness.clock.advance(60)
        for _ in range(2):
            await harness.scan(mode)
            harness.clock.advance(60)
        present = await harness.fetch("select path from scanner.inventory where is_present")
        assert {row["path"] for row in present} == world.files()
        outcomes.append(events)
    assert outcomes[0] == outcomes[1]
