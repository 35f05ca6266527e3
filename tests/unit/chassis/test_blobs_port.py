import pytest

from chassis.blobs.port import content_key


@pytest.mark.covers("E-08")
def test_a_key_is_derived_from_the_content_alone() -> None:
    assert content_key(b"abc") == (
        "raw/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    assert content_key(b"abd") != content_key(b"abc")
