import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.domain.cursors import CursorKind, Overlap, highest, is_mark
from scanner.domain.hashing import HashSpec, UnhashableRecordError, canonical_json
from scanner.domain.record_changes import (
    KnownRecord,
    RecordVerdict,
    UnidentifiedRecordError,
    identify,
    judge,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.covers("S2-11")
def test_the_hash_is_sha256_of_sorted_compact_json_in_utf_8() -> None:
    record = {"name": "Zoë", "id": 7, "b": [1, {"y": 1, "x": None}]}
    text = '{"b":[1,{"x":null,"y":1}],"id":7,"name":"Zoë"}'
    assert HashSpec().hash(record) == hashlib.sha256(text.encode("utf-8")).digest()


@given(st.dictionaries(st.text(), JSON, max_size=6))
def test_canonical_json_is_what_the_original_wrote_but_in_utf_8(record: dict[str, Any]) -> None:
    original = json.dumps(record, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
    try:
        found = json.loads(canonical_json(record))
    except UnhashableRecordError:
        with pytest.raises(UnicodeEncodeError):
            original.encode("utf-8")
        return
    assert found == json.loads(original)
    shuffled = dict(reversed(record.items()))
    assert canonical_json(shuffled) == canonical_json(record)


@pytest.mark.covers("S2-11", "S2-12")
def test_only_significant_fields_count_at_any_depth() -> None:
    record = {
        "id": 1,
        "seen": "now",
        "work": {"room": "A1", "badge": 7},
        "groups": [{"id": 2, "at": "x"}, {"id": 1, "at": "y"}],
    }
    assert HashSpec(significant=("work.room", "id")).significant_part(record) == {
        "id": 1,
        "work.room": "A1",
    }
    spec = HashSpec(volatile=("seen", "work.badge", "groups.at", "absent"), unordered=("groups",))
    assert spec.significant_part(record) == {
        "id": 1,
        "work": {"room": "A1"},
        "groups": [{"id": 1}, {"id": 2}],
    }


def test_a_field_that_is_absent_and_one_that_is_null_are_the_same_where_fields_are_named() -> None:
    spec = HashSpec(significant=("a",))
    assert spec.hash({}) == spec.hash({"a": None})


@pytest.mark.covers("C-13")
def test_the_order_in_which_fields_are_named_makes_no_other_specification() -> None:
    assert HashSpec(("b", "a")).document() == HashSpec(("a", "b", "a")).document()
    spec = HashSpec(volatile=("x",), unordered=("y",))
    assert HashSpec.read(spec.document()) == spec


@pytest.mark.parametrize("value", [{"a": "\ud800"}, {"a": 2**64}, {"a": {1, 2}}])
def test_what_json_cannot_carry_has_no_hash(value: dict[str, Any]) -> None:
    with pytest.raises(UnhashableRecordError):
        HashSpec().hash(value)


def known(**changes: Any) -> KnownRecord:
    given: dict[str, Any] = {
        "external_id": "a",
        "content_hash": b"1",
        "hash_spec_version": 1,
        "is_present": True,
        "is_missed": False,
    }
    return KnownRecord(**given | changes)


@pytest.mark.covers("S2-14", "C-13")
@pytest.mark.parametrize(
    ("seen", "record", "verdict"),
    [
        (b"1", None, RecordVerdict.NEW),
        (b"1", known(is_present=False), RecordVerdict.NEW),
        (b"2", known(), RecordVerdict.CHANGED),
        (b"1", known(content_hash=None), RecordVerdict.REPEATED),
        (b"1", known(is_missed=True), RecordVerdict.RETURNED),
        (b"1", known(), RecordVerdict.UNCHANGED),
        (b"9", known(content_hash=b"old", hash_spec_version=0), RecordVerdict.REHASHED),
        (b"9", known(content_hash=b"other", hash_spec_version=0), RecordVerdict.CHANGED),
        (b"9", known(hash_spec_version=7), RecordVerdict.CHANGED),
    ],
)
def test_a_look_at_a_record_has_one_meaning(
    seen: bytes, record: KnownRecord | None, verdict: RecordVerdict
) -> None:
    def rehash(version: int) -> bytes | None:
        return b"old" if version == 0 else None

    assert judge(seen, record, version=1, rehash=rehash) is verdict


@pytest.mark.parametrize(
    ("record", "fields", "identity"),
    [
        ({"UID": "7f"}, ["UID"], "7f"),
        ({"ID": 12}, ["ID"], "12"),
        ({"uid": ["jdoe"]}, ["uid"], "jdoe"),
        ({"symbol": "A", "date": "2025-05-13"}, ["symbol", "date"], "A/2025-05-13"),
        ({"a": {"id": " x "}}, ["a.id"], "x"),
        ({"a.id": "y", "a": {"id": "x"}}, ["a.id"], "y"),
    ],
)
def test_a_record_is_known_by_its_identifying_fields(
    record: dict[str, Any], fields: list[str], identity: str
) -> None:
    assert identify(record, fields) == identity


@pytest.mark.parametrize(
    "record",
    [{}, {"id": None}, {"id": ""}, {"id": " "}, {"id": True}, {"id": 1.5}, {"id": ["a", "b"]},
     {"id": "x\x00"}, {"id": "x" * 513}],
)  # fmt: skip
def test_a_record_without_identity_says_so(record: dict[str, Any]) -> None:
    with pytest.raises(UnidentifiedRecordError):
        identify(record, ["id"])


@pytest.mark.covers("C-11")
def test_an_overlap_is_read_again_below_the_mark() -> None:
    times = Overlap(CursorKind.TIMESTAMP, span=timedelta(minutes=5))
    assert times.below("2026-03-01T00:02:00Z") == "2026-02-28T23:57:00.000000Z"
    assert times.below("2026-03-01T01:02:00+01:00") == "2026-02-28T23:57:00.000000Z"
    numbers = Overlap(CursorKind.INTEGER, count=100)
    assert [numbers.below("1000"), numbers.below("50")] == ["900", "0"]


def test_marks_are_compared_in_their_own_terms() -> None:
    assert highest(CursorKind.INTEGER, ["9", None, "10", "x"]) == "10"
    times = ["2026-03-01T10:00:00Z", "2026-03-01T10:30:00+01:00", "yesterday", None]
    assert highest(CursorKind.TIMESTAMP, times) == "2026-03-01T10:00:00Z"
    assert highest(CursorKind.INTEGER, []) is None
    assert not is_mark(CursorKind.INTEGER, "-1")
