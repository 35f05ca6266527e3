"""Where the rows of a copy lie from their receipt until they are read: in a few buffers, used again
and again.

A new piece of memory for each block would be dearer than filling it: the kernel zeroes what a
process touches for the first time.
"""

from collections import deque
from collections.abc import Callable

_SPARE_BYTES = 256 * 1024
"""A block is full when a chunk has gone over its size; the event loop reads no larger ones."""


class Blocks:
    """Joins chunks to blocks of whole rows. What reads them may be another thread."""

    def __init__(self, cut: Callable[[bytearray, int], int], size: int) -> None:
        """Begin with nothing.

        Args:
            cut: Returns up to where there are whole rows in the first bytes of a buffer.
            size: At least so many bytes make a block.
        """
        self._cut = cut
        self._least = self._wanted = size
        self._usual = size + _SPARE_BYTES
        self._free: deque[bytearray] = deque()
        self._buffer = bytearray(self._usual)
        self._size = 0

    def add(self, chunk: bytes) -> memoryview | None:
        """Take a chunk; return a block when there is enough for one."""
        self._append(chunk)
        if self._size < self._wanted:
            return None
        cut = self._cut(self._buffer, self._size)
        whole = memoryview(self._buffer)
        rest = whole[cut : self._size]
        self._buffer = self._free.pop() if self._free else bytearray(self._usual)
        self._size = 0
        self._append(rest)
        # A row of a gigabyte is not to be looked through anew with each chunk of it.
        self._wanted = max(self._least, 2 * len(rest))
        return whole[:cut]

    def rest(self) -> memoryview:
        """Return what is left."""
        return memoryview(self._buffer)[: self._size]

    def give_back(self, block: memoryview) -> None:
        """Use a block's memory again: nobody looks at it any more."""
        buffer = block.obj
        # One that had to hold a very long row is not kept.
        if isinstance(buffer, bytearray) and len(buffer) == self._usual:
            self._free.append(buffer)

    def _append(self, chunk: bytes | memoryview) -> None:
        end = self._size + len(chunk)
        if end > len(self._buffer):
            larger = bytearray(2 * end)
            larger[: self._size] = self._buffer[: self._size]
            self._buffer = larger
        memoryview(self._buffer)[self._size : end] = chunk
        self._size = end
