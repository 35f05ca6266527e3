"""Masks columns where they lie in a stream: types whose masks are as long as their values."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from refresher.domain.catalog import TypeKind
from refresher.domain.cipher import Bytes
from refresher.domain.columns import (
    Numbers,
    Rows,
    mask_days,
    mask_moments,
    mask_numbers,
    mask_uuids,
)
from refresher.domain.config import MaskMethod
from refresher.domain.masking import Masker, largest_of
from refresher.domain.shapes import text_mask

Places: TypeAlias = NDArray[np.int64]

_WIDTHS = {"int2": 2, "int4": 4, "int8": 8}
_DAYS_TO_2000 = 10_957
_MICROSECONDS_TO_2000 = _DAYS_TO_2000 * 86_400_000_000
_UUID_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of a column's values."""

    masked: int
    empty: int = 0
    """With nothing in them to hide."""

    left: Rows = field(default_factory=lambda: np.empty(0, np.intp))
    """Those that cannot be masked where they lie."""


InPlace: TypeAlias = Callable[[Bytes, Places, Places], Done]
"""Masks values that begin here and are so long; the buffer goes on behind the last."""


def in_place(masker: Masker) -> InPlace | None:
    """Return how a column is masked where it lies; None when its masks vary in length."""
    key, mask = masker.key, masker.mask
    found: InPlace | None = None
    if mask.method not in (MaskMethod.SHAPE, MaskMethod.NUMBER, MaskMethod.DAY):
        return found
    match mask.kind:
        case TypeKind.TEXT:
            found = _texts(key)
        case TypeKind.INTEGER:
            largest = largest_of(mask)
            width = _WIDTHS[mask.base]
            found = _fixed(width, 0, lambda numbers: mask_numbers(numbers, key, largest))
        case TypeKind.DATE:
            found = _fixed(4, _DAYS_TO_2000, lambda days: mask_days(days, key))
        case TypeKind.TIMESTAMP | TypeKind.TIMESTAMPTZ:
            found = _fixed(8, _MICROSECONDS_TO_2000, lambda moments: mask_moments(moments, key))
        case TypeKind.UUID:
            found = _uuids(key)
    return found


def _texts(key: bytes) -> InPlace:
    def apply(buffer: Bytes, begins: Places, lengths: Places) -> Done:
        masked, empty = text_mask(key).mask_buffer(buffer, begins, lengths)
        return Done(masked=masked, empty=empty)

    return apply


def _fixed(width: int, epoch: int, function: Callable[[Numbers], tuple[Numbers, Rows]]) -> InPlace:
    """Return the masking of whole numbers of a width, counted from an epoch."""

    def apply(buffer: Bytes, begins: Places, _: Places) -> Done:
        numbers = np.ndarray((len(buffer) - width + 1,), f">i{width}", buffer, strides=(1,))
        values = numbers[begins].astype(np.int64)
        # The ends of the type stand for infinity, and must not overflow.
        moved = np.where(np.abs(values) > np.iinfo(np.int64).max - epoch, values, values + epoch)
        masked, left = function(moved)
        masked -= epoch
        masked[left] = values[left]
        numbers[begins] = masked
        return Done(masked=int(np.count_nonzero(masked != values)), left=left)

    return apply


def _uuids(key: bytes) -> InPlace:
    def apply(buffer: Bytes, begins: Places, _: Places) -> Done:
        windows = np.ndarray(
            (len(buffer) - _UUID_BYTES + 1,), f"V{_UUID_BYTES}", buffer, strides=(1,)
        )
        values = windows[begins].view(np.uint8).reshape(-1, _UUID_BYTES)
        masked = mask_uuids(values, key)
        windows[begins] = masked.view(f"V{_UUID_BYTES}")[:, 0]
        return Done(masked=int(np.count_nonzero((masked != values).any(axis=1))))

    return apply
