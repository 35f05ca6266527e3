"""Values as short texts."""

from console.domain.values import cut, shown


def test_texts_stay_and_the_rest_is_json() -> None:
    assert shown("a", 10) == "a"
    assert shown(None, 10) is None
    assert shown(["ü", 1], 10) == '["ü", 1]'
    assert shown({"a": "long enough"}, 8) == '{"a": "…'
    assert cut("12345", 5) == "12345"
