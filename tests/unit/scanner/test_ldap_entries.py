from datetime import UTC, datetime

from scanner.adapters.ldap_entries import EntryReader, from_generalized_time, generalized_time
from scanner.domain.cursors import CursorKind
from scanner.domain.records import ItemFailure


def reader(**options: object) -> EntryReader:
    given: dict[str, object] = {
        "binary": ["objectGUID"],
        "id_attribute": "uid",
        "modified": "modifyTimestamp",
        "cursor": CursorKind.TIMESTAMP,
    }
    return EntryReader(["uid", "cn", "objectGUID"], **(given | options))  # type: ignore[arg-type]


def test_values_are_a_set_so_their_order_is_no_change() -> None:
    first = reader().read("dn", {"cn": [b"b", b"a"], "uid": [b"x"]})
    second = reader().read("dn", {"uid": [b"x"], "cn": [b"a", b"b"]})
    assert first == second == {"dn": ["dn"], "cn": ["a", "b"], "uid": ["x"]}


def test_names_are_spelled_as_they_were_asked() -> None:
    assert reader().read("dn", {"CN": [b"a"], "other": [b"o"]}) == {
        "dn": ["dn"],
        "cn": ["a"],
        "other": ["o"],
    }


def test_an_attribute_without_values_is_absent() -> None:
    assert reader().read("dn", {"cn": []}) == {"dn": ["dn"]}


def test_what_is_not_text_is_a_failure_that_names_its_record() -> None:
    found = reader().read("dn", {"cn": [b"\xff"], "uid": [b"jdoe"]})
    assert isinstance(found, ItemFailure)
    assert found.external_id == "jdoe"
    found = reader().read("dn", {"uid": [b"\xff"]})
    assert isinstance(found, ItemFailure)
    assert found.external_id is None


def test_the_time_of_the_change_is_a_mark_and_no_part_of_the_record() -> None:
    raw = {"uid": [b"x"], "modifyTimestamp": [b"20260301120000Z"]}
    assert reader().mark(raw) == "2026-03-01T12:00:00.000000Z"
    assert reader().read("dn", raw) == {"dn": ["dn"], "uid": ["x"]}
    assert reader(cursor=None).mark(raw) is None


def test_the_times_of_directories() -> None:
    assert from_generalized_time("20250711141817.0Z") == "2025-07-11T14:18:17.000000Z"
    assert from_generalized_time("soon") is None
    assert generalized_time(datetime(2025, 7, 11, 14, 18, 17, tzinfo=UTC)) == "20250711141817.0Z"
