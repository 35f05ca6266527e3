"""Moves the characters of many texts at once: each to another of its alphabet, by the key.

The characters that are masked are dealt to two hands in turn. Each hand is moved on by a keyed
function of the other, several times, then one hand by a step that is never nothing, and everything
is taken back: a Feistel network around a shift, so no two texts of a shape meet and none stays as
it was (docs/decisions/0017). All of it is done for whole arrays; a step costs a few nanoseconds a
text.
"""

import random

import numpy as np
from numpy.typing import NDArray

from refresher.domain.cipher import WORD, BlockCipher, Bytes, Words

_BLOCK = 16
_PAIR = np.dtype("<u2")
_BYTE = np.uint64(8)
_EVERY = np.uint64(0x0101010101010101)
_TWICE = np.uint16(0x0101)
_POSITIONS, _ROUNDS, _ALONE = 1, 2, 16
"""What constants are for; rounds have a label each, and so have alphabets."""


class _Hand:
    """Every second character of each text; neighbours share a place, since one is not masked."""

    def __init__(self, symbols: Bytes, radices: Bytes) -> None:
        self.symbols = _halve(symbols)
        self.radices = _halve(radices)
        self.spans = self.radices.astype(_PAIR)
        self.is_used = np.minimum(self.radices, 1)

    def forth(self, steps: Bytes) -> None:
        """Move on by less than an alphabet."""
        self.symbols += steps
        np.minimum(self.symbols, self.symbols - self.radices, out=self.symbols)

    def back(self, steps: Bytes) -> None:
        """Take that back: below nothing a byte becomes large, and small again with the size."""
        self.symbols -= steps
        np.minimum(self.symbols, self.symbols + self.radices, out=self.symbols)


class Shuffle:
    """The moves of one key."""

    def __init__(self, key: bytes) -> None:
        self._cipher = BlockCipher(key, b"texts")
        self._tiles: dict[tuple[int, int], Words] = {}
        self._alone: dict[int, Bytes] = {}

    def move(self, symbols: Bytes, radices: Bytes, shapes: Bytes) -> Bytes:
        """Return other numbers for the masked characters of texts, and the others as they are.

        Args:
            symbols: Each character's number in its alphabet. A row is a text; its width is a power
                of two from 16 on.
            radices: The size of its alphabet, 128 at the most; 0 for a character that stays.
            shapes: What all texts of a shape have in common: rows of whole blocks.
        """
        odd = _every_second(radices)
        first = _Hand(symbols & odd, radices & odd)
        second = _Hand(symbols & ~odd, radices & ~odd)
        salts = self._digest(shapes)
        to_and_fro = ((second, first, 0), (first, second, 1), (second, first, 2))
        for hand, other, number in to_and_fro:
            hand.forth(self._steps(hand, other, salts, number))
        first.forth(self._strides(first, second, salts))
        for hand, other, number in reversed(to_and_fro):
            hand.back(self._steps(hand, other, salts, number))
        moved = _double(second.symbols)
        moved ^= (_double(first.symbols) ^ moved) & odd
        moved &= -np.minimum(radices, 1)
        self._move_single(moved, symbols, radices, second)
        return moved

    def _steps(self, hand: _Hand, other: _Hand, salts: Words, number: int) -> Bytes:
        """Return by how much a hand moves on: less than its alphabets' sizes."""
        steps = self._draw(other, salts, number).astype(_PAIR)
        steps *= hand.spans
        steps >>= np.uint16(8)
        return steps.astype(np.uint8)

    def _strides(self, hand: _Hand, other: _Hand, salts: Words) -> Bytes:
        """Return steps of which none is nothing."""
        steps = self._draw(other, salts, 3).astype(_PAIR)
        steps *= hand.spans - hand.is_used
        steps >>= np.uint16(8)
        return steps.astype(np.uint8) + hand.is_used

    def _draw(self, hand: _Hand, salts: Words, number: int) -> Bytes:
        """Return a byte for every place of a hand, by the key, the shape and what the hand is."""
        rows, width = hand.symbols.shape
        seeds = salts ^ self._tile(_ROUNDS + number, 2, rows)
        if width < _BLOCK:
            seeds[:, 0] ^= hand.symbols.view(WORD)[:, 0]
            return self._cipher.blocks(seeds).view(np.uint8)[:, :width]
        if width == _BLOCK:
            seeds ^= hand.symbols.view(WORD)
            return self._cipher.blocks(seeds).view(np.uint8)
        seeds ^= self._digest(hand.symbols)
        seeds = self._cipher.blocks(seeds)
        words = width // 8
        spread = np.empty((rows, words), WORD)
        for at in range(0, words, 2):
            spread[:, at] = seeds[:, 0]
            spread[:, at + 1] = seeds[:, 1]
        spread ^= self._tile(_POSITIONS, words, rows)
        return self._cipher.blocks(spread).view(np.uint8)

    def _digest(self, texts: Bytes) -> Words:
        """Return one block for each row: blocks are encrypted by their position and added up."""
        rows, width = texts.shape
        words = texts.view(WORD)
        if width == _BLOCK:
            return self._cipher.blocks(words)
        placed = words ^ self._tile(_POSITIONS, width // 8, rows)
        parts = self._cipher.blocks(placed)
        digest = np.empty((rows, 2), WORD)
        for side in range(2):
            np.bitwise_xor(parts[:, side], parts[:, side + 2], out=digest[:, side])
            for at in range(side + 4, width // 8, 2):
                digest[:, side] ^= parts[:, at]
        return digest

    def _tile(self, label: int, words: int, rows: int) -> Words:
        """Return constants for every row: adding few words to each of many rows is slow."""
        tile = self._tiles.get((label, words))
        if tile is None or len(tile) < rows:
            tile = np.tile(self._cipher.constants(label, words), (rows, 1))
            self._tiles[label, words] = tile
        return tile[:rows]

    def _move_single(self, moved: Bytes, symbols: Bytes, radices: Bytes, second: _Hand) -> None:
        """Move texts with one masked character: here a secret step would be the whole secret."""
        alone = np.flatnonzero(~any_in_row(second.radices))
        for size in np.unique(radices[alone]):
            if size:
                row, place = np.nonzero(radices[alone] == size)
                row = alone[row]
                moved[row, place] = self._circle(int(size))[symbols[row, place]]

    def _circle(self, size: int) -> Bytes:
        """Return a permutation in which every number moves: one circle through all of them."""
        circle = self._alone.get(size)
        if circle is None:
            seed = self._cipher.constants(_ALONE + size, 4).tobytes()
            order = list(range(size))
            random.Random(seed).shuffle(order)  # noqa: S311 - the seed is the secret
            circle = np.empty(size, np.uint8)
            circle[order] = [*order[1:], order[0]]
            self._alone[size] = circle
        return circle


def any_in_row(texts: Bytes) -> NDArray[np.bool_]:
    """Return for each row whether anything in it is not 0."""
    words = texts.view(WORD)
    found: NDArray[np.bool_] = words[:, 0] != 0
    for at in range(1, words.shape[1]):
        found |= words[:, at] != 0
    return found


def _every_second(radices: Bytes) -> Bytes:
    """Return 255 from each first masked character up to the next, and 0 from that on."""
    words = np.minimum(radices, 1).view(WORD)
    for distance in (1, 2, 4):
        words ^= words << (_BYTE * np.uint64(distance))
    for at in range(1, words.shape[1]):
        words[:, at] ^= (words[:, at - 1] >> np.uint64(56)) * _EVERY
    return -words.view(np.uint8)


def _halve(texts: Bytes) -> Bytes:
    """Return neighbours put together; one of them is 0."""
    pairs = texts.view(_PAIR)
    return (pairs | (pairs >> np.uint16(8))).astype(np.uint8)


def _double(texts: Bytes) -> Bytes:
    """Return every place twice."""
    return (texts.astype(_PAIR) * _TWICE).view(np.uint8)
