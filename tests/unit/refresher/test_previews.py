"""Rows for people: texts of the database, masked where a refresh would mask them."""

from datetime import date
from uuid import UUID

import pytest

from refresher.domain.catalog import Column, TypeKind
from refresher.domain.config import MaskMethod
from refresher.domain.masking import mask_function
from refresher.domain.plan import Mask
from refresher.domain.previews import FETCHED_CHARACTERS, NOT_SHOWN, PreviewColumn, preview_of

KEY = b"k" * 32


def column(name: str, kind: TypeKind = TypeKind.TEXT) -> Column:
    return Column(name=name, type=kind.value, kind=kind)


def mask(name: str, kind: TypeKind, method: MaskMethod) -> Mask:
    return Mask(
        column=name, kind=kind, type=kind.value, length=None, mask_class="person", method=method
    )


def shown(text: str | None, kind: TypeKind, method: MaskMethod) -> str | None:
    found = preview_of([column("c", kind)], [(text,)], masks=[mask("c", kind, method)], key=KEY)
    return found.rows[0][0]


@pytest.mark.covers("C-43")
@pytest.mark.parametrize(
    ("text", "kind", "method", "value"),
    [
        ("Mary O'Neil", TypeKind.TEXT, MaskMethod.SHAPE, "Mary O'Neil"),
        ("4711", TypeKind.INTEGER, MaskMethod.NUMBER, 4711),
        ("1984-02-29", TypeKind.DATE, MaskMethod.DAY, date(1984, 2, 29)),
        (
            "6f1c0d6e-7e0a-4f43-9a51-0c6a3f0f7a11",
            TypeKind.UUID,
            MaskMethod.SHAPE,
            UUID("6f1c0d6e-7e0a-4f43-9a51-0c6a3f0f7a11"),
        ),
    ],
)
def test_a_masked_value_is_the_one_that_a_refresh_writes(
    text: str, kind: TypeKind, method: MaskMethod, value: object
) -> None:
    refreshed = mask_function(mask("c", kind, method), KEY)(value)
    assert shown(text, kind, method) == str(refreshed)
    assert shown(text, kind, method) != text


@pytest.mark.covers("C-43")
@pytest.mark.parametrize(
    ("text", "kind", "method"),
    [
        ("infinity", TypeKind.DATE, MaskMethod.DAY),
        ("0044-03-15 BC", TypeKind.DATE, MaskMethod.DAY),
        ("\\xzz", TypeKind.BINARY, MaskMethod.SHAPE),
        ("a" * (FETCHED_CHARACTERS + 1), TypeKind.TEXT, MaskMethod.SHAPE),
    ],
)
def test_what_cannot_be_masked_is_not_shown(text: str, kind: TypeKind, method: MaskMethod) -> None:
    assert shown(text, kind, method) == NOT_SHOWN


def test_nulls_stay_and_plain_values_pass_cut() -> None:
    found = preview_of([column("a"), column("b")], [(None, "x" * 300)], masks=[], key=b"")
    assert found.columns[0] == PreviewColumn(name="a", type="text", mask_class=None)
    assert found.rows == ((None, "x" * 199 + "…"),)
