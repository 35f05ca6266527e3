"""Masks columns inside a stream of PostgreSQL's binary COPY format, many rows at once.

A stream is a header, then per row a count of fields, each with its length before it: nobody knows
where a row begins without having walked through all rows before. So the source sends a mark with
every row, a number that only this copy knows; the stream falls apart at the marks, which do not
pass. The masked columns come first, so the others need not be looked at.
"""

import struct
from collections.abc import Sequence

import numpy as np

from refresher.adapters.copy_codec import codec
from refresher.adapters.copy_columns import InPlace, Places, in_place
from refresher.domain.cipher import Bytes
from refresher.domain.masking import Masker, Outcome
from refresher.domain.shapes import LONGEST
from refresher.errors import RefreshError

_SIGNATURE = b"PGCOPY\n\xff\r\n\0"
_HEADER = len(_SIGNATURE) + 8
_NULL = b"\xff\xff\xff\xff"
_TRAILER = b"\xff\xff"
_AT_ONCE = 512 * 1024
"""Bytes that are masked together: enough rows to be quick, few enough to stay close at hand."""

_REMEMBERED = 50_000
"""Masks per column that are kept where they are made one by one."""

_pack_length = struct.Struct(">i").pack


class MaskedStream:
    """Masks one COPY stream, piece by piece."""

    def __init__(self, maskers: Sequence[Masker], *, width: int, mark: int) -> None:
        """Prepare for a stream.

        Args:
            maskers: Of the masked columns, which come first.
            width: How many columns there are, the mark not counted.
            mark: What the source sends as the first column of every row.
        """
        self._fields = [_Field(masker) for masker in maskers]
        self._mark = struct.pack(">hiq", width + 1, 8, mark)
        self._head = struct.pack(">h", width)
        self._chunks: list[bytes] = []
        self._size, self._due = 0, _AT_ONCE
        self._has_header = False
        self.rows = 0
        """Whole rows so far."""

    def add(self, chunk: bytes) -> bool:
        """Take a piece of the stream; return whether `masked` is worth calling."""
        self._chunks.append(chunk)
        self._size += len(chunk)
        return self._size >= self._due

    def masked(self) -> bytes:
        """Return the rows that are whole, masked."""
        head, data = self._taken()
        whole, _, rest = data.rpartition(self._mark)
        self._put_back(self._mark + rest if whole else data)
        return head + self._rows(whole)

    def end(self) -> bytes:
        """Return the last rows, and the stream's end.

        Raises:
            RefreshError: the stream does not end as it should.
        """
        head, data = self._taken()
        if not self._has_header or not data.endswith(_TRAILER):
            raise RefreshError("the source's stream of rows does not end as it should")
        return head + self._rows(data[: -len(_TRAILER)]) + _TRAILER

    def _taken(self) -> tuple[bytes, bytes]:
        """Return the stream's header, once, and what has come since the last call."""
        data = b"".join(self._chunks)
        self._chunks, self._size = [], 0
        if self._has_header or len(data) < _HEADER:
            return b"", data
        size = _HEADER + int.from_bytes(data[_HEADER - 4 : _HEADER], "big")
        self._has_header = True
        return data[:size], data[size:]

    def _put_back(self, data: bytes) -> None:
        self._chunks, self._size = [data], len(data)
        # One long row is not put together again for each of its pieces.
        self._due = max(_AT_ONCE, 2 * len(data))

    def _rows(self, data: bytes) -> bytes:
        if not data:
            return b""
        first, *bodies = data.split(self._mark)
        if first:
            raise RefreshError("a row of the source's stream has no mark")
        self.rows += len(bodies)
        joined = self._head + self._head.join(bodies)
        lengths = np.fromiter(map(len, bodies), np.int64, len(bodies))
        ends = np.cumsum(lengths + len(self._head))
        return self._mask(joined, ends - lengths, ends)

    def _mask(self, joined: bytes, places: Places, ends: Places) -> bytes:
        buffer = np.frombuffer(bytearray(joined) + bytes(LONGEST), np.uint8)
        numbers = np.ndarray((len(buffer) - 3,), ">i4", buffer, strides=(1,))
        splices: list[tuple[int, int, bytes]] = []
        for field in self._fields:
            lengths = numbers[np.minimum(places, ends)].astype(np.int64)
            begins = places + 4
            places = begins + np.maximum(lengths, 0)
            if (places > ends).any():
                raise RefreshError("a row of the source's stream is not as long as it says")
            field.mask(buffer, begins, lengths, splices)
        if not splices:
            return buffer[: len(joined)].tobytes()
        return _spliced(buffer[: len(joined)].tobytes(), sorted(splices))


def _spliced(data: bytes, splices: Sequence[tuple[int, int, bytes]]) -> bytes:
    parts: list[bytes] = []
    copied = 0
    for begin, end, field in splices:
        parts += (data[copied:begin], field)
        copied = end
    return b"".join([*parts, data[copied:]])


class _Field:
    """One masked column."""

    def __init__(self, masker: Masker) -> None:
        self._decode, self._encode = codec(masker.mask.kind, masker.mask.base)
        self._masker = masker
        self._counts = masker.counts
        self._in_place: InPlace | None = in_place(masker)
        self._known: dict[bytes, tuple[bytes, Outcome]] = {}

    def mask(
        self, buffer: Bytes, begins: Places, lengths: Places, splices: list[tuple[int, int, bytes]]
    ) -> None:
        """Mask the column where it lies, or say what is to be put in its place."""
        present = np.flatnonzero(lengths >= 0)
        self._counts[Outcome.EMPTY] += len(lengths) - len(present)
        begins, lengths = begins[present], lengths[present]
        if self._in_place is not None:
            done = self._in_place(buffer, begins, lengths)
            self._counts[Outcome.MASKED] += done.masked
            self._counts[Outcome.EMPTY] += done.empty
            self._counts[Outcome.UNCHANGED] += (
                len(begins) - len(done.left) - done.masked - done.empty
            )
            begins, lengths = begins[done.left], lengths[done.left]
        if len(begins):
            self._replace(buffer, begins.tolist(), (begins + lengths).tolist(), splices)

    def _replace(
        self,
        buffer: Bytes,
        begins: Sequence[int],
        ends: Sequence[int],
        splices: list[tuple[int, int, bytes]],
    ) -> None:
        spans = list(zip(begins, ends, strict=True))
        raws = [buffer[begin:end].tobytes() for begin, end in spans]
        fields = self._learn(raws)
        for (begin, end), raw in zip(spans, raws, strict=True):
            field, outcome = fields[raw]
            self._counts[outcome] += 1
            splices.append((begin - 4, end, field))

    def _learn(self, raws: Sequence[bytes]) -> dict[bytes, tuple[bytes, Outcome]]:
        """Return the masks of these values, each with its length before it."""
        known = self._known
        unknown = [raw for raw in dict.fromkeys(raws) if raw not in known]
        if len(known) + len(unknown) > _REMEMBERED:
            known.clear()
            unknown = list(dict.fromkeys(raws))
        found = self._masker.apply([self._decode(raw) for raw in unknown])
        for raw, (masked, outcome) in zip(unknown, found, strict=True):
            encoded = None if masked is None else self._encode(masked)
            known[raw] = (
                _NULL if encoded is None else _pack_length(len(encoded)) + encoded,
                outcome,
            )
        return known
