"""Headers survive the way through JSON byte by byte."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.bus.raw_headers import as_sent, pack, unpack

HEADERS = st.lists(st.tuples(st.text(), st.none() | st.binary()))


@given(HEADERS)
def test_what_is_packed_comes_back_in_order(headers: list[tuple[str, bytes | None]]) -> None:
    stored = orjson.loads(orjson.dumps(pack(headers)))

    assert unpack(stored) == headers
    assert as_sent(stored) == headers


def test_nothing_that_postgresql_cannot_store_is_left_in_it() -> None:
    stored = orjson.dumps(pack([("nul\x00", b"\x00"), ("half\ud83d", b"\xff")]))

    assert stored == (
        b'{"base64":[["bnVsAA==","AA=="],["aGFsZu2gvQ==","/w=="]]}'
    )  # fmt: skip


@pytest.mark.parametrize("name", ["x-note", "base64"])
def test_texts_by_name_are_sent_as_texts_whatever_they_are_called(name: str) -> None:
    assert as_sent({name: "ä"}) == [(name, b"\xc3\xa4")]
