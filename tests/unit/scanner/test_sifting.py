from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.domain.files import Fingerprint, SeenFile
from scanner.domain.sifting import (
    MAX_PATH_BYTES,
    Oddity,
    Refusal,
    RefusalReason,
    Sieve,
    SiftRules,
    Subdirectory,
)
from scanner.handlers.walk import is_safe_path


@dataclass(frozen=True)
class FakeEntry:
    name: str
    is_directory: bool = False
    modified_us: int = 1_700_000_000_000_000
    size_bytes: int = 10
    is_hidden: bool = False


def sieve(**rules: object) -> Sieve:
    return Sieve(SiftRules(**rules), is_safe_path)  # type: ignore[arg-type]


def folder(name: str) -> FakeEntry:
    return FakeEntry(name, is_directory=True, size_bytes=0)


@pytest.mark.covers("S1-12", "S1-14", "S1-15")
def test_an_xml_file_is_taken_with_its_path_time_and_size() -> None:
    sifted = sieve().sift("Data/2024", 1, [FakeEntry("a.xml")])
    assert sifted.files == [SeenFile("Data/2024/a.xml", Fingerprint(1_700_000_000_000_000, 10))]


@pytest.mark.covers("S1-12")
@pytest.mark.parametrize("name", ["a.XML", "CTPQ6R~A.XML", "b.Xml"])
def test_the_suffix_is_compared_without_case(name: str) -> None:
    assert [file.path for file in sieve().sift("", 0, [FakeEntry(name)]).files] == [name]


@pytest.mark.covers("S1-12")
@pytest.mark.parametrize(
    "name",
    [
        "a.pdf",
        "xml",
        "~$call.xml",
        ".call.xml",
        "call.xml.tmp",
        "call.xml.part",
        "call.xml.filepart",
        "Thumbs.db",
    ],
)
def test_other_and_temporary_names_are_passed_over_but_known_to_be_there(name: str) -> None:
    sifted = sieve().sift("Data", 0, [FakeEntry(name)])
    assert sifted.files == []
    assert sifted.present == [f"Data/{name}"]
    assert sifted.refusals == []


@pytest.mark.parametrize(
    "name", ["@eaDir", "#recycle", ".snapshot", "~snapshot", "$RECYCLE.BIN", "#SNAPSHOT"]
)
def test_snapshot_and_recycle_folders_are_never_entered(name: str) -> None:
    sifted = sieve().sift("Data", 0, [folder(name)])
    assert sifted.subdirectories == []
    assert sifted.all_subdirectories == [f"Data/{name}"]


def test_what_the_server_hides_is_passed_over() -> None:
    hidden = FakeEntry("a.xml", is_hidden=True)
    assert sieve().sift("", 0, [hidden]).files == []
    assert len(sieve(takes_hidden=True).sift("", 0, [hidden]).files) == 1


def test_a_source_can_deny_more_names() -> None:
    rules = ("draft_*",)
    assert sieve(denied=rules).sift("", 0, [FakeEntry("Draft_1.xml")]).files == []


@pytest.mark.covers("S1-16")
def test_nothing_is_selected_by_ticker_type_or_age() -> None:
    names = ["RY-CA_Q1_2024_Raw_1_1.xml", "RY-CA_Q1_2024_Corrected_1_2.xml", "0.xml"]
    old = [FakeEntry(name, modified_us=0) for name in names]
    assert len(sieve().sift("", 0, old).files) == 3


def test_a_subdirectory_carries_the_time_its_parent_showed() -> None:
    sifted = sieve().sift("", 0, [FakeEntry("Q1", is_directory=True, modified_us=7)])
    assert sifted.subdirectories == [Subdirectory("Q1", 7)]


def test_the_depth_limit_ends_a_loop_of_links_and_says_so() -> None:
    sifted = sieve(max_depth=2).sift("a/b", 2, [folder("loop")])
    assert sifted.subdirectories == []
    assert sifted.refusals == [Refusal("a/b/loop", RefusalReason.TOO_DEEP)]


@pytest.mark.covers("S1-25", "S1-29")
@pytest.mark.parametrize("name", ["..", "a\\b.xml", "a\nb.xml", "\udcff.xml", "\uff0e\uff0e"])
def test_an_unsafe_name_is_refused(name: str) -> None:
    sifted = sieve().sift("Data", 0, [FakeEntry(name), folder(name)])
    assert sifted.files == []
    assert sifted.present == []
    assert sifted.subdirectories == []


@pytest.mark.covers("S1-29")
@pytest.mark.parametrize(
    "entry",
    [
        FakeEntry("a.xml", size_bytes=-1),
        FakeEntry("a.xml", modified_us=10**18),
        FakeEntry("a.xml", modified_us=-(10**18)),
    ],
)
def test_impossible_metadata_is_refused_and_the_file_is_not_missing(entry: FakeEntry) -> None:
    sifted = sieve().sift("", 0, [entry])
    assert sifted.refusals == [Refusal("a.xml", RefusalReason.BAD_METADATA)]
    assert sifted.present == ["a.xml"]


def test_a_path_that_no_index_can_hold_is_refused() -> None:
    directory = "/".join(["d" * 200] * 10)
    assert len(directory) > MAX_PATH_BYTES
    sifted = sieve().sift(directory, 10, [FakeEntry("a.xml")])
    assert [refusal.reason for refusal in sifted.refusals] == [RefusalReason.PATH_TOO_LONG]


def test_names_that_differ_by_case_only_are_both_taken_and_reported() -> None:
    sifted = sieve().sift("", 0, [FakeEntry("Case.xml"), FakeEntry("case.xml")])
    assert len(sifted.files) == 2
    assert sifted.oddities == [("case.xml", Oddity.CASE_TWIN)]


def test_a_name_that_the_server_made_up_is_taken_and_reported() -> None:
    sifted = sieve().sift("", 0, [FakeEntry("CTPQ6R~A.XML")])
    assert sifted.oddities == [("CTPQ6R~A.XML", Oddity.MANGLED_NAME)]


def test_unicode_names_are_kept_as_they_are() -> None:
    names = ["Compañía.xml", "Compañía.xml", "🎉.xml"]
    files = sieve().sift("", 0, [FakeEntry(name) for name in names]).files
    assert [file.path for file in files] == names


@given(st.lists(st.text(max_size=30), max_size=20, unique=True))
def test_every_safe_file_is_either_taken_or_known_to_be_there(names: list[str]) -> None:
    sifted = sieve().sift("Data", 0, [FakeEntry(name) for name in names])
    taken = {file.path for file in sifted.files}
    assert taken.isdisjoint(sifted.present)
    for name in names:
        path = f"Data/{name}"
        is_accounted_for = path in taken or path in sifted.present
        assert is_accounted_for == is_safe_path(path)
