"""Masks: another value of the same type, length and shape; equal for equal, different for
different."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refresher.domain.catalog import TypeKind
from refresher.domain.config import MaskMethod
from refresher.domain.masking import Masker, mask_function, mask_number, read_path
from refresher.domain.permutation import Permutation
from refresher.domain.plan import Mask
from refresher.domain.shapes import mask_text, text_mask
from refresher.domain.verification import MaskProof

KEY = b"k" * 32
OTHER = b"o" * 32


def mask(kind: TypeKind, method: MaskMethod = MaskMethod.SHAPE, **facts: object) -> Mask:
    values: dict[str, object] = {
        "column": "c",
        "kind": kind,
        "type": "text",
        "length": None,
        "mask_class": "personal",
        "method": method,
    }
    return Mask(**(values | facts))  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [2, 3, 10, 97, 1000])
def test_a_permutation_moves_every_number_and_loses_none(size: int) -> None:
    permutation = Permutation(KEY)
    image = [permutation.move(number, size, b"t") for number in range(size)]
    assert sorted(image) == list(range(size))
    assert all(number != moved for number, moved in enumerate(image))


@pytest.mark.parametrize("size", [2, 3, 10, 97, 1000, 9 * 10**18])
def test_many_numbers_are_moved_as_each_of_them(size: int) -> None:
    permutation = Permutation(KEY)
    numbers = [size - 1 - number * max(size // 50, 1) for number in range(min(size, 50))]
    moved = permutation.move_many(np.array(numbers, np.uint64), size, b"t")
    assert moved.tolist() == [permutation.move(number, size, b"t") for number in numbers]


@pytest.mark.covers("C-30")
@pytest.mark.parametrize(
    "text",
    ["Bob", "O'Neil-Smith", "mary.smith@example.org", "+49 151 2345-678", "Jürgen", "王小明", "7"],
)
def test_a_text_keeps_its_shape(text: str) -> None:
    masked = mask_text(text, KEY)
    assert masked != text
    assert len(masked) == len(text)
    assert len(masked.encode()) == len(text.encode())
    for before, after in zip(text, masked, strict=True):
        assert before.isalpha() == after.isalpha()
        assert before.isdigit() == after.isdigit()
        if not before.isalnum():
            assert before == after


TEXTS = st.lists(
    st.text(st.sampled_from("abZ09 -@éÜ王٣\0\U00010400"), max_size=40), max_size=8, unique=True
)


@settings(max_examples=30, deadline=None)
@given(TEXTS)
def test_texts_are_masked_together_as_each_alone(texts: list[str]) -> None:
    masks = text_mask(KEY).mask_texts(texts)
    assert masks == [mask_text(text, KEY) for text in texts]
    assert [len(mask) for mask in masks] == [len(text) for text in texts]
    assert [len(mask.encode()) for mask in masks] == [len(text.encode()) for text in texts]
    assert len(set(masks)) == len(texts)
    for text, masked in zip(texts, masks, strict=True):
        assert (masked != text) == text_mask(KEY).has_alphabet(text)


@pytest.mark.parametrize("form", ["{:02}", "a{:02}", "{:02}é", "--{:02}", "{:02}" + "x" * 40])
def test_all_texts_of_a_shape_change_places_among_themselves(form: str) -> None:
    texts = [form.format(number) for number in range(100)]
    masks = text_mask(KEY).mask_texts(texts)
    assert len(set(masks)) == 100
    if not any(character.isalpha() for character in form):
        assert set(masks) == set(texts)


def test_long_texts_are_masked_to_the_end() -> None:
    text = "Ann Ünal, 12! " * 300
    masked = mask_text(text, KEY)
    pieces = [(text[at : at + 14], masked[at : at + 14]) for at in range(0, len(text), 14)]
    assert all(before != after and after[3] == " " for before, after in pieces)


@given(st.integers(0, 2**31 - 1))
def test_a_number_keeps_its_digits_and_its_type(number: int) -> None:
    masked = mask_number(number, KEY, largest=2**31 - 1)
    assert masked != number
    assert len(str(masked)) == len(str(number))
    assert 0 <= masked < 2**31


@given(st.integers(-(2**31), -1))
def test_a_negative_number_stays_negative(number: int) -> None:
    masked = mask_number(number, KEY, largest=2**31 - 1)
    assert masked < 0
    assert masked != number


def test_another_key_gives_other_masks() -> None:
    assert mask_text("mary.smith@example.org", KEY) != mask_text("mary.smith@example.org", OTHER)


def test_the_same_class_masks_alike_in_every_column() -> None:
    first = mask_function(mask(TypeKind.TEXT, column="email"), KEY)
    second = mask_function(mask(TypeKind.TEXT, column="contact", type="varchar(80)"), KEY)
    third = mask_function(mask(TypeKind.TEXT, mask_class="another"), KEY)
    assert first("mary@example.org") == second("mary@example.org")
    assert first("mary@example.org") != third("mary@example.org")


def test_a_day_stays_in_its_year() -> None:
    function = mask_function(mask(TypeKind.DATE, MaskMethod.DAY), KEY)
    days = [date(2024, 1, 1), date(2024, 2, 29), date(2024, 12, 31)]
    masked = [function(day) for day in days]
    assert all(a != b and b.year == 2024 for a, b in zip(days, masked, strict=True))
    moment = datetime(2024, 2, 29, 12, tzinfo=UTC)
    changed = mask_function(mask(TypeKind.TIMESTAMPTZ, MaskMethod.DAY), KEY)(moment)
    assert (changed != moment, changed.year, changed.tzinfo) == (True, 2024, UTC)


def test_decimals_uuids_and_bytes_keep_their_form() -> None:
    amount = mask_function(mask(TypeKind.NUMERIC, MaskMethod.NUMBER), KEY)(Decimal("123.40"))
    assert amount != Decimal("123.40")
    assert len(str(amount)) == 6
    identifier = UUID("12345678-1234-4234-8234-123456789abc")
    masked = mask_function(mask(TypeKind.UUID), KEY)(identifier)
    assert (masked != identifier, masked.version) == (True, 4)
    assert len(mask_function(mask(TypeKind.BINARY), KEY)(b"12345")) == 5


def test_json_is_masked_leaf_by_leaf_and_paths_say_otherwise() -> None:
    function = mask_function(
        mask(
            TypeKind.JSON,
            json_paths=(
                ("$.id", "public", MaskMethod.KEEP, None),
                ("$.contact.phones[*]", "phone", MaskMethod.SHAPE, None),
                ("$.note", "note", MaskMethod.FIXED, "removed"),
            ),
        ),
        KEY,
    )
    document = (
        '{"id": "A1", "name": "Ann", "price": 1.10, "ok": true, "gone": null, '
        '"contact": {"phones": ["123-4567", "89"]}, "note": "call her", "age": 41}'
    )
    text = function(document)
    masked = json.loads(text)
    assert masked["id"] == "A1"
    assert masked["name"] != "Ann"
    assert (masked["ok"], masked["gone"], masked["note"]) == (True, None, "removed")
    assert [len(phone) for phone in masked["contact"]["phones"]] == [8, 2]
    assert masked["contact"]["phones"][0] != "123-4567"
    assert masked["age"] != 41
    # Two digits behind the point stay two digits.
    price = text.partition('"price": ')[2].partition(",")[0]
    assert (len(price), price != "1.10") == (4, True)


@pytest.mark.parametrize("path", ["contact", "$contact", "$.a[", "$.a[x]"])
def test_a_path_that_cannot_be_read_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"\$"):
        read_path(path)


def test_a_masker_counts_what_it_did() -> None:
    masker = Masker(mask(TypeKind.TEXT), KEY)
    assert masker(None) is None
    assert masker("--") == "--"
    assert masker("Ann") != "Ann"
    assert masker.proof == MaskProof(masked=1, empty=2, unchanged=0)
    nothing = Masker(mask(TypeKind.TEXT, MaskMethod.NULL), KEY)
    assert nothing("Ann") is None
    fixed = Masker(mask(TypeKind.TEXT, MaskMethod.FIXED, value="x"), KEY)
    assert fixed("Ann") == "x"
