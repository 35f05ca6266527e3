"""A keyed permutation of the numbers below any size, in which no number stays where it is.

It makes masks that keep values different from each other (unique keys survive) and different from
what they were. `translate` is a shift, taken to a secret order of the numbers and back: a shift has
no fixed point, so neither has its conjugate.
"""

import hmac
from math import isqrt

_ROUNDS = 6
_DIGEST = "sha256"


def keyed_number(key: bytes, message: bytes) -> int:
    """Return 128 bits that only the key's holder can compute."""
    return int.from_bytes(hmac.digest(key, message, _DIGEST)[:16], "big")


def translate(value: int, size: int, *, key: bytes, tweak: bytes) -> int:
    """Return another number below `size`; equal inputs give equal outputs, others differ.

    Args:
        value: From 0 to `size` - 1.
        size: How many numbers there are; with one only, it stays.
        key: The secret.
        tweak: What the permutation is for; every tweak has one of its own.
    """
    if size < 2:  # noqa: PLR2004 - one number has nowhere to go
        return value
    step = 1 + keyed_number(key, b"step\0" + tweak) % (size - 1)
    place = _walk(value, size, key, tweak, forth=True)
    return _walk((place + step) % size, size, key, tweak, forth=False)


def _walk(value: int, size: int, key: bytes, tweak: bytes, *, forth: bool) -> int:
    """Permute; what falls into the gap between `size` and the square above it goes round again."""
    side = isqrt(size - 1) + 1
    while True:
        value = _feistel(value, side, key, tweak, forth=forth)
        if value < size:
            return value


def _feistel(value: int, side: int, key: bytes, tweak: bytes, *, forth: bool) -> int:
    left, right = divmod(value, side)
    for number in range(_ROUNDS) if forth else reversed(range(_ROUNDS)):
        if forth:
            left, right = right, (left + _round(number, right, key, tweak)) % side
        else:
            left, right = (right - _round(number, left, key, tweak)) % side, left
    return left * side + right


def _round(number: int, half: int, key: bytes, tweak: bytes) -> int:
    return keyed_number(key, b"%d\0%d\0" % (number, half) + tweak)
