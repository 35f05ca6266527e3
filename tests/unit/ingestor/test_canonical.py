import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.domain.canonical import canonical_json, content_hash

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=20),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


def test_keys_are_sorted_and_text_is_utf8_without_spaces() -> None:
    assert canonical_json({"b": [1, None], "a": {"é": "x y"}}) == (
        '{"a":{"é":"x y"},"b":[1,null]}'.encode()
    )


def test_the_hash_is_sha256_of_the_text() -> None:
    assert content_hash(b"{}") == hashlib.sha256(b"{}").hexdigest()


@pytest.mark.parametrize("value", [2**64, b"bytes", "half a character \ud800"])
def test_what_json_does_not_have_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        canonical_json({"x": value})


@given(st.dictionaries(st.text(max_size=20), JSON))
def test_the_order_of_keys_makes_no_difference(value: dict[str, object]) -> None:
    reversed_keys = dict(reversed(list(value.items())))
    assert canonical_json(value) == canonical_json(reversed_keys)
