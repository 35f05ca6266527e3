"""Masks of whole columns of numbers, days, moments and UUIDs: what `masking` says, many at once.

Each function returns an array of the same length. Values that no array can hold a mask for (beyond
the calendar, or beyond the type) are reported, and masked one by one.
"""

import threading
from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from refresher.domain.cipher import WORD, BlockCipher, Bytes
from refresher.domain.permutation import permutation

Numbers: TypeAlias = NDArray[np.int64]
Rows: TypeAlias = NDArray[np.intp]

_TENS = np.array([10**power for power in range(1, 20)], np.uint64)
_FIRST_YEAR, _LAST_YEAR = 1, 9999
_EPOCH_YEAR = 1970
_DAY = "datetime64[D]"
_YEAR = "datetime64[Y]"
_MOMENT = "datetime64[us]"
_MICROSECONDS = 86_400_000_000
_FAR = 3_000_000
"""Days from 1970 that are beyond every year we mask; keeps the calendar from overflowing."""

_BLOCK = 16
_VARIANT, _VARIANT_BITS = 0x80, 0xC0
_VERSION_BYTE, _VARIANT_BYTE = 6, 8
_LAST_VERSION = 5


def mask_numbers(numbers: Numbers, key: bytes, largest: int) -> tuple[Numbers, Rows]:
    """Return other numbers of the same sign and as many digits, and the rows without one."""
    magnitudes = np.abs(numbers).view(np.uint64)
    beyond = np.flatnonzero(magnitudes > np.uint64(largest))
    digits = np.searchsorted(_TENS, magnitudes, side="right") + 1
    # Of one digit, 0 is among the masks of numbers that are not negative, and of no other.
    kinds = digits * 2 + ((digits == 1) & (numbers < 0))
    masked = numbers.copy()
    for kind in np.flatnonzero(np.bincount(kinds)).tolist():
        count, is_negative = divmod(kind, 2)
        low = 10 ** (count - 1) if count > 1 or is_negative else 0
        high = min(10**count - 1, largest)
        rows = np.flatnonzero((kinds == kind) & (magnitudes <= np.uint64(largest)))
        places = magnitudes[rows] - np.uint64(low)
        tweak = b"number\0%d\0%d" % (count, high)
        moved = permutation(key).move_many(places, high - low + 1, tweak) + np.uint64(low)
        masked[rows] = np.where(numbers[rows] < 0, -moved.view(np.int64), moved.view(np.int64))
    return masked, beyond


def mask_days(days: Numbers, key: bytes) -> tuple[Numbers, Rows]:
    """Return other days of the same years, counted from 1970, and the rows without one."""
    is_far = np.abs(days) > _FAR
    years, firsts, lengths = _calendar(np.where(is_far, 0, days))

    def move(places: Numbers, size: int, year: int) -> Numbers:
        tweak = b"day\0%d" % year
        return permutation(key).move_many(places.view(np.uint64), size, tweak).view(np.int64)

    masked = _in_each_year(days, years, (firsts, lengths), move)
    return masked, np.flatnonzero(is_far | _outside(years))


def mask_moments(moments: Numbers, key: bytes) -> tuple[Numbers, Rows]:
    """Return other moments of the same years, in microseconds from 1970, and rows without one."""
    is_far = np.abs(moments // _MICROSECONDS) > _FAR
    years, firsts, lengths = _calendar(np.where(is_far, 0, moments // _MICROSECONDS))

    def move(places: Numbers, size: int, year: int) -> Numbers:
        tweak = b"moment\0%d" % year
        return permutation(key).move_many(places.view(np.uint64), size, tweak).view(np.int64)

    spans = (firsts * _MICROSECONDS, lengths * _MICROSECONDS)
    masked = _in_each_year(np.where(is_far, 0, moments), years, spans, move)
    return masked, np.flatnonzero(is_far | _outside(years))


def _calendar(days: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Return each day's year, that year's first day, and how many days it has."""
    years = days.astype(_DAY).astype(_YEAR)
    firsts = years.astype(_DAY).astype(np.int64)
    lengths = (years + 1).astype(_DAY).astype(np.int64) - firsts
    return years.astype(np.int64) + _EPOCH_YEAR, firsts, lengths


def _outside(years: Numbers) -> NDArray[np.bool_]:
    outside: NDArray[np.bool_] = (years < _FIRST_YEAR) | (years > _LAST_YEAR)
    return outside


def _in_each_year(
    values: Numbers,
    years: Numbers,
    spans: tuple[Numbers, Numbers],
    move: Callable[[Numbers, int, int], Numbers],
) -> Numbers:
    firsts, sizes = spans
    masked = values.copy()
    for year in np.unique(years[~_outside(years)]).tolist():
        rows = np.flatnonzero(years == year)
        places = values[rows] - firsts[rows]
        masked[rows] = firsts[rows] + move(places, int(sizes[rows[0]]), year)
    return masked


def mask_uuids(uuids: Bytes, key: bytes) -> Bytes:
    """Return other UUIDs, 16 bytes a row, of the same version."""
    masked = _uuids(key, threading.get_ident()).blocks(uuids.view(WORD)).view(np.uint8).copy()
    versions = uuids[:, _VERSION_BYTE] >> 4
    is_known = (uuids[:, _VARIANT_BYTE] & _VARIANT_BITS) == _VARIANT
    is_known &= (versions >= 1) & (versions <= _LAST_VERSION)
    masked[is_known, _VERSION_BYTE] &= 0x0F
    masked[is_known, _VERSION_BYTE] |= versions[is_known] << 4
    masked[is_known, _VARIANT_BYTE] &= 0xFF ^ _VARIANT_BITS
    masked[is_known, _VARIANT_BYTE] |= _VARIANT
    return masked


@lru_cache(maxsize=64)
def _uuids(key: bytes, _: int) -> BlockCipher:
    return BlockCipher(key, b"uuids")
