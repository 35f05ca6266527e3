"""Which characters may take each other's place in a mask.

Small letters stand for small letters, capitals for capitals, digits for digits. Outside ASCII an
alphabet has its members in one run of 128 characters, which take as many bytes; whatever is neither
a letter nor a digit stays as it is.
"""

import numpy as np
from numpy.typing import NDArray

from refresher.domain.cipher import Bytes

_RUN = 128
_RUNS = 0x110000 // _RUN

Points = NDArray[np.uint32]


class Alphabets:
    """Tables of characters, worked out run by run as texts need them."""

    def __init__(self) -> None:
        self._places = np.full(_RUNS, -1, np.int32)
        """Where a run's part of the tables begins, counted in runs."""

        self._symbols = np.empty(0, np.uint8)
        self._radices = np.empty(0, np.uint8)
        self._begins = np.empty(0, np.uint32)
        self._members = np.empty(0, np.uint32)

    def split(self, points: Points) -> tuple[Bytes, Bytes, NDArray[np.uint32]]:
        """Return each character's number in its alphabet, the alphabet's size, and where it begins.

        A character that stays is number 0 of an alphabet of its own, whose size counts as 0.
        """
        runs = points // _RUN
        for run in np.unique(runs[self._places[runs] < 0]):
            self._add(int(run))
        places = self._places[runs] * _RUN + (points % _RUN).astype(np.int32)
        return self._symbols[places], self._radices[places], self._begins[places]

    def first(self, begins: NDArray[np.uint32]) -> Points:
        """Return each alphabet's first character."""
        return self._members[begins]

    def join(self, symbols: Bytes, begins: NDArray[np.uint32]) -> Points:
        """Return the characters of numbers in their alphabets."""
        points: Points = self._members[begins + symbols]
        return points

    def _add(self, run: int) -> None:
        symbols = np.zeros(_RUN, np.uint8)
        radices = np.zeros(_RUN, np.uint8)
        begins = np.zeros(_RUN, np.uint32)
        members: list[int] = []
        for alphabet in _alphabets(run):
            begin = len(self._members) + len(members)
            for symbol, point in enumerate(alphabet):
                place = point % _RUN
                symbols[place] = symbol
                radices[place] = len(alphabet) if len(alphabet) > 1 else 0
                begins[place] = begin
            members += alphabet
        self._places[run] = len(self._symbols) // _RUN
        self._symbols = np.concatenate([self._symbols, symbols])
        self._radices = np.concatenate([self._radices, radices])
        self._begins = np.concatenate([self._begins, begins])
        self._members = np.concatenate([self._members, np.array(members, np.uint32)])


def _alphabets(run: int) -> list[list[int]]:
    """Return the alphabets of a run; characters that stay are alone in theirs."""
    groups: dict[str, list[int]] = {}
    alone = []
    for point in range(run * _RUN, (run + 1) * _RUN):
        character = chr(point)
        if character.isalnum():
            groups.setdefault(_kind(character), []).append(point)
        else:
            alone.append([point])
    largest = max(groups.values(), key=len, default=[])
    for group in groups.values():
        # A capital among small letters would have nobody to change places with.
        if len(group) == 1 and group is not largest:
            largest.append(group.pop())
    return [sorted(group) for group in groups.values() if group] + alone


def _kind(character: str) -> str:
    if character.isalpha():
        return "capital" if character.isupper() else "letter"
    return "digit"
