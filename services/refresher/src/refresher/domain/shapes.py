"""Masks of texts: where one has a letter or a digit, so has its mask, and as many bytes.

Texts are masked many at a time. Those in ASCII are masked where they lie, in a buffer of bytes;
others as characters.
"""

import threading
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from refresher.domain.alphabets import Alphabets
from refresher.domain.cipher import Bytes
from refresher.domain.shuffle import Shuffle, any_in_row

LONGEST = 1024
"""Longer texts are masked piece by piece. A buffer must go on for so long behind its last text."""

_NARROWEST = 16
_AT_ONCE = 128 * 1024
"""Bytes of one array: what the processor keeps close at hand."""

_CASE = np.uint8(0x20)
_SMALL_A, _ZERO = np.uint8(ord("a")), np.uint8(ord("0"))
_LETTERS, _DIGITS = np.uint8(26), np.uint8(10)
_BEYOND_ASCII = np.uint8(0x80)

Places = NDArray[np.int64]


class TextMask:
    """The masks of one key."""

    def __init__(self, key: bytes) -> None:
        self._shuffle = Shuffle(key)
        self._alphabets = Alphabets()

    def mask_buffer(self, buffer: Bytes, starts: Places, lengths: Places) -> tuple[int, int]:
        """Mask texts where they lie, in UTF-8; return how many changed, and how many could not.

        Args:
            buffer: Goes on for `LONGEST` bytes behind the last text.
            starts: Where each text begins.
            lengths: How many bytes it has.
        """
        changed = empty = 0
        others: list[int] = np.flatnonzero(lengths > LONGEST).tolist()
        for width, rows in _by_width(lengths):
            texts = _gather(buffer, starts[rows], lengths[rows], width)
            is_other = any_in_row(texts & _BEYOND_ASCII)
            if is_other.any():
                others += rows[is_other].tolist()
                rows, texts = rows[~is_other], texts[~is_other]  # noqa: PLW2901 - only these
            masked, has_any = self._mask_ascii(texts)
            has_changed = any_in_row(masked ^ texts)
            changed += int(np.count_nonzero(has_changed))
            empty += int(np.count_nonzero(~has_any & ~has_changed))
            _scatter(masked, buffer, starts[rows], lengths[rows])
        empty += int(np.count_nonzero(lengths == 0))
        more_changed, more_empty = self._mask_others(buffer, starts, lengths, others)
        return changed + more_changed, empty + more_empty

    def mask_texts(self, texts: Sequence[str]) -> list[str]:
        """Return the masks of texts."""
        pieces = [
            (number, text[at : at + LONGEST])
            for number, text in enumerate(texts)
            for at in range(0, len(text), LONGEST)
        ]
        plain = [number for number, (_, piece) in enumerate(pieces) if piece.isascii()]
        other = [number for number, (_, piece) in enumerate(pieces) if not piece.isascii()]
        found = dict(zip(plain, self._ascii([pieces[at][1] for at in plain]), strict=True))
        found |= dict(zip(other, self._points([pieces[at][1] for at in other]), strict=True))
        masks = [""] * len(texts)
        for at, (number, _) in enumerate(pieces):
            masks[number] += found[at]
        return masks

    def has_alphabet(self, text: str) -> bool:
        """Return whether a text has anything to hide: one of dashes has not."""
        points = np.array([ord(character) for character in text], np.uint32)
        return bool(self._alphabets.split(points)[1].any())

    def _mask_others(
        self, buffer: Bytes, starts: Places, lengths: Places, rows: Sequence[int]
    ) -> tuple[int, int]:
        """Mask what is long or beyond ASCII."""
        changed = empty = 0
        spans = [(int(starts[row]), int(starts[row] + lengths[row])) for row in rows]
        texts = [buffer[begin:end].tobytes().decode() for begin, end in spans]
        for (begin, end), text, masked in zip(spans, texts, self.mask_texts(texts), strict=True):
            buffer[begin:end] = np.frombuffer(masked.encode(), np.uint8)
            changed += masked != text
            empty += masked == text and not self.has_alphabet(text)
        return changed, empty

    def _ascii(self, pieces: Sequence[str]) -> list[str]:
        joined = "".join(pieces)
        buffer = np.frombuffer(bytearray(joined.encode()) + bytes(LONGEST), np.uint8)
        lengths = np.array([len(piece) for piece in pieces], np.int64)
        ends = np.cumsum(lengths)
        for width, rows in _by_width(lengths):
            starts = ends[rows] - lengths[rows]
            texts = _gather(buffer, starts, lengths[rows], width)
            _scatter(self._mask_ascii(texts)[0], buffer, starts, lengths[rows])
        masked = buffer[: len(joined)].tobytes().decode()
        return [
            masked[end - length : end]
            for end, length in zip(ends.tolist(), lengths.tolist(), strict=True)
        ]

    def _mask_ascii(self, texts: Bytes) -> tuple[Bytes, NDArray[np.bool_]]:
        """Return the masks, and which texts have anything to mask."""
        letters = (texts | _CASE) - _SMALL_A
        digits = texts - _ZERO
        is_letter = -(letters < _LETTERS).view(np.uint8)
        is_digit = -(digits < _DIGITS).view(np.uint8)
        symbols = (letters & is_letter) | (digits & is_digit)
        radices = (_LETTERS & is_letter) | (_DIGITS & is_digit)
        firsts = texts - symbols
        moved = self._shuffle.move(symbols, radices, firsts)
        return firsts + moved, any_in_row(radices)

    def _points(self, pieces: Sequence[str]) -> list[str]:
        masks = [""] * len(pieces)
        for width, rows in _by_width(np.array([len(piece) for piece in pieces], np.int64)):
            padded = "".join(pieces[row].ljust(width, "\0") for row in rows)
            points = np.frombuffer(padded.encode("utf-32-le", "surrogatepass"), np.uint32)
            points = points.reshape(len(rows), width)
            symbols, radices, begins = self._alphabets.split(points)
            firsts = self._alphabets.first(begins)
            moved = self._shuffle.move(symbols, radices, firsts.view(np.uint8))
            joined = self._alphabets.join(moved, begins).tobytes()
            text = joined.decode("utf-32-le", "surrogatepass")
            for number, row in enumerate(rows.tolist()):
                masks[row] = text[number * width : number * width + len(pieces[row])]
        return masks


def text_mask(key: bytes) -> TextMask:
    """Return the masks of a key, which remember what they have worked out; one set a thread."""
    return _text_mask(key, threading.get_ident())


@lru_cache(maxsize=64)
def _text_mask(key: bytes, _: int) -> TextMask:
    return TextMask(key)


def mask_text(text: str, key: bytes) -> str:
    """Return another text of the same shape: letters for letters, digits for digits."""
    return text_mask(key).mask_texts([text])[0]


def _by_width(lengths: Places) -> Iterator[tuple[int, Places]]:
    """Yield widths and the rows that fit each, so many at a time that arrays stay small."""
    shorter, width = 0, _NARROWEST
    longest = min(int(lengths.max(initial=0)), LONGEST)
    while shorter < longest:
        rows = np.flatnonzero((lengths > shorter) & (lengths <= width))
        at_once = _AT_ONCE // width
        for begin in range(0, len(rows), at_once):
            yield width, rows[begin : begin + at_once]
        shorter, width = width, width * 2


def _gather(buffer: Bytes, starts: Places, lengths: Places, width: int) -> Bytes:
    """Return texts as rows, filled up with zeros."""
    windows = np.ndarray((len(buffer) - width + 1,), f"V{width}", buffer, strides=(1,))
    texts = windows[starts].view(np.uint8).reshape(len(starts), width)
    places = np.arange(width, dtype=np.uint16)
    texts *= (places < lengths.astype(np.uint16)[:, None]).view(np.uint8)
    return texts


def _scatter(texts: Bytes, buffer: Bytes, starts: Places, lengths: Places) -> None:
    """Put rows back, as long as they were."""
    for length in np.flatnonzero(np.bincount(lengths)).tolist():
        rows = np.flatnonzero(lengths == length)
        windows = np.ndarray((len(buffer) - length + 1,), f"V{length}", buffer, strides=(1,))
        windows[starts[rows]] = np.ascontiguousarray(texts[rows, :length]).view(f"V{length}")[:, 0]
