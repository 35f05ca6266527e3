"""Migration files: named, numbered, loaded in order."""

import importlib
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from chassis.migrations import OWNERS, MigrationError, load_migrations

Package = Callable[[dict[str, str]], str]
_numbers = itertools.count()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """Make a package with SQL files and return its name."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(files: dict[str, str]) -> str:
        name = f"owner_{next(_numbers)}"
        (tmp_path / name / "sql").mkdir(parents=True)
        (tmp_path / name / "__init__.py").touch()
        for file, text in files.items():
            (tmp_path / name / "sql" / file).write_text(text)
        importlib.invalidate_caches()
        return name

    return make


def test_migrations_come_in_the_order_of_their_numbers(package: Package) -> None:
    owner = package(
        {"0010_pre_c.sql": "3", "0002_post_b.sql": "2", "0001_pre_a.sql": "1", "README.md": "x"}
    )

    found = load_migrations(owner)

    assert [(item.version, item.phase, item.name, item.sql) for item in found] == [
        (1, "pre", "a", "1"),
        (2, "post", "b", "2"),
        (10, "pre", "c", "3"),
    ]


@pytest.mark.parametrize(
    "name",
    ["1_pre_a.sql", "0001_a.sql", "0001_pre.sql", "0001_pre_.sql", "0001_mid_a.sql", "a.sql"],
)
def test_a_file_with_another_name_is_refused_not_ignored(package: Package, name: str) -> None:
    owner = package({name: "select 1"})

    with pytest.raises(MigrationError, match=name):
        load_migrations(owner)


def test_an_empty_file_is_refused(package: Package) -> None:
    with pytest.raises(MigrationError, match="is empty"):
        load_migrations(package({"0001_pre_a.sql": " \n"}))


def test_a_number_is_given_once(package: Package) -> None:
    owner = package({"0001_pre_a.sql": "1", "0001_post_b.sql": "2"})

    with pytest.raises(MigrationError, match="two migrations 0001"):
        load_migrations(owner)


def test_the_checksum_is_that_of_the_text(package: Package) -> None:
    (one,) = load_migrations(package({"0001_pre_a.sql": "abc"}))

    assert one.checksum == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_an_owner_without_migrations_and_one_that_is_not_installed_have_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "owner_without").mkdir()
    (tmp_path / "owner_without" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)

    assert load_migrations("owner_without") == []
    assert load_migrations("owner_not_installed") == []


@pytest.mark.parametrize("owner", OWNERS)
def test_the_shipped_migrations_are_well_formed(owner: str) -> None:
    found = load_migrations(owner)

    assert [item.version for item in found] == list(range(1, len(found) + 1))
