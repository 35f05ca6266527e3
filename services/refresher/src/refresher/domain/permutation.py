"""A keyed permutation of the numbers below any size, in which no number stays where it is.

It makes masks that keep values different from each other (unique keys survive) and different from
what they were. A number is taken to its place in a secret order (a Feistel network whose rounds
are AES), moved on by a secret step, and taken back: a shift has no fixed point, so neither has
this (docs/decisions/0017).
"""

import hashlib
import hmac
import threading
from functools import lru_cache
from math import isqrt
from typing import NamedTuple

import numpy as np

from refresher.domain.cipher import BlockCipher, Words

WIDE = 2**64
"""From so many numbers on, two that meet by chance are not to be feared."""

MANY_AT_ONCE = 9 * 10**18
"""The largest size that `move_many` takes: twice as much still fits a word."""

_ROUNDS = 6


class _Order(NamedTuple):
    """What a size and a tweak amount to."""

    size: int
    side: int
    salts: tuple[int, int]
    step: int


class Permutation:
    """The permutations of one key: one per size and tweak."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._cipher = BlockCipher(key, b"numbers")
        self._orders: dict[tuple[int, bytes], _Order] = {}

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
        order = self._order(size, tweak)
        place = self._forth(value, order)
        # What falls between `size` and the square above it goes round again.
        while place >= size:
            place = self._forth(place, order)
        place = self._back((place + order.step) % size, order)
        while place >= size:
            place = self._back(place, order)
        return place

    def move_many(self, values: Words, size: int, tweak: bytes) -> Words:
        """Return what `move` makes of each value; at the most for `MANY_AT_ONCE` numbers."""
        if size < 2:  # noqa: PLR2004 - as above
            return values
        order = self._order(size, tweak)
        places = self._forth_many(values, order)
        while (outside := np.flatnonzero(places >= size)).size:
            places[outside] = self._forth_many(places[outside], order)
        places += np.uint64(order.step)
        np.minimum(places, places - np.uint64(size), out=places)
        places = self._back_many(places, order)
        while (outside := np.flatnonzero(places >= size)).size:
            places[outside] = self._back_many(places[outside], order)
        return places

    def _order(self, size: int, tweak: bytes) -> _Order:
        order = self._orders.get((size, tweak))
        if order is None:
            drawn = hmac.digest(self._key, b"%d\0" % size + tweak, "sha512")
            words = [int.from_bytes(drawn[place : place + 8], "big") for place in (0, 8)]
            step = 1 + int.from_bytes(drawn[16:40], "big") % (size - 1)
            order = _Order(size, isqrt(size - 1) + 1, (words[0], words[1]), step)
            self._orders[size, tweak] = order
        return order

    def _forth(self, value: int, order: _Order) -> int:
        left, right = divmod(value, order.side)
        first, second = order.salts
        for number in range(_ROUNDS):
            mixed = self._cipher.word(right ^ first, second ^ number)
            left, right = right, (left + mixed) % order.side
        return left * order.side + right

    def _back(self, value: int, order: _Order) -> int:
        left, right = divmod(value, order.side)
        first, second = order.salts
        for number in reversed(range(_ROUNDS)):
            mixed = self._cipher.word(left ^ first, second ^ number)
            left, right = (right - mixed) % order.side, left
        return left * order.side + right

    def _forth_many(self, values: Words, order: _Order) -> Words:
        side = np.uint64(order.side)
        left, right = np.divmod(values, side)
        for number in range(_ROUNDS):
            left += self._mixed(right, order, number)
            left, right = right, np.minimum(left, left - side)
        return left * side + right

    def _back_many(self, values: Words, order: _Order) -> Words:
        side = np.uint64(order.side)
        left, right = np.divmod(values, side)
        for number in reversed(range(_ROUNDS)):
            right -= self._mixed(left, order, number)
            # Below nothing a word becomes huge; with the side added it is what it should be.
            left, right = np.minimum(right, right + side), left
        return left * side + right

    def _mixed(self, half: Words, order: _Order, number: int) -> Words:
        """Return a round's function of halves, below the side."""
        words = np.empty((len(half), 2), half.dtype)
        np.bitwise_xor(half, np.uint64(order.salts[0]), out=words[:, 0])
        words[:, 1] = order.salts[1] ^ number
        mixed: Words = self._cipher.blocks(words)[:, 0] % np.uint64(order.side)
        return mixed


def permutation(key: bytes) -> Permutation:
    """Return the permutations of a key, which remember what they have worked out; one set a
    thread.
    """
    return _permutation(key, threading.get_ident())


@lru_cache(maxsize=64)
def _permutation(key: bytes, _: int) -> Permutation:
    return Permutation(key)
