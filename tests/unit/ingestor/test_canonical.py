import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.domain.canonical import canonical_json, content_hash

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


def test_keys_are_sorted_and_text_is_utf8_without_spaces() -> None:
    assert canonical_json({"b": [1, None], "a": {"é": "x y"}}) == (
        '{"a":{"é":"x y"},"b":[1,null]}'.encode()
    )


def test_the_hash_is_sha256_of_the_text() -> None:
    assert content_hash(b"{}") == hashlib.sha256(b"{}").hexdigest()


def test_a_number_that_json_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"x": float("nan")})


@given(st.dictionaries(st.text(max_size=20), JSON))
def test_the_order_of_keys_makes_no_difference(value: dict[str, object]) -> None:
    reversed_keys = dict(reversed(list(value.items())))
    assert canonical_json(value) == canonical_json(reversed_keys)
