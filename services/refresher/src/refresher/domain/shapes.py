"""Texts of one shape: where one has a letter or a digit, so have all the others.

A mask is another text of the same shape. Shapes repeat, so what follows from one is worked out
once: masking is the one part of a refresh that is done value by value.
"""

import hashlib
import hmac
from dataclasses import dataclass
from functools import lru_cache

from refresher.domain.permutation import WIDE, permutation

_LOWER = "abcdefghijklmnopqrstuvwxyz"
_UPPER = _LOWER.upper()
_DIGITS = "0123456789"
_PLAIN = (_LOWER, _UPPER, _DIGITS)
_BLOCK = 256
_REMEMBERED = 10_000
_DIGEST_SIZE = 64

_DRAWS = {
    alphabet: bytes(ord(alphabet[byte % len(alphabet)]) for byte in range(256))
    for alphabet in _PLAIN
}
"""For `bytes.translate`: random bytes → characters of an alphabet."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A character that is masked."""

    position: int
    alphabet: str
    radix: int
    index: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Run:
    """Neighbours that are drawn from one alphabet, or stay as they are."""

    start: int
    end: int
    alphabet: str | None
    literal: bytes


@dataclass(frozen=True, slots=True)
class _Shape:
    """What follows from a shape."""

    places: tuple[_Place, ...]
    runs: tuple[_Run, ...] | None
    """None for texts beyond ASCII, and for very long ones."""

    size: int
    """How many texts of the shape there are; beyond `WIDE` nobody counts."""

    tweak: bytes


class _Shapes(dict[str, _Shape]):
    """Shapes by the text in which every character is the first of its alphabet."""

    def __missing__(self, text: str) -> _Shape:
        if len(self) >= _REMEMBERED:
            self.clear()
        shape = self[text] = _work_out(text)
        return shape


class _Firsts(dict[int, int]):
    """For `str.translate`: a character's code → that of the first of its alphabet."""

    def __missing__(self, code: int) -> int:
        first = self[code] = ord(_alphabet(chr(code))[0])
        return first


_SHAPES = _Shapes()
_FIRSTS = _Firsts()


def mask_text(text: str, key: bytes) -> str:
    """Return another text of the same shape: letters for letters, digits for digits."""
    shape = _SHAPES[text.translate(_FIRSTS)]
    if shape.size >= WIDE:
        return _draw(text, shape, key)
    if shape.size == 1:
        return text
    number = 0
    for place in shape.places:
        number = number * place.radix + place.index[text[place.position]]
    number = permutation(key).move(number, shape.size, shape.tweak)
    characters = list(text)
    for place in reversed(shape.places):
        number, index = divmod(number, place.radix)
        characters[place.position] = place.alphabet[index]
    return "".join(characters)


def has_alphabet(text: str) -> bool:
    """Return whether a text has anything to hide: one of dashes has not."""
    return _SHAPES[text.translate(_FIRSTS)].size > 1


def _draw(text: str, shape: _Shape, key: bytes) -> str:
    """Return a text that the key draws: among so many, no two meet."""
    raw = text.encode("utf-8", "surrogatepass")
    if shape.runs is not None:
        stream = hashlib.blake2b(raw, key=key).digest()
        drawn = {name: stream.translate(table) for name, table in _DRAWS.items()}
        return b"".join(
            [
                run.literal if run.alphabet is None else drawn[run.alphabet][run.start : run.end]
                for run in shape.runs
            ]
        ).decode()
    stream = hashlib.shake_128(hmac.digest(key, raw, "sha256")).digest(2 * len(shape.places))
    characters = list(text)
    for number, place in enumerate(shape.places):
        pair = stream[2 * number : 2 * number + 2]
        characters[place.position] = place.alphabet[int.from_bytes(pair, "big") % place.radix]
    return "".join(characters)


def _work_out(text: str) -> _Shape:
    alphabets = [_alphabet(character) for character in text]
    places = tuple(
        _Place(position, alphabet, len(alphabet), _index(alphabet))
        for position, alphabet in enumerate(alphabets)
        if len(alphabet) > 1
    )
    size = 1
    for place in places:
        size = min(size * place.radix, WIDE)
    short = text.isascii() and len(text) <= _DIGEST_SIZE
    runs = tuple(_runs(alphabets)) if short else None
    return _Shape(places, runs, size, text.encode("utf-8", "surrogatepass"))


def _runs(alphabets: list[str]) -> list[_Run]:
    runs: list[_Run] = []
    for position, alphabet in enumerate(alphabets):
        if len(alphabet) == 1:
            runs.append(_Run(position, position + 1, None, alphabet.encode()))
        elif runs and runs[-1].alphabet == alphabet:
            runs[-1] = _Run(runs[-1].start, position + 1, alphabet, b"")
        else:
            runs.append(_Run(position, position + 1, alphabet, b""))
    return runs


@lru_cache(maxsize=1024)
def _index(alphabet: str) -> dict[str, int]:
    return {character: number for number, character in enumerate(alphabet)}


@lru_cache(maxsize=65_536)
def _alphabet(character: str) -> str:
    """Return the characters that may take a character's place; itself alone for punctuation.

    Outside ASCII these are the letters of the same block of 256, which take as many bytes.
    """
    for plain in _PLAIN:
        if character in plain:
            return plain
    if character.isascii() or not character.isalnum():
        return character
    first = ord(character) // _BLOCK * _BLOCK
    codes = range(max(first, 0x80), first + _BLOCK)
    return "".join(chr(code) for code in codes if chr(code).isalnum())
