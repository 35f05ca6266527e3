"""A keyed permutation of the numbers below any size, in which no number stays where it is.

It makes masks that keep values different from each other (unique keys survive) and different from
what they were. A number is taken to its place in a secret order (a Feistel network whose round
functions are tables drawn from the key), moved on by a secret step, and taken back: a shift has no
fixed point, so neither has this (docs/decisions/0017).
"""

import hashlib
import hmac
from functools import lru_cache
from math import isqrt

WIDE = 2**64
"""From so many numbers on, two that meet by chance are not to be feared."""

_ROUNDS = 6
_BITS = 11
_ENTRIES = 2**_BITS
_MASK = _ENTRIES - 1
_PARTS = 3  # of a half, which has up to 32 bits
_WORD = 8
_DIGEST = "sha256"


def keyed_number(key: bytes, message: bytes) -> int:
    """Return 128 bits that only the key's holder can compute."""
    return int.from_bytes(hmac.digest(key, message, _DIGEST)[:16], "big")


class Permutation:
    """The permutations of one key: one per size and tweak."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._tables = [_tables(key, number) for number in range(_ROUNDS)]
        self._constants: dict[tuple[int, bytes], tuple[int, int, int]] = {}

    def move(self, value: int, size: int, tweak: bytes) -> int:
        """Return another number below `size`; equal inputs give equal outputs, others differ.

        Args:
            value: From 0 to `size` - 1.
            size: How many numbers there are; with one only, it stays.
            tweak: What the permutation is for; every tweak has one of its own.
        """
        if size < 2:  # noqa: PLR2004 - one number has nowhere to go
            return value
        if size > WIDE:
            message = b"%d\0%d\0" % (value, size) + tweak
            return int.from_bytes(hashlib.blake2b(message, key=self._key).digest(), "big") % size
        constants = self._constants.get((size, tweak))
        if constants is None:
            constants = self._constants[size, tweak] = self._draw(size, tweak)
        side, salt, step = constants
        place = self._forth(value, side, salt)
        # What falls between `size` and the square above it goes round again.
        while place >= size:
            place = self._forth(place, side, salt)
        place = self._back((place + step) % size, side, salt)
        while place >= size:
            place = self._back(place, side, salt)
        return place

    def _draw(self, size: int, tweak: bytes) -> tuple[int, int, int]:
        number = keyed_number(self._key, b"%d\0" % size + tweak)
        return isqrt(size - 1) + 1, number >> 64, 1 + number % (size - 1)

    def _forth(self, value: int, side: int, salt: int) -> int:
        left, right = divmod(value, side)
        for low, middle, high in self._tables:
            mixed = low[right & _MASK] ^ middle[right >> 11 & _MASK] ^ high[right >> 22] ^ salt
            left, right = right, (left + mixed) % side
        return left * side + right

    def _back(self, value: int, side: int, salt: int) -> int:
        left, right = divmod(value, side)
        for low, middle, high in reversed(self._tables):
            mixed = low[left & _MASK] ^ middle[left >> 11 & _MASK] ^ high[left >> 22] ^ salt
            left, right = (right - mixed) % side, left
        return left * side + right


@lru_cache(maxsize=64)
def permutation(key: bytes) -> Permutation:
    """Return the permutations of a key; their tables are drawn once."""
    return Permutation(key)


def _tables(key: bytes, number: int) -> tuple[tuple[int, ...], ...]:
    """Return one round's tables: what each part of a half contributes."""
    seed = hmac.digest(key, b"round\0%d" % number, _DIGEST)
    stream = hashlib.shake_256(seed).digest(_PARTS * _ENTRIES * _WORD)
    words = [
        int.from_bytes(stream[place : place + _WORD], "big")
        for place in range(0, len(stream), _WORD)
    ]
    return tuple(tuple(words[part * _ENTRIES : (part + 1) * _ENTRIES]) for part in range(_PARTS))
