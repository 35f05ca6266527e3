"""How a rejected message is shown to people."""

import pytest

from console.adapters.dead_letters import body_of
from console.ports.dead_letters import BODY_BYTES


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (b'{"b": 1}', "json", '{\n  "b": 1\n}'),
        (b"<script>", "text", "<script>"),
        (b"NaN", "json", "NaN"),
        (b"\xff\x00\x10", "binary", "ff00 10"),
        (b"a\0b", "binary", "6100 62"),
        (b"[" * 2000, "text", "[" * 2000),
        (None, "empty", ""),
    ],
)
def test_a_body_is_shown_in_the_form_that_it_has(value: bytes | None, form: str, text: str) -> None:
    body = body_of(value, len(value or b""))
    assert (body.form, body.text) == (form, text)


def test_a_cut_goes_through_no_character() -> None:
    cut = ("ü" * BODY_BYTES).encode()[: BODY_BYTES - 1]
    body = body_of(cut, 2 * BODY_BYTES)
    assert (body.form, body.shown_bytes, body.size) == ("text", BODY_BYTES - 1, 2 * BODY_BYTES)
    assert body.text == "ü" * (BODY_BYTES // 2 - 1)
